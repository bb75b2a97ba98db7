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

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.core.errors import ParameterError, choose
from dha_utils.networks.activations import windows
from dha_utils.networks.base import BATCH, Network, slice_channels
from dha_utils.pruning.surgery import Keep, kept_channels, prune_network

COMPENSATIONS = ("removed", "recalibrated", "merged", "refitted")
"""What may be done after the removal; see the head of this module."""

RIDGE = 0.1
"""Pull of the refitted kernels towards the original ones, relative to the energy of each input. In the upper layers there
are fewer time positions than weights, and without it the fit would follow the noise of the training clips; the notebook on
compensation shows the error on clips held out for other values."""


def compensate(
    full: Network,
    keep: Keep,
    activations: Sequence[Tensor],
    method: str = "refitted",
    *,
    ridge: float = RIDGE,
) -> Network:
    """Remove filters and make up for them.

    Parameters
    ----------
    full : Network
        The network as it is; left as it was.
    keep : dict of str to mask or indices
        As in `dha_utils.prune_network`.
    activations : sequence of Tensor
        Of the training clips, as `dha_utils.networks.activations.layer_activations` gives them; no label is asked for.
    method : str
        One of `COMPENSATIONS`.
    ridge : float
        See `RIDGE`; for ``refitted`` alone.

    Returns
    -------
    Network
        The smaller network; the same as `dha_utils.prune_network` gives where nothing is removed, up to rounding.

    Raises
    ------
    ParameterError
        If the method is unknown or does not fit the network, or `keep` does not.
    """
    choose("compensation", method, COMPENSATIONS)
    small = prune_network(full, keep)
    if method == "removed":
        return small
    kept = [torch.from_numpy(channels) for channels in kept_channels(full, keep).values()]
    with torch.inference_mode():
        # The first layer hears the sound itself: of its input nothing is missing, and its kept maps are what they were.
        x_small = activations[1][:, kept[0]]
        for number, (name, (conv, norm, _)) in enumerate([*small.layers.items()][1:], 1):
            x_full, original = activations[number], full.get_submodule(name)
            if conv.bias is None and method in ("merged", "refitted"):
                raise ParameterError(f"{method} sets biases, and {name} has none: use another way")
            if method == "merged":
                _merge(conv, original, x_full, kept[number - 1], kept[number])
            else:
                original = deepcopy(original)
                slice_channels(original, kept[number])
                if method == "recalibrated":
                    if norm is None:
                        raise ParameterError(
                            f"recalibrated sets batch norm, and none follows {name}: use another way"
                        )
                    _recalibrate(norm, _moments(original, x_full), _moments(conv, x_small))
                else:
                    _refit(conv, original, x_full, x_small, ridge)
            if number + 1 < len(kept):
                x_small = small.layer_output(name, x_small)
    return small


def _moments(conv: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of every map of a convolution's output, each (maps,), float64."""
    total, squares, count = 0.0, 0.0, 0
    for batch in x.split(BATCH):
        out = conv(batch).double().flatten(2)
        total, squares = total + out.sum((0, 2)), squares + (out**2).sum((0, 2))
        count += out.shape[0] * out.shape[2]
    mean = total / count
    return mean, (squares / count - mean**2).clamp(min=0)


def _recalibrate(norm: nn.Module, before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> None:
    """Set batch norm so that its output has the mean and the variance that it had before."""
    (mean_before, var_before), (mean, var) = before, now
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    # A map that has become constant has no variance to be scaled: it keeps its mean.
    stretch = torch.where(var > 0, (var_before * (var + norm.eps) / var.clamp(min=1e-30)).sqrt(), 0.0)
    norm.bias.copy_(norm.bias.double() + scale * (mean_before - norm.running_mean.double()))
    norm.weight.copy_(scale * stretch)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)


def _merge(conv: nn.Module, original: nn.Module, x_full: Tensor, kept_in: Tensor, kept_out: Tensor) -> None:
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
    slopes = slope.view(-1, *[1] * (kernels.ndim - 2))
    conv.weight.index_add_(1, best, (kernels * slopes).float())
    conv.bias += (kernels.flatten(2).sum(2) @ constant).float()


def _refit(conv: nn.Module, original: nn.Module, x_full: Tensor, x_small: Tensor, ridge: float) -> None:
    r"""Fit kernel and bias to the original outputs: :math:`\min \|XW - Y\|^2 + \lambda \|D (W - W_0)\|^2`.

    :math:`D^2` holds the energy of every input, :math:`W_0` the kernel that is there; the bias is not held back.
    """
    maps_out, size = conv.weight.flatten(1).shape
    gram = torch.zeros(size + 1, size + 1, dtype=torch.float64)
    moment = torch.zeros(size + 1, maps_out, dtype=torch.float64)
    kernel = original.weight.flatten(1).T
    for inputs, before in zip(windows(x_small, conv), windows(x_full, original), strict=True):
        inputs = F.pad(inputs, (0, 1), value=1.0)  # a column of ones for the bias
        targets = before @ kernel + original.bias
        gram += (inputs.T @ inputs).double()
        moment += (inputs.T @ targets).double()
    start = torch.cat([conv.weight.flatten(1), conv.bias[:, None]], 1).double().T
    energy = gram.diagonal().clone()
    # An input that is always zero can have any weight; it keeps its own.
    penalty = ridge * energy.clamp(min=1e-3 * energy[:-1].mean())
    penalty[-1] = 0
    change = torch.linalg.solve(gram + penalty.diag(), moment - gram @ start)
    fitted = (start + change).T.float()
    conv.weight.copy_(fitted[:, :-1].reshape(conv.weight.shape))
    conv.bias.copy_(fitted[:, -1])
