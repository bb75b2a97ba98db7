r"""Making up for removed filters without labels and without gradient training.

Conventions: ``full`` is the network as it was, ``small`` the pruned one; both see the same training clips, layer by layer
from the input upwards, so that every layer of the small network is fitted to what really reaches it. Time positions of all
clips are the observations.

Four ways, from nothing to everything:

``removed``
    The kept filters as they are.
``recalibrated``
    Batch norm is set so that every kept map has the mean and the variance that it had in the full network.
``merged``
    A removed map is taken for a multiple of the kept map that it is most correlated with, plus a constant, and what the
    next layer made of it is added to what that layer makes of the kept one.
``refitted``
    Kernels and biases are fitted by least squares to the full network's convolution outputs.

References
----------
He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017 (reconstruction by least squares);
Luo, Wu and Lin, "ThiNet", ICCV 2017; Kim et al., "Neuron Merging", NeurIPS 2020.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.errors import choose
from dha_utils.pruning import Keep, kept_channels, prune_network
from dha_utils.soundnet import Layer, SoundNet, check_waveforms

COMPENSATIONS = ("removed", "recalibrated", "merged", "refitted")
"""What may be done after the removal; see the head of this module."""

BATCH = 8
"""Clips per pass: what is held beside the maps of one layer stays below 100 MB."""

POSITIONS = 50_000
"""About the most observations that a layer is fitted on, a hundred for each weight of a filter; conv2 has a million."""

RIDGE = 0.1
"""Pull of the refitted kernels towards the original ones, relative to the energy of each input. In the upper layers there
are fewer time positions than weights, and without it the fit would follow the noise of the training clips; the notebook on
compensation shows the error on clips held out for other values."""


def compensate(
    full: SoundNet,
    keep: Keep,
    activations: Sequence[Tensor],
    method: str = "refitted",
    *,
    ridge: float = RIDGE,
) -> SoundNet:
    """Remove filters and make up for them.

    Parameters
    ----------
    full : SoundNet
        The network as it is; left as it was.
    keep : dict of str to mask or indices
        As in `dha_utils.prune_network`.
    activations : sequence of Tensor
        Of the training clips, as `layer_activations` gives them; no label is asked for.
    method : str
        One of `COMPENSATIONS`.
    ridge : float
        See `RIDGE`; for ``refitted`` alone.

    Returns
    -------
    SoundNet
        The smaller network; the same as `dha_utils.prune_network` gives where nothing is removed, up to rounding.

    Raises
    ------
    ParameterError
        If the method is unknown, or `keep` does not fit the network.
    """
    choose("compensation", method, COMPENSATIONS)
    small = prune_network(full, keep)
    if method == "removed":
        return small
    kept = [torch.from_numpy(channels) for channels in kept_channels(full, keep).values()]
    with torch.inference_mode():
        # The first layer hears the sound itself: of its input nothing is missing, and its kept maps are what they were.
        x_small = activations[1][:, kept[0]]
        for number, layer in enumerate(small.layers[1:], 2):
            conv, norm = small.get_submodule(f"conv{number}"), small.get_submodule(f"bn{number}")
            x_full, original = activations[number - 1], full.get_submodule(f"conv{number}")
            if method == "merged":
                _merge(conv, original, x_full, kept[number - 2], kept[number - 1])
            else:
                original = _kept_filters(original, kept[number - 1])
                if method == "recalibrated":
                    _recalibrate(norm, _moments(original, x_full), _moments(conv, x_small))
                else:
                    _refit(conv, layer, original, x_full, x_small, ridge)
            if number < len(small.layers):
                x_small = layer_output(small, number, x_small)
    return small


def layer_activations(model: SoundNet, waveforms: np.ndarray) -> list[Tensor]:
    """Return what every layer sees, and what the last one hands on.

    Parameters
    ----------
    model : SoundNet
    waveforms : ndarray, shape (clips, samples), float32
        In [-1, 1].

    Returns
    -------
    list of Tensor, each shape (clips, maps, time), float32
        One more than there are layers; 0.9 MB in all for a clip of 5 s at 22 050 Hz.

    Raises
    ------
    DataError
        If the waveforms are not a matrix or too short for the network.
    """
    x = torch.from_numpy(np.ascontiguousarray(waveforms, np.float32))
    check_waveforms(x)
    activations = [(x * model.input_scale).unsqueeze(1)]
    with torch.inference_mode():
        for number in range(1, len(model.layers) + 1):
            activations.append(layer_output(model, number, activations[-1]))
    return activations


def layer_output(model: SoundNet, number: int, x: Tensor) -> Tensor:
    """Return what layer `number` hands on, after ReLU and pooling, for its input (clips, maps, time)."""
    layer = model.layers[number - 1]
    conv, norm = model.get_submodule(f"conv{number}"), model.get_submodule(f"bn{number}")
    outputs = []
    for batch in x.split(BATCH):
        out = F.relu_(norm(conv(batch)))
        outputs.append(F.max_pool1d(out, layer.pool) if layer.pool else out)
    return torch.cat(outputs)


def windows(x: Tensor, layer: Layer) -> Iterator[Tensor]:
    """Yield, for a few clips at a time, what a convolution sees at its positions: (positions, maps_in * kernel).

    Of more than `POSITIONS` positions in all, every second, third, ... is taken: neighbouring windows are nearly the same.
    """
    length = (x.shape[2] + 2 * layer.padding - layer.kernel) // 2 + 1
    every = max(1, len(x) * length // POSITIONS)
    for batch in x.split(BATCH):
        unfolded = F.pad(batch, (layer.padding, layer.padding)).unfold(2, layer.kernel, 2 * every)
        yield unfolded.permute(0, 2, 1, 3).reshape(-1, batch.shape[1] * layer.kernel)


def _kept_filters(conv: nn.Conv1d, kept: Tensor) -> nn.Conv1d:
    """Return the full convolution with the kept filters only, all of its inputs there."""
    part = nn.Conv1d(conv.in_channels, len(kept), conv.kernel_size[0], stride=2, padding=conv.padding[0])
    part.weight, part.bias = nn.Parameter(conv.weight[kept]), nn.Parameter(conv.bias[kept])
    return part.requires_grad_(False)


def _moments(conv: nn.Conv1d, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every map of a convolution's output, each (maps,), float64."""
    total, squares, count = 0.0, 0.0, 0
    for batch in x.split(BATCH):
        out = conv(batch).double()
        total, squares = total + out.sum((0, 2)), squares + (out**2).sum((0, 2))
        count += out.shape[0] * out.shape[2]
    mean = total / count
    return mean, (squares / count - mean**2).clamp(min=0)


def _recalibrate(norm: nn.BatchNorm1d, before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> None:
    """Set batch norm so that its output has the mean and the variance that it had before."""
    (mean_before, var_before), (mean, var) = before, now
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    # A map that has become constant has no variance to be scaled: it keeps its mean.
    stretch = torch.where(var > 0, (var_before * (var + norm.eps) / var.clamp(min=1e-30)).sqrt(), 0.0)
    norm.bias.copy_(norm.bias.double() + scale * (mean_before - norm.running_mean.double()))
    norm.weight.copy_(scale * stretch)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)


def _merge(conv: nn.Conv1d, original: nn.Conv1d, x_full: Tensor, kept_in: Tensor, kept_out: Tensor) -> None:
    """Give every removed input of a convolution to the kept one that it is most correlated with."""
    flat = x_full.transpose(0, 1).reshape(x_full.shape[1], -1).double()
    mean = flat.mean(1)
    covariance = torch.cov(flat)
    spread = covariance.diagonal().sqrt().clamp(min=1e-30)
    removed = torch.tensor([c for c in range(len(mean)) if c not in set(kept_in.tolist())], dtype=torch.long)
    if not len(removed):
        return
    correlation = covariance[removed][:, kept_in] / spread[removed, None] / spread[kept_in]
    best = correlation.argmax(
        1
    )  # not of the absolute value: maps after ReLU cannot be merged with a minus sign
    into = kept_in[best]
    slope = (covariance[removed, into] / spread[into] ** 2).clamp(min=0)
    constant = mean[removed] - slope * mean[into]
    kernels = original.weight[kept_out][:, removed].double()
    conv.weight.index_add_(1, best, (kernels * slope[None, :, None]).float())
    conv.bias += (kernels.sum(2) @ constant).float()


def _refit(
    conv: nn.Conv1d, layer: Layer, original: nn.Conv1d, x_full: Tensor, x_small: Tensor, ridge: float
) -> None:
    r"""Fit kernel and bias to the original outputs: :math:`\min \|XW - Y\|^2 + \lambda \|D (W - W_0)\|^2`.

    :math:`D^2` holds the energy of every input, :math:`W_0` the kernel that is there; the bias is not held back.
    """
    size = layer.maps_in * layer.kernel
    gram = torch.zeros(size + 1, size + 1, dtype=torch.float64)
    moment = torch.zeros(size + 1, layer.maps_out, dtype=torch.float64)
    kernel = original.weight.flatten(1).T
    seen_before = windows(x_full, layer._replace(maps_in=x_full.shape[1]))
    for inputs, before in zip(windows(x_small, layer), seen_before, strict=True):
        inputs = F.pad(inputs, (0, 1), value=1.0)  # a column of ones for the bias
        targets = before @ kernel + original.bias
        gram += (inputs.T @ inputs).double()
        moment += (inputs.T @ targets).double()
    start = torch.cat([conv.weight.reshape(layer.maps_out, size), conv.bias[:, None]], 1).double().T
    energy = gram.diagonal().clone()
    # An input that is always zero can have any weight; it keeps its own.
    penalty = ridge * energy.clamp(min=1e-3 * energy[:-1].mean())
    penalty[-1] = 0
    change = torch.linalg.solve(gram + penalty.diag(), moment - gram @ start)
    fitted = (start + change).T.float()
    conv.weight.copy_(fitted[:, :-1].reshape(conv.weight.shape))
    conv.bias.copy_(fitted[:, -1])
