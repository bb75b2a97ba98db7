"""Scores that pooled responses cannot give: of criteria that need full feature maps, fold by fold, and filter weights.

Computed once from audio and the network, kept in one small file (safetensors, no pickle), and read back by sweeps and
notebooks: ``criterion/fold/tap`` -> scores of the tap's maps; fold 0 for criteria that look at weights alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.filters import layer_weights
from dha_utils.datasets import Clips, load_clips
from dha_utils.errors import DataError
from dha_utils.maps import iterate_maps, selection_clips
from dha_utils.paper import KEEP
from dha_utils.paths import atomic_write, bundled
from dha_utils.provenance import extraction_provenance
from dha_utils.responses import Responses
from dha_utils.selection import score_maps
from dha_utils.slip_effects import slip_effects
from dha_utils.soundnet import TAPS, SoundNet, load_soundnet

ALL_FOLDS = 0
"""Stands for the fold of scores that no clip has a part in."""


@dataclass(frozen=True)
class FoldScores:
    """Scores per criterion, test fold and tap.

    Attributes
    ----------
    scores : dict
        ``(criterion, fold)`` -> dict of tap -> MapScores; made on the clips outside the fold.
    provenance : dict
        What they were computed from.
    """

    scores: Mapping[tuple[str, int], Mapping[str, MapScores]]
    provenance: dict

    def get(self, criterion: str, fold: int) -> Mapping[str, MapScores]:
        """Return the scores of every tap for a test fold.

        Raises
        ------
        DataError
            If there are none.
        """
        for key in ((criterion, fold), (criterion, ALL_FOLDS)):
            if key in self.scores:
                return self.scores[key]
        raise DataError(
            f"no scores of criterion {criterion!r} for fold {fold}: `dha bundle` computes them from audio"
        )

    def save(self, path: Path) -> None:
        """Write to a safetensors file, atomically; p-values and effects are not kept."""
        arrays, own = {}, {}
        for (criterion, fold), taps in self.scores.items():
            for tap, scores in taps.items():
                arrays[f"{criterion}/{fold}/{tap}"] = scores.score
                own[f"{criterion}/{fold}/{tap}"] = scores.n_keep
        header = json.dumps({"n_keep": own, "provenance": self.provenance})
        with atomic_write(path) as temporary:
            save_file(arrays, temporary, metadata={"dha": header})

    @classmethod
    def load(cls, path: Path) -> "FoldScores":
        """Read a file written by `save`; DataError if there is none."""
        if not path.is_file():
            raise DataError(f"{path}: no such file; `dha bundle` computes it from audio")
        scores: dict[tuple[str, int], dict[str, MapScores]] = {}
        with safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["dha"])
            for key, n_keep in header["n_keep"].items():
                criterion, fold, tap = key.split("/")
                scores.setdefault((criterion, int(fold)), {})[tap] = MapScores(
                    file.get_tensor(key), n_keep=n_keep
                )
        return cls(scores, header["provenance"])


def compute_scores(
    clips: Clips,
    *,
    rate: int,
    duration: float,
    channel: str = "mean",
    model: SoundNet | None = None,
    seed: int = 0,
    progress: bool = True,
) -> FoldScores:
    """Score all maps by every criterion that needs full maps or weights.

    Full maps come from 10 clips per class, drawn from the training part of each fold, as in the released code.

    Parameters
    ----------
    clips : Clips
    rate : int
        Hz.
    duration : float
        Seconds per clip.
    channel : {"mean", "left", "right"}
        What clips of several channels are brought down to.
    model : SoundNet, optional
        By default the pretrained network.
    seed : int
        Of the draw of clips, and of criteria that draw.
    progress : bool
        Show a progress bar on stderr.
    """
    model = model or load_soundnet()
    by_maps = [name for name, criterion in CRITERIA.items() if criterion.needs == "maps"]
    by_weights = [name for name, criterion in CRITERIA.items() if criterion.needs == "weights"]
    weights = {tap: layer_weights(model, tap) for tap in TAPS}
    scores: dict = {(name, ALL_FOLDS): score_maps(weights, name) for name in by_weights}
    folds = clips.test_folds
    with tqdm(total=len(folds) * len(TAPS), unit="tap", desc="scores", disable=not progress) as bar:
        for fold in folds:
            drawn = clips.take(selection_clips(clips.y, clips.folds != fold, seed=seed))
            for tap, maps in iterate_maps(
                drawn, model=model, rate=rate, duration=duration, channel=channel, progress=False
            ):
                for name in by_maps:
                    scored = score_maps({tap: maps}, name, y=drawn.y, seed=seed)
                    scores.setdefault((name, fold), {}).update(scored)
                bar.update()
    parameters = {"rate": rate, "duration": duration, "channel": channel, "seed": seed, "per_class": 10}
    return FoldScores(scores, extraction_provenance(clips, parameters, model))


def bundle_scores(
    clips: Clips,
    folder: Path,
    *,
    rate: int,
    duration: float,
    keep: float,
    channel: str = "mean",
    progress: bool = True,
) -> None:
    """Compute the scores and the effects of the slips from audio, and write both into a folder of artifacts.

    Parameters
    ----------
    clips : Clips
    folder : Path
    rate, duration, channel, progress
        As in `compute_scores`.
    keep : float
        Fraction of maps at which `slip_effects` compares.
    """
    model = load_soundnet()
    scores = compute_scores(
        clips, rate=rate, duration=duration, channel=channel, model=model, progress=progress
    )
    drawn = clips.take(selection_clips(clips.y, clips.folds != clips.test_folds[0]))
    maps = iterate_maps(drawn, model=model, rate=rate, duration=duration, channel=channel, progress=False)
    effects = slip_effects(maps, drawn.y, keep)
    with atomic_write(folder / f"slips_{rate}.json") as temporary:
        temporary.write_text(json.dumps(effects, indent=2) + "\n", encoding="utf-8")
    scores.save(folder / f"scores_{rate}.safetensors")


def load_fold_scores(
    responses: Responses, folder: Path, *, dataset: str | None = None, root: str | Path | None = None
) -> tuple[FoldScores, list[dict], str]:
    """Return the scores that go with responses: bundled ones, those in `folder`, or, after minutes, new ones.

    Parameters
    ----------
    responses : Responses
    folder : Path
        Where new ones are kept.
    dataset : str, optional
        The data set, by name or as a path, if they have to be computed; by default the name that the responses bear.
    root : path, optional
        Folder of the audio, if they have to be computed.

    Returns
    -------
    scores : FoldScores
    slips : list of dict
        As `slip_effects` returns them.
    source : str
        A sentence that says where they come from.

    Raises
    ------
    DataError
        If they have to be computed and there is no audio.
    """
    parameters = responses.provenance["parameters"]
    rate, duration = parameters["rate"], parameters["duration"]
    channel = parameters.get("channel", "mean")
    for place, name in (
        (bundled(responses.provenance["dataset"]), "the bundled artifacts"),
        (folder, "an earlier run"),
    ):
        path = place / f"scores_{rate}.safetensors"
        if path.is_file():
            scores = FoldScores.load(path)
            made_with = scores.provenance["parameters"]
            if (
                all(
                    scores.provenance[key] == responses.provenance[key]
                    for key in ("clip_list_sha256", "weights_sha256")
                )
                and made_with["duration"] == duration
                and made_with.get("channel", "mean") == channel
                and scores.provenance.get("cut") == responses.provenance.get("cut")
            ):
                slips = json.loads((place / f"slips_{rate}.json").read_text(encoding="utf-8"))
                return scores, slips, f"Scores from full feature maps: from {name}."
    clips = load_clips(dataset or responses.provenance["dataset"], root, allow_missing=True)
    clips = clips.take(clips.table["clip"].isin(responses.table["clip"]).to_numpy())  # some may be left out
    if clips.table["clip"].tolist() != responses.table["clip"].tolist():
        raise DataError(
            f"{clips.root}: the clips are not those of the responses: run notebook 01 again (`dha run`)"
        )
    bundle_scores(clips, folder, rate=rate, duration=duration, channel=channel, keep=KEEP, progress=False)
    return load_fold_scores(responses, folder)
