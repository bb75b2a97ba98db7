"""Network and classifiers in one ONNX graph: samples in, scores out, in any program that has an ONNX runtime.

Conventions: a graph takes ``waveforms`` (clips, samples), float32, at the network's rate, and gives the responses of every tap
under its name, (clips, maps), float32, and ``scores`` (clips, classes), float64. Its metadata hold, as JSON, what is to be known
to feed it and to read it.
"""

import copy
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.core.errors import DataError
from dha_utils.core.paths import atomic_write
from dha_utils.evaluation.ensemble import LayerEnsemble
from dha_utils.networks.base import Network
from dha_utils.pruning.scoring import Scoring

TOLERANCE = 1e-4
"""Largest deviation of an output from PyTorch's, relative to its largest value."""

LONG = 16
"""An example this many times the shortest waveform has several positions in the deepest layer: where there is one, the exporter
takes it that there always is."""

TOLD = ("rate", "duration", "channel", "classes", "taps", "input_scale", "padding", "trial")
"""What of a network's metadata is told in the graph."""


class ExportedPool(nn.Module):
    """Max pooling over time, by two dimensions: PyTorch's exporter fixes the length of what one-dimensional pooling sees."""

    def __init__(self, pool: nn.MaxPool1d):
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """Return what the pooling gives for maps (clips, maps, time)."""
        size, stride, padding, dilation = (
            getattr(self.pool, name) for name in ("kernel_size", "stride", "padding", "dilation")
        )
        pooled = F.max_pool2d(
            maps.unsqueeze(2), (1, size), (1, stride), (0, padding), (1, dilation), self.pool.ceil_mode
        )
        return pooled.squeeze(2)


def export_onnx(
    network: Network, ensemble: LayerEnsemble, n_samples: int, path: str | Path, metadata: Mapping
) -> tuple[float, bool]:
    """Write the graph, run it with onnxruntime and compare all outputs with PyTorch's.

    Parameters
    ----------
    network : Network
    ensemble : LayerEnsemble
        Fitted to the averages of its maps.
    n_samples : int
        Length of the clips that it was made for.
    path : path
    metadata : mapping
        Of which `TOLD` is told.

    Returns
    -------
    deviation : float
        The largest one from PyTorch, relative to the largest value of its output, for three clips of noise.
    any_length : bool
        Whether it takes clips of any length; of `n_samples` alone where the exporter cannot follow another.

    Raises
    ------
    DataError
        If an output deviates by more than `TOLERANCE`; nothing is written then.
    """
    scoring = Scoring(network, ensemble).eval()
    program, any_length = _exported(scoring, n_samples)
    names = [*network.taps, "scores"]
    # The exporter misses torchvision, which is not needed, and uses what PyTorch itself calls deprecated.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), atomic_write(Path(path)) as temporary:
        warnings.simplefilter("ignore")
        graph = torch.onnx.export(
            program, input_names=["waveforms"], output_names=names, dynamo=True, verbose=False, optimize=False
        )
        told = {name: json.dumps(metadata[name]) for name in TOLD if name in metadata}
        graph.model.metadata_props.update(told)
        graph.save(temporary, external_data=False)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; what it finds to improve concerns nobody here
        session = onnxruntime.InferenceSession(
            temporary.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        lengths = (n_samples, network.min_samples, 2 * n_samples + 1) if any_length else (n_samples,)
        deviations = [_deviations(session, scoring, length) for length in lengths]
        worst = np.max(deviations, axis=0)
        if worst.max() > TOLERANCE:
            raise DataError(
                f"{path}: ONNX deviates from PyTorch by {worst.max():.1e} at {names[worst.argmax()]}; not written"
            )
    return float(worst.max()), any_length


def _exported(scoring: Scoring, n_samples: int) -> tuple[torch.export.ExportedProgram, bool]:
    """Return the module as an exporter sees it, and whether for clips of any length."""
    module = copy.deepcopy(scoring)
    for name, part in [*module.named_modules()]:
        if isinstance(part, nn.MaxPool1d):
            module.set_submodule(name, ExportedPool(part))
    clips = {0: torch.export.Dim("clips")}
    long = torch.zeros(2, max(n_samples, LONG * scoring.network.min_samples))
    try:
        lengths = clips | {1: torch.export.Dim.DYNAMIC}
        return torch.export.export(module, (long,), dynamic_shapes={"waveforms": lengths}), True
    except (RuntimeError, ValueError):  # what the exporter raises where it cannot follow the length
        example = torch.zeros(2, n_samples)
        return torch.export.export(module, (example,), dynamic_shapes={"waveforms": clips}), False


def _deviations(session: onnxruntime.InferenceSession, scoring: Scoring, n_samples: int) -> list[float]:
    waveforms = 0.1 * torch.randn(3, n_samples, generator=torch.Generator().manual_seed(0))
    outputs = session.run(None, {"waveforms": waveforms.numpy()})
    with torch.inference_mode():
        expected = [output.numpy() for output in scoring(waveforms)]
    return [
        float(np.abs(a - b).max() / max(np.abs(b).max(), np.finfo(np.float32).tiny))
        for a, b in zip(outputs, expected, strict=True)
    ]
