"""A network to take away: saved without pickle, and exported to PyTorch's and ONNX's formats.

Conventions: a model is a handful of files of one stem, one per entry of `FORMATS`. ``small.safetensors`` holds the network and,
in its header, all that is needed to feed it (rate, duration, channel) and to read it (classes); ``small.skops`` the ensemble of
classifiers; ``small.pt2`` the network alone, with its taps as outputs, for any number of clips of the duration it was made for;
``small.onnx`` both in one graph (`dha_utils.pruning.onnx`).
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import skops.io
import torch
from skops.io.exceptions import UntrustedTypesFoundException
from torch import Tensor, nn

from dha_utils.core.errors import DataError
from dha_utils.core.paths import atomic_write
from dha_utils.evaluation.ensemble import Layer, LayerEnsemble
from dha_utils.evaluation.least_squares import CalibratedLeastSquares
from dha_utils.evaluation.svm import CalibratedSVM
from dha_utils.networks.base import Network
from dha_utils.networks.registry import save_network
from dha_utils.pruning.onnx import export_onnx

OURS = {kind.__name__: kind for kind in (CalibratedLeastSquares, CalibratedSVM, Layer, LayerEnsemble)}

WERE = ("dha_utils.ensemble", "dha_utils.evaluation.ensemble")
"""Modules in which files of older versions look for the types of `OURS`."""

TRUSTED = [
    *(f"{kind.__module__}.{name}" for name, kind in OURS.items()),
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
]
"""Types, besides those that skops knows to be harmless, that a file of classifiers may hold; scikit-learn's are in older ones."""


def save_ensemble(path: str | Path, ensemble: LayerEnsemble) -> None:
    """Write a fitted ensemble with skops (numbers and names of types, no pickle), atomically."""
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(skops.io.dumps(ensemble))


def load_ensemble(path: str | Path) -> LayerEnsemble:
    """Read an ensemble written by `save_ensemble`; nothing but the types of `TRUSTED` is made.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; the classifiers that `dha prune` wrote belong beside the network"
        )
    try:
        ensemble = skops.io.loads(_with_names_of_today(path), trusted=TRUSTED)
    except UntrustedTypesFoundException as error:
        raise DataError(f"{path}: holds types that are not trusted, and is not used ({error})") from error
    except OSError:  # it may not be read: that is not its fault
        raise
    except Exception as error:  # skops raises whatever its zip and JSON readers do
        raise DataError(f"{path}: not a file of classifiers, or damaged ({error}); make it again") from error
    if not isinstance(ensemble, LayerEnsemble):
        raise DataError(f"{path}: holds a {type(ensemble).__name__}, not the classifiers of `dha prune`")
    return ensemble


def _with_names_of_today(path: Path) -> bytes:
    """Return the file, in which types that have moved are named by where they are."""

    def rename(entry: dict) -> dict:
        kind = OURS.get(entry.get("__class__"))
        return entry | {"__module__": kind.__module__} if kind and entry["__module__"] in WERE else entry

    renamed = io.BytesIO()
    with ZipFile(path) as before, ZipFile(renamed, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                content = json.dumps(json.loads(content, object_hook=rename)).encode()
            after.writestr(name, content)
    return renamed.getvalue()


class Exported(nn.Module):
    """A network as exported: waveforms (clips, samples) -> the maps of its taps, in order."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, waveforms: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of every tap, each (clips, maps, *positions)."""
        return tuple(maps for _, maps in self.network.features(waveforms))


def export_torch(model: Network, n_samples: int, path: str | Path) -> None:
    """Write the network for `torch.export.load`; any number of clips of `n_samples` samples."""
    example = torch.zeros(2, n_samples)
    clips = {"waveforms": {0: torch.export.Dim("clips")}}
    program = torch.export.export(Exported(model).eval(), (example,), dynamic_shapes=clips)
    buffer = io.BytesIO()  # a file would have to end in .pt2
    torch.export.save(program, buffer)
    with atomic_write(Path(path)) as temporary:
        temporary.write_bytes(buffer.getvalue())


class Product(NamedTuple):
    """What is written: a network, the classifiers of its responses, the length of its clips, and what is to be known of it."""

    network: Network
    ensemble: LayerEnsemble
    n_samples: int
    metadata: dict


class Format(NamedTuple):
    """What a file holds, and the function that writes it: product, path -> what is to be said of it, or None."""

    holds: str
    write: Callable[[Product, Path], str | None]


def _write_onnx(product: Product, path: Path) -> str:
    deviation, any_length = export_onnx(*product[:3], path, product.metadata)
    length = "any length" if any_length else f"{product.n_samples} samples"
    return f"clips of {length}; differs from PyTorch by {deviation:.1e} at most, relative to an output's largest value"


FORMATS = {
    ".safetensors": Format(
        "network, without unused heads",
        lambda it, path: save_network(path, it.network, it.metadata),
    ),
    ".skops": Format("classifiers", lambda it, path: save_ensemble(path, it.ensemble)),
    ".pt2": Format("network, PyTorch", lambda it, path: export_torch(it.network, it.n_samples, path)),
    ".onnx": Format("network and classifiers, ONNX", _write_onnx),
}
"""Ending -> format, of all files that ``dha prune`` writes: the network's own first, its companions beside it."""
