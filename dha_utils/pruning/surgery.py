"""Pruning for real: filters removed from the network, and with them the inputs of the next layer.

Conventions: ``keep`` maps the name of a layer, such as ``conv1``, to the channels (filters, feature maps) that stay: a
boolean mask over them, True = kept, or their zero-based numbers. Layers that are not named stay whole. Removing a filter
removes its map from every tap of its layer.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from dha_utils.core.errors import ParameterError, choose
from dha_utils.networks.base import Network

Keep = Mapping[str, np.ndarray | Sequence[int] | Sequence[bool]]


def prune_network(network: Network, keep: Keep) -> Network:
    """Return a physically smaller network: kernels, biases and batch norm of the kept filters, and the inputs they feed.

    The tensors are slices of the full ones, bit for bit; nothing makes up for what is missing (`dha_utils.pruning.compensation`
    does). `network` is left as it was.

    Parameters
    ----------
    network : Network
        Full, or pruned already.
    keep : dict of str to mask or indices
        See above; indices count in any order and mean a set.

    Returns
    -------
    Network
        With the same taps and the same ``forward``, in evaluation mode, without gradients.

    Raises
    ------
    ParameterError
        If a layer is unknown, an index is out of range or given twice, a mask has the wrong length, or a layer would be left
        empty, or the network pads otherwise than it was trained.

    Examples
    --------
    >>> from dha_utils.networks.soundnet import SoundNet
    >>> small = prune_network(SoundNet(), {"conv1": [0, 3, 5], "conv7": np.arange(1024) < 100})
    >>> small.conv1.weight.shape[0], tuple(small.conv2.weight.shape), small.tap_maps["relu7"]
    (3, (32, 3, 32), 100)
    """
    network.check_prunable()
    return network.narrow(kept_channels(network, keep)).eval().requires_grad_(False)


def kept_channels(network: Network, keep: Keep) -> dict[str, np.ndarray]:
    """Return the kept channels of every layer, ascending, int64; arguments and errors as in `prune_network`."""
    maps = network.widths
    for layer in keep:
        choose("layer", layer, maps)
    return {layer: _channels(layer, keep.get(layer, np.arange(n)), n) for layer, n in maps.items()}


def _channels(layer: str, chosen: np.ndarray | Sequence, n_maps: int) -> np.ndarray:
    """Return a mask or indices as ascending indices, or say what is wrong with them."""
    chosen = np.asarray(chosen.cpu() if isinstance(chosen, torch.Tensor) else chosen)
    if chosen.ndim != 1:
        raise ParameterError(
            f"keep of {layer} has shape {chosen.shape}, expected a mask or a list of channels"
        )
    if chosen.dtype == bool:
        if len(chosen) != n_maps:
            raise ParameterError(
                f"the mask of {layer} has {len(chosen)} entries, the layer has {n_maps} maps"
            )
        chosen = np.flatnonzero(chosen)
    if not len(chosen):
        raise ParameterError(f"keep leaves {layer} empty: at least one of its {n_maps} maps must stay")
    if not np.issubdtype(chosen.dtype, np.integer):
        raise ParameterError(f"keep of {layer} holds {chosen.dtype} numbers, expected bool or whole numbers")
    outside = chosen[(chosen < 0) | (chosen >= n_maps)]
    if len(outside):
        raise ParameterError(f"keep of {layer} names channel {outside[0]}, the layer has 0 to {n_maps - 1}")
    channels, counts = np.unique(chosen, return_counts=True)
    if len(channels) < len(chosen):
        raise ParameterError(f"keep of {layer} names channel {channels[counts.argmax()]} more than once")
    return channels.astype(np.int64)
