"""Criteria of the literature on pruning that ask what the removal of a filter changes: in its group, behind it, in a loss.

Conventions: as in `dha_utils.criteria.base`. They order the filters of a layer (`dha_utils.criteria.selection.order_filters`);
sweeps, which ignore maps and remove nothing, do without them.
"""

from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.linear_model import LogisticRegression

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.filters import LayerWeights, layer_weights
from dha_utils.criteria.groups import varies, where_defined
from dha_utils.criteria.unpooled import LayerStatistics
from dha_utils.networks.base import Network


@dataclass(frozen=True)
class Neighbourhood:
    """All tensors that lose something with a filter.

    Attributes
    ----------
    own : LayerWeights
        Of the layer and its batch norm.
    reader : ndarray, shape (maps of the next layer, maps, kernel), float64, or None
        What the next convolution makes of the layer's maps; None for the last layer, and where the network is no chain.
    """

    own: LayerWeights
    reader: np.ndarray | None


def neighbourhoods(network: Network) -> dict[str, Neighbourhood]:
    """Return the tensors around every layer of a network, by layer."""
    weights = {layer: layer_weights(network, layer) for layer in network.layers}
    above = [*[other.kernel for other in weights.values()][1:], None]
    readers = above if network.is_chain else [None] * len(weights)
    return {
        layer: Neighbourhood(own, reader)
        for (layer, own), reader in zip(weights.items(), readers, strict=True)
    }


@criterion(
    "group_norm",
    needs="neighbourhood",
    family="removal",
    summary="squared norm of all weights that go with the filter",
    reference="Fang, Ma, Song, Mi and Wang, CVPR 2023 (Torch-Pruning)",
)
def group_norm(around: Neighbourhood) -> MapScores:
    r"""Score maps by the mean of :math:`\|w\|^2`, :math:`\gamma^2` and :math:`\|v\|^2`.

    :math:`w` is the kernel of the filter, :math:`\gamma` the scale of its batch norm, where there is one, and :math:`v` what the
    next convolution reads the map with, where there is one. Needs nothing but the network.
    """
    norms = [(around.own.kernel**2).sum(axis=(1, 2))]
    if around.own.gamma is not None:
        norms.append(around.own.gamma**2)
    if around.reader is not None:
        norms.append((around.reader**2).sum(axis=(0, 2)))
    return MapScores(np.mean(norms, axis=0))


@criterion(
    "filter_clusters",
    needs="neighbourhood",
    family="removal",
    summary="the most similar filters are merged, again and again; of each cluster the largest stays",
    reference="Ayinde, Inanc and Zurada, Neural Networks 118 (2019)",
)
def filter_clusters(around: Neighbourhood) -> MapScores:
    r"""Score maps by when their filter is merged into another.

    Clusters of filters are joined from the closest on, by the mean of :math:`1 - \cos(w, v)` over pairs; the filter of largest
    norm stands for its cluster, the one that stood for the other goes (of equal ones that of higher number). The published
    method stops at a distance; going on to the end makes any number possible. ``merged`` in `dha_utils.compensate` gives what is
    read of a removed filter to those that stay. Needs nothing but the network.

    Returns
    -------
    MapScores
        score = number of filters merged before; the last one left has the highest.
    """
    flat = around.own.kernel.reshape(len(around.own.kernel), -1)
    norms = np.linalg.norm(flat, axis=1)
    if len(flat) == 1:
        return MapScores(np.zeros(1))
    units = flat / np.maximum(norms, np.finfo(float).tiny)[:, None]
    distances = 1 - units @ units.T
    np.fill_diagonal(distances, 0)
    standing = dict(enumerate(range(len(flat))))
    score = np.full(len(flat), len(flat) - 1.0)
    for step, pair in enumerate(linkage(squareform(distances, checks=False), "average")[:, :2].astype(int)):
        stays, goes = sorted((standing[c] for c in pair), key=lambda c: (-norms[c], c))
        standing[len(flat) + step], score[goes] = stays, step
    return MapScores(score)


@criterion(
    "wanda",
    needs="activations",
    family="removal",
    summary="what the next layer reads of the map: weights times norm of the activations",
    reference="after Sun, Liu, Bair and Kolter, ICLR 2024 (Wanda)",
)
def wanda(statistics: LayerStatistics) -> MapScores:
    r"""Score maps by :math:`\sum_{i, t} |v_{it}| \, \|z_t\|`, over filters i of the next layer and places t in their kernels.

    :math:`v` is the kernel that reads the map, each filter divided by the standard deviation that its batch norm knows, and
    :math:`\|z_t\|` the norm of what it sees at place t, over all positions of all clips. Wanda scores single weights; here those
    that go with a map are summed. The last layer has no reader: its maps are scored by their standard deviation. Needs data.
    """
    if statistics.next_kernel is None:
        return MapScores(np.sqrt(statistics.covariance.diagonal()))
    seen = np.abs(statistics.next_kernel).sum(axis=0) * np.sqrt(statistics.inputs.diagonal())
    return MapScores(seen.reshape(len(statistics.covariance), -1).sum(axis=1))


@criterion(
    "taylor",
    needs="loss",
    family="removal",
    summary="first-order change of the loss of a linear head when the map is removed",
    reference="Molchanov, Mallya, Tyree, Frosio and Kautz, CVPR 2019",
)
@where_defined(varies, test=False)
def taylor(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by :math:`\frac{1}{n} \sum_i (g_i x_i)^2`, the squared change of the loss to first order, mean over clips.

    The loss is the cross-entropy of a linear head (logistic regression, L2 penalty of 1) on the layer's pooled maps,
    standardised, fitted to the same clips; :math:`g_i` is its derivative by the map's response :math:`x_i` to clip i. A map that
    is removed says its mean, where the standardised one is 0. Needs labels.
    """
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    head = LogisticRegression(max_iter=5_000).fit(standard, y)
    slopes = head.coef_ if len(head.classes_) > 2 else np.concatenate([-head.coef_, head.coef_]) / 2
    change = (head.predict_proba(standard) - (y[:, None] == head.classes_)) @ slopes
    squared = ((change * standard) ** 2).mean(axis=0)
    return MapScores(squared, effect=squared)
