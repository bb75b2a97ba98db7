"""Which channels stay: a mask or a list of them, said for every layer.

Conventions: ``keep`` maps the name of a layer, such as ``conv1``, to the channels (filters, feature maps) that stay: a
boolean mask over them, True = kept, or their zero-based numbers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from dha_utils.core.errors import ParameterError

Keep = Mapping[str, np.ndarray | Sequence[int] | Sequence[bool]]


def as_channels(layer: str, chosen: np.ndarray | Sequence, n_maps: int) -> np.ndarray:
    """Return a mask or indices as ascending indices, int64.

    Parameters
    ----------
    layer : str
        Whose channels they are.
    chosen : mask or indices
        Indices count in any order and mean a set.
    n_maps : int
        How many channels the layer has.

    Raises
    ------
    ParameterError
        If an index is out of range or given twice, a mask has the wrong length, or nothing stays.
    """
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
