"""What layers see and hand on: for what is fitted to a network rather than read from its taps.

Conventions: as in `dha_utils.networks.base`; activations are those of all clips at once.
"""

from collections.abc import Iterator
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.networks.base import BATCH, Network

POSITIONS = 50_000
"""About the most observations that a layer is fitted on, a hundred for each weight of a filter; conv2 has a million."""


def layer_activations(network: Network, waveforms: np.ndarray) -> list[Tensor]:
    """Return what every layer sees, and what the last one hands on.

    Parameters
    ----------
    network : Network
    waveforms : ndarray, shape (clips, samples), float32
        In [-1, 1]; or the arrays that a network of your own takes.

    Returns
    -------
    list of Tensor, each shape (clips, maps, *positions), float32
        One more than there are layers; 0.9 MB in all for a clip of 5 s at 22 050 Hz.

    Raises
    ------
    DataError
        If the network does not take what has their shape.
    """
    x = torch.from_numpy(np.ascontiguousarray(waveforms, np.float32))
    network.check_input(x)
    with torch.inference_mode():
        activations = [network.prepare(x)]
        for name in network.layers:
            activations.append(network.layer_output(name, activations[-1]))
    return activations


def windows(x: Tensor, conv: nn.Module) -> Iterator[Tensor]:
    """Yield, for a few clips at a time, what a convolution sees at its positions: (positions, maps_in * kernel).

    Of more than `POSITIONS` positions in all, every second, third, ... along the last axis is taken: neighbouring windows are
    nearly the same.
    """
    axes = list(zip(x.shape[2:], conv.kernel_size, conv.stride, conv.padding, strict=True))
    positions = prod(
        (length + 2 * padding - kernel) // stride + 1 for length, kernel, stride, padding in axes
    )
    every = max(1, len(x) * positions // POSITIONS)
    ends = [padding for *_, padding in reversed(axes) for _ in range(2)]
    for batch in x.split(BATCH):
        unfolded = F.pad(batch, ends)
        for axis, (_, kernel, stride, _) in enumerate(axes, 2):
            step = stride * every if axis == x.ndim - 1 else stride
            unfolded = unfolded.unfold(axis, kernel, step)
        yield unfolded.movedim(1, len(axes) + 1).reshape(-1, batch.shape[1] * prod(conv.kernel_size))
