"""Pruning for real: filters removed from the network, and with them the inputs of the next layer.

Conventions: ``keep`` is that of `dha_utils.pruning.keep`. Layers that are not named stay whole. Removing a filter removes its
map from every tap of its layer.
"""

import numpy as np

from dha_utils.core.errors import choose
from dha_utils.networks.base import Network
from dha_utils.pruning.graphs import cut
from dha_utils.pruning.keep import Keep, as_channels


def prune_network(network: Network, keep: Keep) -> Network:
    """Return a physically smaller network: kernels, biases and batch norm of the kept filters, and the inputs they feed.

    A network that is no chain is cut by `dha_utils.pruning.graphs.cut`, whose errors those are then; what of `keep` is said there
    of coupled channels holds.

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
    if not network.is_chain:
        return network.holding(cut(network.module, network.example, keep))
    network.check_prunable()
    return network.narrow(kept_channels(network, keep)).eval().requires_grad_(False)


def kept_channels(network: Network, keep: Keep) -> dict[str, np.ndarray]:
    """Return the kept channels of every layer, ascending, int64; arguments and errors as in `prune_network`."""
    maps = network.widths
    for layer in keep:
        choose("layer", layer, maps)
    return {layer: as_channels(layer, keep.get(layer, np.arange(n)), n) for layer, n in maps.items()}
