"""What a network costs: multiply-accumulates and parameters, counted exactly, layer by layer.

Conventions: one multiply-accumulate (MAC) is one multiplication and one addition; biases, batch norm, ReLU and pooling are not
counted, as in the literature on pruning. Counts are for one clip. The ensemble reads conv1 to conv7; the two heads of
SoundNet play no part in it and count only where that is asked for.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.ensemble import LayerEnsemble
from dha_utils.errors import ParameterError
from dha_utils.pruning import resized
from dha_utils.selection import n_to_keep
from dha_utils.soundnet import HEADS, LAYERS, MIN_SAMPLES, SoundNet


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
        svm = classifier[-1].calibrated_classifiers_[0].estimator
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


def savings_table(
    keep: float, classifiers: int, kept_classifiers: int, rate: int, durations: Sequence[float]
) -> pd.DataFrame:
    """Return what ignoring maps saves, what removing their filters saves, and what the first two layers leave to be saved.

    Parameters
    ----------
    keep : float
        Fraction of the maps kept.
    classifiers, kept_classifiers : int
        Multiply-accumulates of the ensemble for one clip, with all maps and with the kept ones.
    rate : int
        Hz.
    durations : sequence of float
        Seconds.

    Returns
    -------
    DataFrame
        Columns what, and for every duration ``network_5`` and ``all_5`` (5 s): the fraction saved, of the network's
        multiply-accumulates and of the network's and the classifiers' together. The classifiers' do not depend on the length.
    """
    percent = f"{100 * (1 - keep):.0f} %"
    ways = {
        f"ignoring {percent} of the maps": ([layer.maps_out for layer in LAYERS], kept_classifiers),
        f"removing {percent} of the filters of conv3 to conv7": (fraction_widths(keep, 3), kept_classifiers),
        f"removing {percent} of the filters of all layers": (fraction_widths(keep), kept_classifiers),
        "removing those that p-Snet removes": (
            [len(kept) for kept in psnet_kept_filters().values()],
            None,
        ),
        "all that conv1 and conv2, left whole, leave to be saved": (None, None),
    }
    rows = []
    for what, (widths, classifier) in ways.items():
        row: dict[str, str | float | None] = {"what": what}
        for duration in durations:
            n_samples = round(rate * duration)
            full = count_macs(SoundNet(), n_samples)["macs"]
            if widths is None:
                left = int(full[:2].sum())
            else:
                left = int(count_macs(SoundNet(layers=resized(LAYERS, widths)), n_samples)["macs"].sum())
            total = int(full.sum())
            row[f"network_{duration:g}"] = 1 - left / total
            row[f"all_{duration:g}"] = (
                None if classifier is None else 1 - (left + classifier) / (total + classifiers)
            )
        rows.append(row)
    return pd.DataFrame(rows)
