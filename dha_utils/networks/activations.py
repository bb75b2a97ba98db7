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
        One more than there are layers; 0.9 MB in all for a clip of 5 s at 22 050 Hz. Of a network that is no chain, what it
        takes, alone.

    Raises
    ------
    DataError
        If the network does not take what has their shape.
    """
    x = torch.from_numpy(np.ascontiguousarray(waveforms, np.float32))
    network.check_input(x)
    with torch.inference_mode():
        activations = [network.prepare(x)]
        for name in network.layers if network.is_chain else ():
            activations.append(network.layer_output(name, activations[-1]))
    return activations


def windows(x: Tensor, conv: nn.Module) -> Iterator[Tensor]:
    """Yield, for a few clips at a time, what a convolution sees at its positions: (positions, maps_in * kernel).

    Of more than `POSITIONS` positions in all, every second, third, ... along the last axis is taken: neighbouring windows are
    nearly the same.
    """
    axes = list(zip(x.shape[2:], conv.kernel_size, conv.stride, conv.dilation, _ends(conv), strict=True))
    spans = [dilation * (kernel - 1) + 1 for _, kernel, _, dilation, _ in axes]
    positions = prod(
        (length + sum(ends) - span) // stride + 1
        for (length, _, stride, _, ends), span in zip(axes, spans, strict=True)
    )
    every = max(1, len(x) * positions // POSITIONS)
    pads = [end for *_, ends in reversed(axes) for end in ends]
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    for batch in x.split(BATCH):
        unfolded = F.pad(batch, pads, mode)
        for axis, ((_, _, stride, dilation, _), span) in enumerate(zip(axes, spans, strict=True), 2):
            step = stride * every if axis == x.ndim - 1 else stride
            unfolded = unfolded.unfold(axis, span, step)[..., ::dilation]
        yield unfolded.movedim(1, len(axes) + 1).reshape(-1, batch.shape[1] * prod(conv.kernel_size))


def _ends(conv: nn.Module) -> list[tuple[int, int]]:
    """Return what a convolution pads its input with, before and after, axis by axis."""
    if conv.padding == "same":
        totals = [
            dilation * (kernel - 1) for kernel, dilation in zip(conv.kernel_size, conv.dilation, strict=True)
        ]
        return [(total // 2, total - total // 2) for total in totals]
    if conv.padding == "valid":
        return [(0, 0)] * len(conv.kernel_size)
    return [(padding, padding) for padding in conv.padding]
