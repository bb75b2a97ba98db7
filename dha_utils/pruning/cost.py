"""What a network and its classifiers cost: multiply-accumulates and parameters, counted exactly, layer by layer.

Conventions: one multiply-accumulate (MAC) is one multiplication and one addition; biases, batch norm, ReLU and max pooling are
not counted, as in the literature on pruning. Counts are for one clip. The ensemble reads the taps; what else reads the last maps
(two heads, in SoundNet) plays no part in it and counts only where that is asked for. An addition of the averages over positions
counts as a MAC. Where no network is given, it is SoundNet-8.

A filter *needs to be computed* if its map is kept at a tap, or if a filter that needs to be computed reads it. Kernels read all
maps of the layer below, so that only layers that nothing else reads are affected: here the last one.
"""

from collections.abc import Iterable, Mapping
from math import prod

import numpy as np
import pandas as pd
from sklearn.svm import SVC

from dha_utils.core.errors import ParameterError
from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.criteria.selection import n_to_keep
from dha_utils.evaluation.ensemble import LayerEnsemble, machine_of, support_of
from dha_utils.networks.base import Network
from dha_utils.networks.registry import outline


def count_macs(network: Network, n_samples: int | None = None, *, heads: bool = False) -> pd.DataFrame:
    """Return the multiply-accumulates and the parameters of every layer for one clip.

    Parameters
    ----------
    network : Network
        Full or pruned.
    n_samples : int, optional
        Length of the clip: 110 250 for 5 s at 22 050 Hz; of a network of your own by default what it was wrapped for.
    heads : bool
        Count the heads as well; a clip that is too short for their kernels makes no use of them.

    Returns
    -------
    DataFrame
        One row per layer: layer, maps_in, maps_out, kernel (values that it reads of each map), positions (of its output), macs,
        parameters (kernel, bias and the four vectors of batch norm, where one follows); all but the first are int.

    Raises
    ------
    ParameterError
        If the clip is too short for the network.

    Examples
    --------
    >>> from dha_utils.networks.registry import outline
    >>> table = count_macs(outline("soundnet8"), 110_250)
    >>> int(table["macs"].sum()), int(table["parameters"].sum())
    (146397184, 2878384)
    """
    shapes = network.shapes(n_samples)
    *_, last = shapes.values()
    convs = [(name, *layer[:2], prod(shapes[name][1:])) for name, layer in network.layers.items()]
    if heads:
        convs += [
            (head, network.get_submodule(head), None, n) for head, n in network.head_positions(last).items()
        ]
    rows = []
    for name, conv, norm, positions in convs:
        size, (maps_out, maps_in, *kernel) = conv.weight.numel(), conv.weight.shape
        vectors = (conv.bias is not None) + 4 * (norm is not None)
        costs = size * positions, size + vectors * maps_out
        maps_in *= getattr(conv, "groups", 1)
        rows.append((name, maps_in, maps_out, prod(kernel), positions, *costs))
    columns = ["layer", "maps_in", "maps_out", "kernel", "positions", "macs", "parameters"]
    return pd.DataFrame(rows, columns=columns)


def count_classifier_macs(ensemble: LayerEnsemble) -> pd.DataFrame:
    """Return the multiply-accumulates of the classifiers for one clip, tap by tap.

    A kernel takes one product of the clip with every vector that it is compared with, and one multiplication per vector and
    degree; a polynomial SVM then one product of the kernel values with its coefficients for each other class, least squares for
    each class. A linear classifier takes one product for each class.

    Parameters
    ----------
    ensemble : LayerEnsemble
        Fitted.

    Returns
    -------
    DataFrame
        Columns tap, maps (that it sees), support_vectors, macs; int.
    """
    rows = []
    for layer, classifier in zip(ensemble.layers, ensemble.classifiers_, strict=True):
        machine, vectors = machine_of(classifier), support_of(classifier)
        n_maps, n_classes = classifier[0].n_features_in_, len(machine.classes_)
        n_vectors = 0 if vectors is None else len(vectors)
        # libsvm multiplies a kernel value once for each pair of classes that the vector's own class is part of.
        products = n_classes - 1 if isinstance(machine, SVC) else n_classes
        macs = n_vectors * (n_maps + machine.degree + products) if n_vectors else n_maps * n_classes
        rows.append((layer.tap, n_maps, n_vectors, macs))
    return pd.DataFrame(rows, columns=["tap", "maps", "support_vectors", "macs"])


def saving(full: Iterable[int], small: Iterable[int]) -> float:
    """Return the fraction by which the sum of `small` is below that of `full`.

    >>> saving([60, 40], [30, 20])
    0.5
    """
    return 1 - sum(small) / sum(full)


def fraction_widths(keep: float, first: int = 1, network: Network | None = None) -> dict[str, int]:
    """Return the maps of every layer when the layers from number `first` on keep a fraction, as `dha_utils.select` rounds it.

    >>> list(fraction_widths(0.11, first=3).values())
    [16, 32, 7, 14, 28, 56, 113]
    """
    widths = (network or outline()).widths
    return {
        layer: n_to_keep(keep, n) if number >= first else n
        for number, (layer, n) in enumerate(widths.items(), 1)
    }


def kept_filters(masks: Mapping[str, np.ndarray], network: Network | None = None) -> dict[str, np.ndarray]:
    """Return which filters of every layer make a map that is kept at some tap.

    Parameters
    ----------
    masks : dict of str to ndarray, shape (maps,), bool
        Keep masks by tap; a layer without a tap keeps nothing. Where maps have several columns of responses
        (`dha_utils.criteria.selection.Selection`), one that is kept keeps the map.
    network : Network, optional
        By default SoundNet-8.

    Returns
    -------
    dict of str to ndarray, shape (maps,), bool
        By layer.

    Raises
    ------
    ParameterError
        If a mask does not fit the layer of its tap.

    Examples
    --------
    >>> kept = kept_filters({"pool1": np.arange(16) < 2, "bn2": np.arange(32) < 5, "relu2": np.arange(32) > 29})
    >>> [int(mask.sum()) for mask in kept.values()]
    [2, 7, 0, 0, 0, 0, 0]
    """
    network = network or outline()
    kept = {layer: np.zeros(n_maps, bool) for layer, n_maps in network.widths.items()}
    for tap, mask in masks.items():
        filters = kept[network.layer_of(tap)]
        if mask.ndim != 1 or len(mask) % len(filters):
            raise ParameterError(
                f"the mask of {tap} has shape {mask.shape}, its layer {len(filters)} filters"
            )
        filters |= mask.reshape(-1, len(filters)).any(axis=0)
    return kept


def needed_filters(masks: Mapping[str, np.ndarray], network: Network | None = None) -> dict[str, np.ndarray]:
    """Return which filters need to be computed for the maps that are kept; see the head of this module.

    Parameters and errors as in `kept_filters`.

    Examples
    --------
    >>> needed = needed_filters({"pool1": np.arange(16) < 2, "bn2": np.arange(32) < 5})
    >>> [int(mask.sum()) for mask in needed.values()]
    [16, 5, 0, 0, 0, 0, 0]
    """
    needed = kept_filters(masks, network)
    read = False  # whether a filter of the layer above needs to be computed, and reads all of this layer
    for layer, mask in reversed(needed.items()):
        needed[layer] = np.full(len(mask), True) if read else mask
        read = bool(needed[layer].any())
    return needed


def pooling_additions(maps: Mapping[str, int], n_samples: int, network: Network | None = None) -> int:
    """Return the additions of the averages over all positions of these numbers of maps at every tap.

    >>> pooling_additions({"relu7": 10}, 110_250)  # four positions
    40
    """
    shapes = (network or outline()).shapes(n_samples)
    return sum(n_maps * prod(shapes[tap][1:]) for tap, n_maps in maps.items())


FIRST = ("conv1", "conv2")
"""Layers of SoundNet that are left whole: most of its computation, and few maps."""


def savings_table(
    masks: Mapping[str, np.ndarray], keep: float, classifiers: int, kept_classifiers: int, n_samples: int
) -> pd.DataFrame:
    """Return what ignoring maps saves, what removing filters saves, and what the first two layers leave to be saved.

    Parameters
    ----------
    masks : dict of str to ndarray, shape (maps,), bool
        The maps that are kept, at every tap of the ensemble.
    keep : float
        The fraction of maps that they are.
    classifiers, kept_classifiers : int
        Multiply-accumulates of the classifiers, trained on all maps and on the kept ones.
    n_samples : int
        Length of the clip.

    Returns
    -------
    DataFrame
        Columns name, what, network and all: the fraction saved of the network's multiply-accumulates, and of those of network,
        averages over time and classifiers together. Where filters are removed, classifiers of as many maps and support vectors
        are counted as where they are ignored; NaN where there is nothing to go by.
    """
    percent = f"{100 * (1 - keep):.0f} %"
    full_network = outline()
    union = {layer: int(mask.sum()) for layer, mask in kept_filters(masks).items()}
    union |= {layer: full_network.widths[layer] for layer in FIRST}
    kept_maps = {tap: int(mask.sum()) for tap, mask in masks.items()}
    costs = count_macs(full_network, n_samples)
    needed = [mask.mean() for mask in needed_filters(masks).values()]

    def network(widths: Mapping[str, int]) -> int:
        small = full_network.narrow({layer: np.arange(n) for layer, n in widths.items()})
        return int(count_macs(small, n_samples)["macs"].sum())

    removed = "removing the filters of conv3 to conv7"
    ways = {
        "ignoring": (
            f"ignoring {percent} of the maps",
            round(sum(macs * share for macs, share in zip(costs["macs"], needed, strict=True))),
            kept_maps,
        ),
        "removing_union": (f"{removed} that are kept at no tap", network(union), kept_maps),
        "removing_fraction": (f"{removed}, {percent} of each", network(fraction_widths(keep, 3)), kept_maps),
        "removing_everywhere": (
            f"removing {percent} of the filters of all layers",
            network(fraction_widths(keep)),
            kept_maps,
        ),
        "psnet": (
            "removing those that p-Snet removes",
            network({layer: len(kept) for layer, kept in psnet_kept_filters().items()}),
            None,
        ),
        "cap": (
            "all that conv1 and conv2, left whole, leave to be saved",
            int(costs["macs"][: len(FIRST)].sum()),
            None,
        ),
    }
    full = int(costs["macs"].sum())
    everything = full + classifiers + pooling_additions({tap: len(m) for tap, m in masks.items()}, n_samples)
    rows = []
    for name, (what, macs, maps) in ways.items():
        total = np.nan if maps is None else macs + kept_classifiers + pooling_additions(maps, n_samples)
        rows.append((name, what, 1 - macs / full, 1 - total / everything))
    return pd.DataFrame(rows, columns=["name", "what", "network", "all"])
