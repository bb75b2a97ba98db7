"""Criteria of the literature on pruning that ask what the removal of a filter changes: in its group, behind it, in a loss.

Conventions: as in `dha_utils.criteria.base`. They order the filters of a layer (`dha_utils.criteria.selection.order_filters`);
sweeps, which ignore maps and remove nothing, do without them.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, lars_path

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.filters import LayerWeights, layer_weights
from dha_utils.criteria.groups import varies, where_defined
from dha_utils.criteria.unpooled import LayerStatistics, explained_variance
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
    read = np.abs(statistics.next_kernel).sum(axis=0) * statistics.seen()
    return MapScores(read.reshape(len(statistics.covariance), -1).sum(axis=1))


@criterion(
    "lasso",
    needs="activations",
    family="removal",
    summary="penalty at which LASSO still reads the map to make what the next layer makes of all",
    reference="He, Zhang and Sun, ICCV 2017",
)
def lasso(statistics: LayerStatistics) -> MapScores:
    r"""Score maps by the largest penalty :math:`\lambda` at which their weight is not 0.

    Weights minimise :math:`\frac{1}{2} \|Y - \sum_c \beta_c X_c \hat{V}_c\|^2 + \lambda \sum_c |\beta_c|`: :math:`Y` is what the
    next convolution makes of all maps, :math:`X_c \hat{V}_c` what it makes of map c with a kernel of norm 1. The published method
    raises the penalty until few enough maps are left; all penalties at once are the path of least-angle regression. The last
    layer has no reader: as `dha_utils.criteria.unpooled.explained_variance`. Needs data.
    """
    if statistics.next_kernel is None:
        return explained_variance(statistics)
    n_maps, products = len(statistics.covariance), statistics.read_products()
    norms = np.sqrt((statistics.next_kernel**2).sum(axis=0).reshape(n_maps, -1).sum(axis=1))
    read = np.flatnonzero(norms * products.diagonal() > 0)
    norms = norms[read]
    gram = products[np.ix_(read, read)] / np.multiply.outer(norms, norms)
    # What is left of a map that the others explain is rounding: keep it from being divided by.
    gram[np.diag_indices(len(read))] *= 1 + 1e-6
    columns = np.linalg.cholesky(gram).T
    with warnings.catch_warnings():
        # Where the path ends early, the maps that it has not reached come last, by number.
        warnings.simplefilter("ignore", ConvergenceWarning)
        penalties, _, path = lars_path(columns, columns @ norms, method="lasso")
    score = np.zeros(n_maps)
    weighs = path[:, 1:] != 0
    score[read] = np.where(weighs.any(axis=1), penalties[weighs.argmax(axis=1)] * len(read), 0)
    return MapScores(score)


@criterion(
    "chip",
    needs="activations",
    family="removal",
    summary="channel independence: what the nuclear norm of all maps loses with the map",
    reference="after Sui, Yin, Xie, Phan, Zonouz and Yuan, NeurIPS 2021 (CHIP)",
)
def chip(statistics: LayerStatistics) -> MapScores:
    r"""Score maps by :math:`\|Z\|_* - \|Z_{-c}\|_*`, the nuclear norm of all maps less that of all but this one.

    A map that the others can make changes it little. CHIP takes the maps of one input at a time and averages; here :math:`Z`
    holds the maps of all clips, centred, at all positions. Takes one decomposition of the covariance per map: seconds for 256
    maps, minutes for 1 024. Needs data.
    """
    covariance = statistics.covariance
    others = (np.delete(np.delete(covariance, c, axis=0), c, axis=1) for c in range(len(covariance)))
    return MapScores(_nuclear_norm(covariance) - np.array([_nuclear_norm(part) for part in others]))


def _nuclear_norm(covariance: np.ndarray) -> float:
    """Return the sum of the singular values of what has a covariance."""
    return float(np.sqrt(np.linalg.eigvalsh(covariance).clip(min=0)).sum())


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
    standard, head, slopes = _fit_head(x, y)
    change = (head.predict_proba(standard) - (y[:, None] == head.classes_)) @ slopes
    squared = ((change * standard) ** 2).mean(axis=0)
    return MapScores(squared, effect=squared)


@criterion(
    "brain_damage",
    needs="loss",
    family="removal",
    summary="second-order change of the loss of a linear head when the map is removed, without mixed terms",
    reference="LeCun, Denker and Solla, NIPS 1989 (Optimal Brain Damage)",
)
@where_defined(varies, test=False)
def brain_damage(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by :math:`\frac{1}{2 n} \sum_i x_i^2 \, \partial^2 L_i / \partial x_i^2`, the diagonal of the Hessian.

    Loss, head and response as in `taylor`. As published, a trained head is taken to be at a minimum, where the first order is 0.
    What is left is :math:`\frac{x_i^2}{2} \left(\sum_k p_{ik} v_k^2 - (\sum_k p_{ik} v_k)^2\right)`, :math:`p_{ik}` the
    probability of class k and :math:`v_k` its weight of the map. Needs labels, for the head.
    """
    standard, head, slopes = _fit_head(x, y)
    shares = head.predict_proba(standard)
    curvature = shares @ slopes**2 - (shares @ slopes) ** 2
    change = (standard**2 * curvature).mean(axis=0) / 2
    return MapScores(change, effect=change)


def _fit_head(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, LogisticRegression, np.ndarray]:
    """Return standardised responses, a linear head fitted to them, and its weights, (classes, maps)."""
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    head = LogisticRegression(max_iter=5_000).fit(standard, y)
    slopes = head.coef_ if len(head.classes_) > 2 else np.concatenate([-head.coef_, head.coef_]) / 2
    return standard, head, slopes
