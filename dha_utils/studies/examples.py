"""Full feature maps of one clip per class: what kept and ignored maps look like on real sounds.

Kept in one small file (safetensors): ``tap/label`` -> maps ``(C, T)`` float16, of the first clip of every class. Two taps:
one with many time positions, one with few.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dha_utils.core.artifacts import obtain, places
from dha_utils.core.tensor_files import load_tensors, reading, save_tensors
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_network
from dha_utils.responses.maps import how_made, iterate_maps
from dha_utils.responses.provenance import clips_of, extraction_provenance, key_of
from dha_utils.responses.table import Responses

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
        What they were computed from, and which clips they are; where they are kept, with their ``key``
        (`dha_utils.core.artifacts`).
    """

    maps: Mapping[str, Mapping[str, np.ndarray]]
    provenance: dict

    def save(self, path: Path) -> None:
        """Write to a safetensors file, atomically."""
        arrays = {
            f"{tap}/{label}": maps for tap, labels in self.maps.items() for label, maps in labels.items()
        }
        # The file orders its arrays as it likes: the order of taps and labels is kept beside them.
        save_tensors(path, arrays, {"arrays": list(arrays), "provenance": self.provenance})

    @classmethod
    def load(cls, path: Path) -> "Examples":
        """Read a file written by `save`; DataError if there is none, or it is damaged."""
        header, arrays = load_tensors(
            path, "examples", "`dha bundle` computes it from audio", "arrays", "provenance"
        )
        maps: dict[str, dict[str, np.ndarray]] = {}
        with reading(path, "examples"):
            for key in header["arrays"]:
                tap, _, label = key.partition("/")
                maps.setdefault(tap, {})[label] = arrays[key]
        return cls(maps, header["provenance"])


def compute_examples(
    clips: Clips, *, rate: int, duration: float, channel: str = "mean", model: Network | None = None
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
    model : Network, optional
        By default the pretrained network.
    """
    model = load_network() if model is None else model
    rows = clips.table.reset_index(drop=True).drop_duplicates("label").sort_values("label").index.to_numpy()
    first = clips.take(rows)
    maps = {
        tap: dict(zip(first.table["label"], values.astype(np.float16), strict=True))
        for tap, values in iterate_maps(
            first, EXAMPLE_TAPS, model=model, rate=rate, duration=duration, channel=channel
        )
    }
    parameters = {"rate": rate, "duration": duration, "channel": channel}
    parameters["clips"] = first.table["clip"].tolist()
    return Examples(maps, extraction_provenance(clips, parameters, model, "examples"))


def keep_examples(responses: Responses, clips: Clips, folder: Path) -> Examples:
    """Compute the examples that go with responses (`clips` are theirs, with audio), and keep them in a folder."""
    how = how_made(responses)
    examples = compute_examples(clips, **how)
    examples.provenance["key"] = key_of("examples", responses)
    examples.save(folder / f"examples_{how['rate']}.safetensors")
    return examples


def load_examples(
    responses: Responses, folder: Path, *, dataset: str | None = None, root: str | Path | None = None
) -> Examples:
    """Return the examples that go with responses: bundled ones, those in `folder`, or, after seconds, new ones.

    Arguments and errors as in `dha_utils.load_fold_scores`.
    """
    name, rate = responses.provenance["dataset"], responses.provenance["parameters"]["rate"]
    examples, _ = obtain(
        key_of("examples", responses),
        places(name, folder, f"examples_{rate}.safetensors"),
        lambda path: (held := Examples.load(path), held.provenance.get("key")),
        lambda: keep_examples(responses, clips_of(responses, dataset or name, root), folder),
    )
    return examples
