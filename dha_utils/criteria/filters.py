"""Other people's criteria that look at the weights alone: a map is scored by the filter that makes it.

Conventions: filters are ``(maps, maps in, kernel)``, kernels of two dimensions flattened;
all taps of one layer (bn5, relu5, pool5) get the same
scores.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from dha_utils.core.errors import DataError
from dha_utils.criteria.base import MapScores, criterion
from dha_utils.networks.base import Network


@dataclass(frozen=True)
class LayerWeights:
    """The tensors of the layer that makes a tap's maps.

    Attributes
    ----------
    layer : str
        Name of the convolution, such as conv5.
    kernel : ndarray, shape (maps, maps in, kernel), float64
    bias, gamma, beta, mean, var : ndarray, shape (maps,), float64, or None
        Of the convolution, and scale, shift and running statistics of the batch norm behind it; None where there is none.
    """

    layer: str
    kernel: np.ndarray
    bias: np.ndarray | None
    gamma: np.ndarray | None
    beta: np.ndarray | None
    mean: np.ndarray | None
    var: np.ndarray | None


def layer_weights(network: Network, tap: str) -> LayerWeights:
    """Return the weights of the layer that makes the maps of `tap`.

    Raises
    ------
    ParameterError
        If the network has no such tap.
    """
    layer = network.layer_of(tap)
    conv, norm, _ = network.layers[layer]
    of_norm = [getattr(norm, name, None) for name in ("weight", "bias", "running_mean", "running_var")]
    tensors = (conv.weight.flatten(2), conv.bias, *of_norm)
    return LayerWeights(
        layer, *(None if t is None else t.numpy(force=True).astype(np.float64) for t in tensors)
    )


@criterion(
    "l1",
    needs="weights",
    family="published criteria",
    summary="L1 norm of the filter",
    reference="Li, Kadav, Durdanovic, Samet and Graf, ICLR 2017",
)
def l1(weights: LayerWeights) -> MapScores:
    """Score maps by the sum of absolute kernel weights."""
    return MapScores(np.abs(weights.kernel).sum(axis=(1, 2)))


@criterion(
    "geometric_median",
    needs="weights",
    family="published criteria",
    summary="distance of the filter to all others: those near the geometric median go",
    reference="He, Liu, Wang, Hu and Yang, CVPR 2019 (FPGM)",
)
def geometric_median(weights: LayerWeights) -> MapScores:
    """Score maps by the sum of Euclidean distances between their filter and all filters of the layer."""
    flat = weights.kernel.reshape(len(weights.kernel), -1)
    return MapScores(cdist(flat, flat).sum(axis=1))


@criterion(
    "bn_scale",
    needs="weights",
    family="published criteria",
    summary="magnitude of the batch-norm scale",
    reference="Liu, Li, Shen, Huang, Yan and Zhang, ICCV 2017 (Network Slimming)",
)
def bn_scale(weights: LayerWeights) -> MapScores:
    r"""Score maps by :math:`|\gamma|`; SoundNet was not trained with the penalty that the method asks for.

    Raises
    ------
    DataError
        If no batch norm follows the convolution.
    """
    if weights.gamma is None:
        raise DataError(f"no batch norm follows {weights.layer}: use another criterion")
    return MapScores(np.abs(weights.gamma))


@criterion(
    "filter_similarity",
    needs="weights",
    family="published criteria",
    summary="of the two most similar filters one goes, again and again",
    reference="Singh and Plumbley, Interspeech 2022",
)
def filter_similarity(weights: LayerWeights) -> MapScores:
    """Score maps by when their filter is removed; see `rank_one_prototypes` for what is compared.

    Pairs are gone through from the most similar (cosine) down; where both filters of a pair are still there,
    the one of higher number goes. The published algorithm stops after one pass over every filter's nearest
    one, which fixes how many are kept; going on until one filter is left gives a full order and makes any
    number possible.

    Returns
    -------
    MapScores
        score = number of filters removed before; the last one left has the highest.
    """
    prototypes = rank_one_prototypes(weights.kernel)
    first, second = np.triu_indices(len(prototypes), 1)
    similarity = (prototypes @ prototypes.T)[first, second]
    score = np.full(len(prototypes), len(prototypes) - 1.0)
    there = np.ones(len(prototypes), dtype=bool)
    removed = 0
    for pair in np.argsort(-similarity, kind="stable"):
        if there[first[pair]] and there[second[pair]]:
            there[second[pair]] = False
            score[second[pair]] = removed
            removed += 1
    return MapScores(score)


def rank_one_prototypes(kernel: np.ndarray) -> np.ndarray:
    """Return the unit-length time course of each filter's best rank-1 approximation, shape (maps, kernel).

    All input channels of a rank-1 filter have one time course up to a factor; the sign is that of the first
    channel, and positive where that factor is 0.

    Parameters
    ----------
    kernel : ndarray, shape (maps, maps in, kernel)
    """
    channels, _, courses = np.linalg.svd(kernel, full_matrices=False)
    return courses[:, 0] * np.where(channels[:, 0, :1] < 0, -1, 1)


@criterion(
    "psnet",
    needs="weights",
    family="published criteria",
    summary="the filters that the released p-Snet kept",
    reference="Singh, Rajan and Bhavsar, Pattern Recognition Letters 131 (2020)",
    is_order=False,
)
def psnet(weights: LayerWeights) -> MapScores:
    """Score maps 1 if p-Snet has their filter and 0 if not; ``n_keep`` is how many it has in this layer.

    Raises
    ------
    DataError
        If the layer is not one of SoundNet's: the published filters are channel numbers of that network.
    """
    kept = psnet_kept_filters().get(weights.layer, [])
    n_maps = len(weights.kernel)
    if not kept or max(kept) >= n_maps:
        raise DataError(
            f"p-Snet's filters are channels of SoundNet-8, not of a {weights.layer} with {n_maps} maps: "
            "use another criterion"
        )
    score = np.zeros(n_maps)
    score[kept] = 1
    return MapScores(score, n_keep=len(kept))


@cache
def psnet_kept_filters() -> dict[str, list[int]]:
    """Return the zero-based filters that p-Snet keeps, conv1 to conv7; the file says where they were read."""
    path = Path(__file__).with_name("psnet_kept_filters.json")
    return json.loads(path.read_text(encoding="utf-8"))["kept"]
