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
    Kernels and biases are fitted by least squares to the full network's convolution outputs (`dha_utils.pruning.refitting`),
    and the head's to its own. It alone also knows networks that are no chain.

References
----------
He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017 (reconstruction by least squares);
Luo, Wu and Lin, "ThiNet", ICCV 2017; Kim et al., "Neuron Merging", NeurIPS 2020.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from dha_utils.core.errors import ParameterError, choose
from dha_utils.networks.base import BATCH, Network, slice_channels
from dha_utils.pruning.keep import Keep
from dha_utils.pruning.refitting import RIDGE, fit_reader, pairs_by_group, refit
from dha_utils.pruning.surgery import kept_channels, prune_network

COMPENSATIONS = ("removed", "recalibrated", "merged", "refitted")
"""What may be done after the removal; see the head of this module."""


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
    if method == "removed":
        return prune_network(full, keep)
    if not full.is_chain:
        if method != "refitted":
            raise ParameterError(f"{method} is for chains, and network {full.name!r} is none: use refitted")
        return full.holding(refit(full.module, activations[0].clone(), keep, ridge=ridge))
    small = prune_network(full, keep)
    kept = [torch.from_numpy(channels) for channels in kept_channels(full, keep).values()]
    with torch.inference_mode():
        # The first layer hears the sound itself: of its input nothing is missing, and its kept maps are what they were.
        x_small = activations[1][:, kept[0]]
        for number, (name, (conv, norm, stages)) in enumerate([*small.layers.items()][1:], 1):
            x_full, original = activations[number], full.get_submodule(name)
            behind = norm if stages[1:] and small.get_submodule(stages[1]) is norm else None
            if method == "refitted":
                rows = torch.zeros(len(original.weight), dtype=torch.bool)
                rows[kept[number]] = True
                fit_reader(conv, behind, pairs_by_group(conv, original, rows, x_full, x_small), ridge)
            elif method == "merged":
                if conv.bias is None and behind is None:
                    raise ParameterError(f"merged sets biases, and {name} has none: use another way")
                _merge(conv, behind, original, x_full, kept[number - 1], kept[number])
            else:
                if norm is None:
                    raise ParameterError(
                        f"recalibrated sets batch norm, and none follows {name}: use another way"
                    )
                original = deepcopy(original)
                slice_channels(original, kept[number])
                _recalibrate(norm, _moments(original, x_full), _moments(conv, x_small))
            x_small = small.layer_output(name, x_small)
        if method == "refitted":
            for name, x_head in small.head_inputs(x_small).items():
                head, original = small.get_submodule(name), full.get_submodule(name)
                rows = torch.ones(len(head.weight), dtype=torch.bool)
                x_full = full.head_inputs(activations[-1])[name]
                fit_reader(head, None, pairs_by_group(head, original, rows, x_full, x_head), ridge)
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


def _merge(
    conv: nn.Module,
    norm: nn.Module | None,
    original: nn.Module,
    x_full: Tensor,
    kept_in: Tensor,
    kept_out: Tensor,
) -> None:
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
    constants = (kernels.flatten(2).sum(2) @ constant).float()
    if conv.bias is None:
        norm.running_mean -= constants
    else:
        conv.bias += constants
