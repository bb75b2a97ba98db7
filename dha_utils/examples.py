"""Full feature maps of one clip per class: what kept and ignored maps look like on real sounds.

Kept in one small file (safetensors): ``tap/label`` -> maps ``(C, T)`` float16, of the first clip of every class. Two taps:
one with many time positions, one with few.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from dha_utils.datasets import Clips, load_clips
from dha_utils.errors import DataError
from dha_utils.maps import iterate_maps
from dha_utils.paths import atomic_write, bundled
from dha_utils.provenance import extraction_provenance
from dha_utils.responses import Responses
from dha_utils.soundnet import SoundNet, load_soundnet

EXAMPLE_TAPS = ("relu3", "pool5")
"""At 22 050 Hz, 5 s are 216 time positions of 64 maps, and 13 of 256."""


@dataclass(frozen=True)
class Examples:
    """Feature maps of one clip per class.

    Attributes
    ----------
    maps : dict
        Tap -> label -> maps, shape (C, T), float16.
    provenance : dict
        What they were computed from, and which clips they are.
    """

    maps: Mapping[str, Mapping[str, np.ndarray]]
    provenance: dict

    def save(self, path: Path) -> None:
        """Write to a safetensors file, atomically."""
        arrays = {
            f"{tap}/{label}": maps for tap, labels in self.maps.items() for label, maps in labels.items()
        }
        # The file orders its arrays as it likes: the order of taps and labels is kept beside them.
        header = json.dumps({"arrays": list(arrays), "provenance": self.provenance})
        with atomic_write(path) as temporary:
            save_file(arrays, temporary, metadata={"dha": header})

    @classmethod
    def load(cls, path: Path) -> "Examples":
        """Read a file written by `save`; DataError if there is none."""
        if not path.is_file():
            raise DataError(f"{path}: no such file; `dha bundle` computes it from audio")
        maps: dict[str, dict[str, np.ndarray]] = {}
        with safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["dha"])
            for key in header["arrays"]:
                tap, _, label = key.partition("/")
                maps.setdefault(tap, {})[label] = file.get_tensor(key)
        return cls(maps, header["provenance"])


def compute_examples(
    clips: Clips, *, rate: int, duration: float, channel: str = "mean", model: SoundNet | None = None
) -> Examples:
    """Run the first clip of every class through the network.

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
    """
    model = model or load_soundnet()
    rows = clips.table.reset_index(drop=True).drop_duplicates("label").sort_values("label").index.to_numpy()
    first = clips.take(rows)
    maps = {
        tap: dict(zip(first.table["label"], values.astype(np.float16), strict=True))
        for tap, values in iterate_maps(
            first, EXAMPLE_TAPS, model=model, rate=rate, duration=duration, channel=channel, progress=False
        )
    }
    parameters = {"rate": rate, "duration": duration, "clips": first.table["clip"].tolist()}
    if channel != "mean":  # as in `dha_utils.sweep_store.identity`
        parameters["channel"] = channel
    return Examples(maps, extraction_provenance(clips, parameters, model))


def load_examples(
    responses: Responses, folder: Path, *, dataset: str | None = None, root: str | Path | None = None
) -> Examples:
    """Return the examples that go with responses: bundled ones, those in `folder`, or, after seconds, new ones.

    Parameters
    ----------
    responses : Responses
    folder : Path
        Where new ones are kept.
    dataset : str, optional
        The data set, by name or as a path, if they have to be computed; by default the name that the responses bear.
    root : path, optional
        Folder of the audio, if they have to be computed.

    Raises
    ------
    DataError
        If they have to be computed and there is no audio.
    """
    provenance = responses.provenance
    rate, duration = provenance["parameters"]["rate"], provenance["parameters"]["duration"]
    channel = provenance["parameters"].get("channel", "mean")
    name = f"examples_{rate}.safetensors"
    for path in (bundled(provenance["dataset"]) / name, folder / name):
        if path.is_file():
            examples = Examples.load(path)
            same = ("clip_list_sha256", "weights_sha256")
            made_with = examples.provenance["parameters"]
            as_now = made_with["duration"] == duration and made_with.get("channel", "mean") == channel
            if as_now and all(examples.provenance[key] == provenance[key] for key in same):
                return examples
    clips = load_clips(dataset or provenance["dataset"], root, allow_missing=True)
    clips = clips.take(clips.table["clip"].isin(responses.table["clip"]).to_numpy())  # some may be left out
    examples = compute_examples(clips, rate=rate, duration=duration, channel=channel)
    examples.save(folder / name)
    return examples
