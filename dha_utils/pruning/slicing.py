"""Single modules cut to some of their channels, in place.

Conventions: a *row* is an output channel, a *column* an input channel; both are told by boolean masks, True = kept. The weight of
a convolution in groups holds, for every row, the columns of its group alone.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from dha_utils.core.errors import ParameterError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
READERS = (*CONVOLUTIONS, nn.Linear)
"""What reads all channels, or all of its group, for each that it gives."""

NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


def is_depthwise(module: nn.Module) -> bool:
    """Return whether a module is a convolution in which every row has one column of its own."""
    return isinstance(module, CONVOLUTIONS) and 1 < module.groups == module.in_channels == module.out_channels


def replace(owner: nn.Module, name: str, change: Callable[[Tensor], Tensor]) -> None:
    """Put what `change` makes of a parameter or a buffer in its place."""
    tensor = getattr(owner, name)
    changed = change(tensor.detach())
    if isinstance(tensor, nn.Parameter):
        changed = nn.Parameter(changed, requires_grad=tensor.requires_grad)
    setattr(owner, name, changed)


def slice_module(name: str, module: nn.Module, rows: np.ndarray | None, columns: np.ndarray | None) -> None:
    """Cut a module, in place.

    Parameters
    ----------
    name : str
        What it is called in errors.
    module : Module
        A convolution, a linear layer, a batch or instance norm, or a PReLU.
    rows, columns : ndarray of bool, or None
        What stays; None: all. Norms, PReLU and depthwise convolutions have rows alone.

    Raises
    ------
    ParameterError
        If it is something else, or its weight is computed from other tensors.
    """
    if not isinstance(module, (*READERS, *NORMS, nn.PReLU)):
        raise ParameterError(
            f"{name} is a {type(module).__name__}: of the maps that reach it none can be removed; keep them all"
        )
    if isinstance(module, READERS) and "weight" not in module._parameters:
        raise ParameterError(
            f"the weight of {name} is computed from other tensors: make it a plain one first"
        )
    vectors = ("bias",)
    if isinstance(module, READERS):
        _slice_weight(module, rows, rows if is_depthwise(module) else columns)
    elif isinstance(module, nn.PReLU):
        vectors, module.num_parameters = ("weight",), int(rows.sum())
    else:
        vectors, module.num_features = ("weight", "bias", "running_mean", "running_var"), int(rows.sum())
    for own in vectors:
        if rows is not None and getattr(module, own) is not None:
            replace(module, own, lambda vector: vector[_on(vector, rows)])


def _on(tensor: Tensor, mask: np.ndarray | None, length: int = 0) -> Tensor:
    """Return a mask on the device of a tensor; all of `length` where there is none."""
    return torch.as_tensor(np.ones(length, bool) if mask is None else mask, device=tensor.device)


def _slice_weight(reader: nn.Module, rows: np.ndarray | None, columns: np.ndarray | None) -> None:
    """Cut the weight of a convolution or a linear layer, group by group; groups without a row vanish."""
    weight, groups = reader.weight, getattr(reader, "groups", 1)
    of_rows = _on(weight, rows, len(weight)).chunk(groups)
    of_columns = _on(weight, columns, groups * weight.shape[1]).chunk(groups)
    left = [(i, r, c) for i, (r, c) in enumerate(zip(of_rows, of_columns, strict=True)) if r.any()]
    replace(reader, "weight", lambda w: torch.cat([w.chunk(groups)[i][r][:, c] for i, r, c in left]))
    sizes = (len(reader.weight), len(left) * reader.weight.shape[1])
    if isinstance(reader, nn.Linear):
        reader.out_features, reader.in_features = sizes
    else:
        (reader.out_channels, reader.in_channels), reader.groups = sizes, len(left)
