"""A network to take away: saved without pickle, exported to PyTorch's and ONNX's formats, and put to use on sound files.

Conventions: a model is a handful of files of one stem, one per entry of `FORMATS`. ``small.safetensors`` holds the network and,
in its header, all that is needed to feed it (rate, duration, channel) and to read it (classes); ``small.skops`` the ensemble of
classifiers; ``small.pt2`` and ``small.onnx`` the network alone, with its taps as outputs, for any number of clips of the duration
it was made for.
"""

import io
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
import onnxruntime
import skops.io
import torch
from skops.io.exceptions import UntrustedTypesFoundException
from torch import Tensor, nn

from dha_utils.audio.waveforms import fit_waveform, load_audio
from dha_utils.core.errors import DataError, DhaError
from dha_utils.core.paths import atomic_write
from dha_utils.evaluation.ensemble import Layer, LayerEnsemble
from dha_utils.evaluation.least_squares import CalibratedLeastSquares
from dha_utils.evaluation.svm import CalibratedSVM
from dha_utils.networks.base import Network
from dha_utils.networks.registry import save_network
from dha_utils.responses.pooling import pool_maps

OURS = {kind.__name__: kind for kind in (CalibratedLeastSquares, CalibratedSVM, Layer, LayerEnsemble)}

WERE = ("dha_utils.ensemble", "dha_utils.evaluation.ensemble")
"""Modules in which files of older versions look for the types of `OURS`."""

TRUSTED = [
    *(f"{kind.__module__}.{name}" for name, kind in OURS.items()),
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
]
"""Types, besides those that skops knows to be harmless, that a file of classifiers may hold; scikit-learn's are in older ones."""

ONNX_TOLERANCE = 1e-4
"""Largest deviation of an ONNX tap from PyTorch's, relative to the tap's largest value."""


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


def export_onnx(model: Network, n_samples: int, path: str | Path) -> float:
    """Write the network as ONNX, run it with onnxruntime and compare all taps.

    Parameters
    ----------
    model : Network
    n_samples : int
        Length of the clips that it will take; any number of them at a time.
    path : path

    Returns
    -------
    float
        The largest deviation from PyTorch, relative to the largest value of its tap, for three clips of noise.

    Raises
    ------
    DataError
        If a tap deviates by more than `ONNX_TOLERANCE`; nothing is written then.
    """
    clips = {"waveforms": {0: torch.export.Dim("clips")}}
    # The exporter misses torchvision, which is not needed, and uses what PyTorch itself calls deprecated.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), atomic_write(Path(path)) as temporary:
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Exported(model).eval(), (torch.zeros(2, n_samples),), temporary, input_names=["waveforms"],
            output_names=list(model.taps), dynamic_shapes=clips, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(temporary.read_bytes(), providers=["CPUExecutionProvider"])
        waveforms = 0.1 * torch.randn(3, n_samples, generator=torch.Generator().manual_seed(0))
        outputs = session.run(list(model.taps), {"waveforms": waveforms.numpy()})
        with torch.inference_mode():
            expected = [maps.numpy() for maps in Exported(model)(waveforms)]
        deviations = [
            float(np.abs(a - b).max() / max(np.abs(b).max(), np.finfo(np.float32).tiny))
            for a, b in zip(outputs, expected, strict=True)
        ]
        if max(deviations) > ONNX_TOLERANCE:
            tap = model.taps[int(np.argmax(deviations))]
            raise DataError(
                f"{path}: ONNX deviates from PyTorch by {max(deviations):.1e} at {tap}; not written"
            )
    return max(deviations)


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
    deviation = export_onnx(product.network, product.n_samples, path)
    return f"differs from PyTorch by {deviation:.1e} at most, relative to a tap's largest value"


FORMATS = {
    ".safetensors": Format(
        "network, without unused heads",
        lambda it, path: save_network(path, it.network, it.metadata),
    ),
    ".skops": Format("classifiers", lambda it, path: save_ensemble(path, it.ensemble)),
    ".pt2": Format("network, PyTorch", lambda it, path: export_torch(it.network, it.n_samples, path)),
    ".onnx": Format("network, ONNX", _write_onnx),
}
"""Ending -> format, of all files that ``dha prune`` writes: the network's own first, its companions beside it."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of a sound.

    Attributes
    ----------
    path : str
        Of the file; empty for samples.
    scores : dict of str to float
        Class -> fused score; their sum is 1.
    seconds : dict of str to float
        What decoding, the network and the classifiers took.
    """

    path: str
    scores: dict[str, float]
    seconds: dict[str, float]

    @property
    def label(self) -> str:
        """The class of the highest score."""
        return self.top(1)[0][0]

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the classes of the highest scores, best first."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:count]


def predict(
    model: Network,
    metadata: Mapping,
    ensemble: LayerEnsemble,
    sounds: Sequence[str | Path | tuple[np.ndarray, float]],
) -> Iterator[Prediction | DataError]:
    """Classify sounds one by one; each is resampled, and padded or cut, to what the model was made for.

    Parameters
    ----------
    model, metadata
        As `dha_utils.networks.registry.read_network` returns them.
    ensemble : LayerEnsemble
    sounds : sequence of path or (ndarray, float)
        Files, or samples (n_samples,) or (n_samples, channels) in [-1, 1] with their rate in Hz.

    Yields
    ------
    Prediction, or the AudioError of a sound that cannot be used
    """
    taps, how = model.fast(), (metadata["rate"], metadata["duration"])

    def pool(waveform: np.ndarray) -> np.ndarray:
        pooled = pool_maps(taps, [waveform])
        return np.concatenate([pooled[tap] for tap in model.taps], axis=1)

    # What is done once, such as imports, is no part of the first sound's times.
    ensemble.predict_proba(pool(np.zeros(round(how[0] * how[1]), np.float32)))
    for sound in sounds:
        start = time.perf_counter()
        try:
            if isinstance(sound, tuple):
                waveform = fit_waveform(*sound, *how, channel=metadata["channel"])
            else:
                waveform = load_audio(sound, *how, channel=metadata["channel"])
        except DhaError as error:
            yield error
            continue
        decoded = time.perf_counter()
        responses = pool(waveform)
        heard = time.perf_counter()
        scores = ensemble.predict_proba(responses)[0]
        seconds = {
            "decoding": decoded - start,
            "network": heard - decoded,
            "classifiers": time.perf_counter() - heard,
        }
        path = "" if isinstance(sound, tuple) else str(sound)
        yield Prediction(path, dict(zip(metadata["classes"], scores.tolist(), strict=True)), seconds)
