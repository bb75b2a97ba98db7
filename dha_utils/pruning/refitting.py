r"""Layers fitted by least squares to what they gave before maps were removed; no label is asked for.

Conventions: a *reader* is a convolution or a linear layer; its observations are the positions of all clips, with a column for
every value that it sees there. Least is :math:`\|XW - Y\|^2 + \lambda \|D (W - W_0)\|^2`, where :math:`D^2` holds the energy of
every input and :math:`W_0` the weight that is there; the bias is not held back.

References
----------
He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", ICCV 2017 (reconstruction by least squares).
"""

from collections.abc import Iterable, Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.networks.activations import POSITIONS, windows
from dha_utils.networks.base import BATCH
from dha_utils.pruning.graphs import ChannelGraph, cut
from dha_utils.pruning.keep import Keep

RIDGE = 0.1
"""Pull of the refitted kernels towards the original ones, relative to the energy of each input. In the upper layers there
are fewer time positions than weights, and without it the fit would follow the noise of the training clips; the notebook on
compensation shows the error on clips held out for other values."""


def refit(module: nn.Module, x: Tensor, keep: Keep, *, ridge: float = RIDGE) -> nn.Module:
    """Cut a network of any architecture, and fit every layer that reads what has changed.

    Layers are fitted in the order in which they are called, each to what it gave in the whole network for the maps that stay,
    from what really reaches it in the smaller one. So maps that several layers give together, as along a residual way, are made
    up for in all that read them.

    Parameters
    ----------
    module : Module
        As in `dha_utils.pruning.graphs.cut`; left as it was.
    x : Tensor, shape (clips, ...)
        Inputs of the module, to which it is fitted.
    keep : dict of str to mask or indices
        As in `dha_utils.pruning.graphs.cut`.
    ridge : float
        See `RIDGE`.

    Returns
    -------
    Module
        In evaluation mode. A layer without a bias gets none; where a batch norm alone reads it, the constant goes there.

    Raises
    ------
    ParameterError
        As in `dha_utils.pruning.graphs.cut`.
    """
    graph = ChannelGraph(module, x[:2])
    masks = graph.combine(keep)
    whole, small = deepcopy(module).eval(), cut(module, x[:2], keep)
    with torch.no_grad():
        for name in graph.readers:
            original, reader = whole.get_submodule(name), small.get_submodule(name)
            x_full, x_small = (_seen(network, name, x) for network in (whole, small))
            if x_small.shape == x_full.shape and torch.allclose(x_small, x_full, atol=1e-6):
                continue  # nothing before it was removed
            norm = small.get_submodule(graph.norms[name]) if name in graph.norms else None
            pairs = pairs_by_group(
                reader, original, torch.from_numpy(masks.outputs[name]).to(x.device), x_full, x_small
            )
            fit_reader(reader, norm, pairs, ridge)
    return small


def _seen(network: nn.Module, name: str, x: Tensor) -> Tensor:
    """Return what a layer of a network sees, in all its calls."""
    seen = []
    hook = network.get_submodule(name).register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    for batch in x.split(BATCH):
        network(batch)
    hook.remove()
    return torch.cat(seen)


def fit_reader(
    reader: nn.Module, norm: nn.Module | None, groups: Iterable[Iterable[tuple[Tensor, Tensor]]], ridge: float
) -> None:
    """Fit a layer in place, each of its groups to inputs and targets as of `fit`.

    A layer without a bias gets none; where a batch norm alone reads it, `norm`, the constant goes there.
    """
    held = reader.bias
    if held is None and norm is not None:
        held = torch.zeros(len(reader.weight), dtype=reader.weight.dtype, device=reader.weight.device)
    n_groups = getattr(reader, "groups", 1)
    biases = [None] * n_groups if held is None else held.chunk(n_groups)
    fitted = [
        fit(weight.flatten(1), bias, pairs, ridge)
        for weight, bias, pairs in zip(reader.weight.chunk(n_groups), biases, groups, strict=True)
    ]
    reader.weight.copy_(torch.cat([weight for weight, _ in fitted]).reshape(reader.weight.shape))
    if held is None:
        return
    bias = torch.cat([bias for _, bias in fitted])
    if reader.bias is None:
        norm.running_mean -= bias
    else:
        reader.bias.copy_(bias)


def observations(x: Tensor, reader: nn.Module) -> Iterator[Tensor]:
    """Yield, for a few clips at a time, what a layer sees at its positions: (positions, columns); of many, a part."""
    if isinstance(reader, nn.Linear):
        every = max(1, x[..., 0].numel() // POSITIONS)
        return (batch.reshape(-1, batch.shape[-1])[::every] for batch in x.split(BATCH))
    return windows(x, reader)


def pairs_by_group(
    reader: nn.Module, original: nn.Module, rows: Tensor, x_full: Tensor, x_small: Tensor
) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """Yield, for every group that is left of a layer, what it sees and what the original one gave for the kept rows.

    Parameters
    ----------
    reader, original : Module
        The layer as it is, cut, and as it was.
    rows : Tensor, shape (rows of the original,), bool
    x_full, x_small : Tensor, shape (clips, maps, *positions)
        What the two see of the same clips.
    """
    groups = getattr(original, "groups", 1)
    left = [number for number, kept in enumerate(rows.chunk(groups)) if kept.any()]
    for number, own in zip(left, x_small.chunk(len(left), 1), strict=True):
        kept = rows.chunk(groups)[number]
        weight = original.weight.chunk(groups)[number][kept].flatten(1)
        bias = None if original.bias is None else original.bias.chunk(groups)[number][kept]
        seen = zip(
            observations(own, reader), observations(x_full.chunk(groups, 1)[number], original), strict=True
        )
        yield _targets(seen, weight, bias)


def _targets(seen: Iterable, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    for inputs, before in seen:
        targets = before @ weight.T
        yield inputs, targets if bias is None else targets + bias


def fit(
    weight: Tensor, bias: Tensor | None, pairs: Iterable[tuple[Tensor, Tensor]], ridge: float = RIDGE
) -> tuple[Tensor, Tensor | None]:
    """Return the weight and the bias that come closest to some targets.

    Parameters
    ----------
    weight : Tensor, shape (rows, columns)
        What is there, and is held on to.
    bias : Tensor, shape (rows,), or None
        None: nothing is added.
    pairs : iterable of (Tensor, Tensor)
        Inputs (positions, columns) and targets (positions, rows), a part of the observations each.
    ridge : float
        See `RIDGE`.
    """
    start = (weight if bias is None else torch.cat([weight, bias[:, None]], 1)).double().T
    n_columns = weight.shape[1]
    gram = torch.zeros(len(start), len(start), dtype=torch.float64, device=weight.device)
    moment = torch.zeros_like(start)
    for inputs, targets in pairs:
        if bias is not None:
            inputs = F.pad(inputs, (0, 1), value=1.0)
        gram += (inputs.T @ inputs).double()
        moment += (inputs.T @ targets).double()
    energy = gram.diagonal().clone()
    # An input that is always zero can have any weight; it keeps its own.
    penalty = ridge * energy.clamp(min=max(1e-3 * float(energy[:n_columns].mean()), 1e-12))
    penalty[n_columns:] = 0
    change = torch.linalg.solve(gram + penalty.diag(), moment - gram @ start)
    fitted = (start + change).T.to(weight.dtype)
    return fitted[:, :n_columns], None if bias is None else fitted[:, -1]
