"""Scores that pooled responses cannot give: of criteria that need full feature maps, fold by fold, and filter weights.

Computed once from audio and the network, kept in one small file (safetensors, no pickle), and read back by sweeps and
notebooks: ``criterion/fold/tap`` -> scores of the tap's maps; fold 0 for criteria that look at weights alone.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from dha_utils.core.artifacts import load_json, obtain, places
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.core.paths import write_json
from dha_utils.core.tensor_files import load_tensors, reading, save_tensors
from dha_utils.core.work import progress_bar
from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.filters import layer_weights
from dha_utils.criteria.released import METHODS, score_released
from dha_utils.criteria.selection import keep_best, mean_jaccard, n_to_keep, score_maps
from dha_utils.criteria.slips import SLIPS
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_network
from dha_utils.paper import KEEP
from dha_utils.responses.maps import how_made, iterate_maps, selection_clips
from dha_utils.responses.provenance import clips_of, extraction_provenance, key_of
from dha_utils.responses.table import Responses

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
        What they were computed from; where they are kept, with their ``key`` (`dha_utils.core.artifacts`).
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
        save_tensors(path, arrays, {"n_keep": own, "provenance": self.provenance})

    @classmethod
    def load(cls, path: Path) -> "FoldScores":
        """Read a file written by `save`; DataError if there is none, or it is damaged."""
        header, arrays = load_tensors(
            path, "scores", "`dha bundle` computes it from audio", "n_keep", "provenance"
        )
        scores: dict[tuple[str, int], dict[str, MapScores]] = {}
        with reading(path, "scores"):
            for key, n_keep in header["n_keep"].items():
                criterion, fold, tap = key.split("/")
                scores.setdefault((criterion, int(fold)), {})[tap] = MapScores(arrays[key], n_keep=n_keep)
        return cls(scores, header["provenance"])


def compute_scores(
    clips: Clips,
    *,
    rate: int,
    duration: float,
    channel: str = "mean",
    model: Network | None = None,
    seed: int = 0,
) -> FoldScores:
    """Score all maps by every criterion that needs full maps or weights.

    Full maps come from 10 clips per class, drawn from the training part of each fold, as in the released code.
    Criteria of weights that do not fit the network, such as p-Snet's filters, are left out.

    Parameters
    ----------
    clips : Clips
    rate : int
        Hz.
    duration : float
        Seconds per clip.
    channel : {"mean", "left", "right"}
        What clips of several channels are brought down to.
    model : Network, optional
        By default the pretrained network.
    seed : int
        Of the draw of clips, and of criteria that draw.
    """
    model = load_network() if model is None else model
    by_maps = [name for name, criterion in CRITERIA.items() if criterion.needs == "maps"]
    by_weights = [name for name, criterion in CRITERIA.items() if criterion.needs == "weights"]
    weights = {}
    with suppress(ParameterError):  # maps that are not those of one convolution have no filters
        weights = {tap: layer_weights(model, tap) for tap in model.taps}
    scores: dict = {}
    for name in by_weights if weights else ():
        with suppress(DataError):
            scores[name, ALL_FOLDS] = score_maps(weights, name)
    folds = clips.test_folds
    with progress_bar(len(folds) * len(model.taps), "tap", "scores") as bar:
        for fold in folds:
            drawn = clips.take(selection_clips(clips.y, clips.folds != fold, seed=seed))
            for tap, maps in iterate_maps(drawn, model=model, rate=rate, duration=duration, channel=channel):
                for name in by_maps:
                    scored = score_maps({tap: maps}, name, y=drawn.y, seed=seed)
                    scores.setdefault((name, fold), {}).update(scored)
                bar.update()
    parameters = {"rate": rate, "duration": duration, "channel": channel, "seed": seed, "per_class": 10}
    return FoldScores(scores, extraction_provenance(clips, parameters, model, "scores"))


def keep_scores(responses: Responses, clips: Clips, folder: Path) -> FoldScores:
    """Compute the scores that go with responses (`clips` are theirs, with audio), and keep them in a folder."""
    how = how_made(responses)
    scores = compute_scores(clips, **how)
    scores.provenance["key"] = _scores_key(responses)
    scores.save(folder / f"scores_{how['rate']}.safetensors")
    return scores


def keep_slips(responses: Responses, clips: Clips, folder: Path) -> list[dict]:
    """Compute the effects of the slips on the first training fold, and keep them; arguments as in `keep_scores`."""
    how = how_made(responses)
    drawn = clips.take(selection_clips(clips.y, clips.folds != clips.test_folds[0]))
    slips = slip_effects(iterate_maps(drawn, **how), drawn.y, KEEP)
    content = {"key": _slips_key(responses), "slips": slips}
    write_json(folder / f"slips_{how['rate']}.json", content, indent=2)
    return slips


def _scores_key(responses: Responses) -> dict:
    criteria = sorted(name for name, criterion in CRITERIA.items() if criterion.needs in ("maps", "weights"))
    return key_of("scores", responses, criteria=criteria)


def _slips_key(responses: Responses) -> dict:
    return key_of("slips", responses, keep=KEEP)


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
        If they have to be computed and there is no audio, or it is not that of the responses.
    """
    name, rate = responses.provenance["dataset"], responses.provenance["parameters"]["rate"]
    clips = cache(lambda: clips_of(responses, dataset or name, root))
    scores, source = obtain(
        _scores_key(responses),
        places(name, folder, f"scores_{rate}.safetensors"),
        lambda path: (held := FoldScores.load(path), held.provenance.get("key")),
        lambda: keep_scores(responses, clips(), folder),
    )
    slips, _ = obtain(
        _slips_key(responses),
        places(name, folder, f"slips_{rate}.json"),
        lambda path: ((held := load_json(path, "slips"))["slips"], held["key"]),
        lambda: keep_slips(responses, clips(), folder),
    )
    return scores, slips, f"Scores from full feature maps: {source}."


def slip_effects(maps: Iterable[tuple[str, np.ndarray]], y: np.ndarray, keep: float) -> list[dict]:
    """Return, per method and slip, what mending that slip alone changes.

    Parameters
    ----------
    maps : iterable of (tap, ndarray of shape (n, C, T))
        Full feature maps of the selection clips, as `dha_utils.responses.maps.iterate_maps` yields them.
    y : ndarray, shape (n,), int
        Class of every clip.
    keep : float
        Fraction of maps kept for the comparison at equal numbers.

    Returns
    -------
    list of dict
        method, slip ("all" for all together), maps_kept and maps_kept_mended (by the method's own rule, summed over taps),
        and the Jaccard index of the maps kept before and after, mean over taps: jaccard_own (own rule) and jaccard (`keep`).
    """
    pairs = [(method, s.name, {s.name}) for s in SLIPS for method in METHODS if method in s.methods]
    pairs += [(method, "all", {s.name for s in SLIPS}) for method in METHODS]
    found: dict[tuple[str, str], list[dict]] = {(method, slip): [] for method, slip, _ in pairs}
    for _, tap_maps in maps:
        released = {method: score_released(method, tap_maps, y) for method in METHODS}
        for method, slip, mended in pairs:
            found[method, slip].append(
                _compare(released[method], score_released(method, tap_maps, y, mended), keep)
            )
    return [
        {"method": method, "slip": slip}
        | {key: int(sum(row[key] for row in rows)) for key in ("maps_kept", "maps_kept_mended")}
        | {key: float(np.mean([row[key] for row in rows])) for key in ("jaccard_own", "jaccard")}
        for (method, slip), rows in found.items()
    ]


def _compare(before: MapScores, after: MapScores, keep: float) -> dict[str, float]:
    own = [keep_best(scores.score, max(1, scores.n_keep)) for scores in (before, after)]
    equal = [keep_best(scores.score, n_to_keep(keep, len(scores.score))) for scores in (before, after)]
    return {
        "maps_kept": own[0].sum(),
        "maps_kept_mended": own[1].sum(),
        "jaccard_own": mean_jaccard(own),
        "jaccard": mean_jaccard(equal),
    }
