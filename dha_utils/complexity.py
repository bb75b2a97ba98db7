"""What a network and its classifiers cost: multiply-accumulates and parameters, counted exactly, layer by layer.

Conventions: one multiply-accumulate (MAC) is one multiplication and one addition; biases, batch norm, ReLU and max pooling are
not counted, as in the literature on pruning. Counts are for one clip. The ensemble reads conv1 to conv7; the two heads of
SoundNet play no part in it and count only where that is asked for. An addition of the averages over time counts as a MAC.

A filter *needs to be computed* if its map is kept at a tap, or if a filter that needs to be computed reads it. Kernels read all
maps of the layer below, so that only layers that nothing else reads are affected: here the last one.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.ensemble import LayerEnsemble, fitted_svm
from dha_utils.errors import ParameterError
from dha_utils.pruning import resized
from dha_utils.selection import n_to_keep
from dha_utils.soundnet import HEADS, LAYERS, MIN_SAMPLES, SoundNet, layer_number


def count_macs(model: SoundNet, n_samples: int, *, heads: bool = False) -> pd.DataFrame:
    """Return the multiply-accumulates and the parameters of every layer for one clip.

    Parameters
    ----------
    model : SoundNet
        Full or pruned.
    n_samples : int
        Length of the clip: 110 250 for 5 s at 22 050 Hz.
    heads : bool
        Count the two output heads as well; a clip that is too short for their kernels makes no use of them.

    Returns
    -------
    DataFrame
        One row per layer: layer, maps_in, maps_out, kernel, positions (time positions of its output), macs, parameters
        (kernel, bias and the four vectors of batch norm; heads have no batch norm); all but the first are int.

    Raises
    ------
    ParameterError
        If the clip is too short for the network.

    Examples
    --------
    >>> table = count_macs(SoundNet(), 110_250)
    >>> int(table["macs"].sum()), int(table["parameters"].sum())
    (146397184, 2878384)
    """
    if n_samples < MIN_SAMPLES:
        raise ParameterError(f"n_samples is {n_samples!r}, the network needs at least {MIN_SAMPLES}")
    rows = []
    length = n_samples
    for number, layer in enumerate(model.layers, 1):
        length = (length + 2 * layer.padding - layer.kernel) // 2 + 1
        size = layer.maps_in * layer.maps_out * layer.kernel
        rows.append((f"conv{number}", *layer[:3], length, size * length, size + 5 * layer.maps_out))
        length //= layer.pool or 1
    if heads:
        for head in HEADS:
            n_classes, maps_in, kernel = model.get_submodule(head).weight.shape
            positions = max(0, (length - kernel) // 2 + 1)
            size = maps_in * n_classes * kernel
            rows.append((head, maps_in, n_classes, kernel, positions, size * positions, size + n_classes))
    columns = ["layer", "maps_in", "maps_out", "kernel", "positions", "macs", "parameters"]
    return pd.DataFrame(rows, columns=columns)


def count_classifier_macs(ensemble: LayerEnsemble) -> pd.DataFrame:
    """Return the multiply-accumulates of the classifiers for one clip, tap by tap.

    A polynomial SVM takes one product of the clip with every support vector, one multiplication per support vector and
    degree, and one product of the kernel values with its coefficients, one for each other class.

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
        svm = fitted_svm(classifier)
        n_vectors, n_maps = svm.support_vectors_.shape
        # libsvm multiplies a kernel value once for each pair of classes that the vector's own class is part of.
        macs = n_vectors * (n_maps + svm.degree) + n_vectors * (len(svm.classes_) - 1)
        rows.append((layer.tap, n_maps, n_vectors, macs))
    return pd.DataFrame(rows, columns=["tap", "maps", "support_vectors", "macs"])


def saving(full: Iterable[int], small: Iterable[int]) -> float:
    """Return the fraction by which the sum of `small` is below that of `full`.

    >>> saving([60, 40], [30, 20])
    0.5
    """
    return 1 - sum(small) / sum(full)


def fraction_widths(keep: float, first: int = 1) -> list[int]:
    """Return the maps of every layer when the layers from number `first` on keep a fraction, as `dha_utils.select` rounds it.

    >>> fraction_widths(0.11, first=3)
    [16, 32, 7, 14, 28, 56, 113]
    """
    return [
        n_to_keep(keep, layer.maps_out) if number >= first else layer.maps_out
        for number, layer in enumerate(LAYERS, 1)
    ]


def kept_filters(masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which filters of every layer make a map that is kept at some tap.

    Parameters
    ----------
    masks : dict of str to ndarray, shape (maps,), bool
        Keep masks by tap; a layer without a tap keeps nothing.

    Returns
    -------
    dict of str to ndarray, shape (maps,), bool
        By layer, ``conv1`` to ``conv7``.

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
    kept = {f"conv{number}": np.zeros(layer.maps_out, bool) for number, layer in enumerate(LAYERS, 1)}
    for tap, mask in masks.items():
        filters = kept[f"conv{layer_number(tap)}"]
        if mask.shape != filters.shape:
            raise ParameterError(
                f"the mask of {tap} has shape {mask.shape}, its layer {len(filters)} filters"
            )
        filters |= mask
    return kept


def needed_filters(masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return which filters need to be computed for the maps that are kept; see the head of this module.

    Parameters and errors as in `kept_filters`.

    Examples
    --------
    >>> needed = needed_filters({"pool1": np.arange(16) < 2, "bn2": np.arange(32) < 5})
    >>> [int(mask.sum()) for mask in needed.values()]
    [16, 5, 0, 0, 0, 0, 0]
    """
    needed = kept_filters(masks)
    read = False  # whether a filter of the layer above needs to be computed, and reads all of this layer
    for layer, mask in reversed(needed.items()):
        needed[layer] = np.full(len(mask), True) if read else mask
        read = bool(needed[layer].any())
    return needed


def pooling_additions(maps: Mapping[str, int], n_samples: int) -> int:
    """Return the additions of the averages over time of these numbers of maps at every tap.

    >>> pooling_additions({"relu7": 10}, 110_250)  # four positions
    40
    """
    positions = count_macs(SoundNet(), n_samples)["positions"].tolist()
    total = 0
    for tap, n_maps in maps.items():
        number = layer_number(tap)
        shrunk = (LAYERS[number - 1].pool or 1) if tap.startswith("pool") else 1
        total += n_maps * (positions[number - 1] // shrunk)
    return total


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
    whole = [layer.maps_out for layer in LAYERS]
    union = [int(mask.sum()) for mask in kept_filters(masks).values()]
    kept_maps = {tap: int(mask.sum()) for tap, mask in masks.items()}
    costs = count_macs(SoundNet(), n_samples)
    needed = [mask.mean() for mask in needed_filters(masks).values()]

    def network(widths: list[int]) -> int:
        return int(count_macs(SoundNet(layers=resized(LAYERS, widths)), n_samples)["macs"].sum())

    removed = "removing the filters of conv3 to conv7"
    ways = {
        "ignoring": (
            f"ignoring {percent} of the maps",
            round(sum(macs * share for macs, share in zip(costs["macs"], needed, strict=True))),
            kept_maps,
        ),
        "removing_union": (f"{removed} that are kept at no tap", network(whole[:2] + union[2:]), kept_maps),
        "removing_fraction": (f"{removed}, {percent} of each", network(fraction_widths(keep, 3)), kept_maps),
        "removing_everywhere": (
            f"removing {percent} of the filters of all layers",
            network(fraction_widths(keep)),
            kept_maps,
        ),
        "psnet": (
            "removing those that p-Snet removes",
            network([len(kept) for kept in psnet_kept_filters().values()]),
            None,
        ),
        "cap": (
            "all that conv1 and conv2, left whole, leave to be saved",
            int(costs["macs"][:2].sum()),
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
