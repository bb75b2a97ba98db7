"""Criteria that look at a layer's activations on the training clips, unpooled.

Conventions: what is looked at is a layer's output as the next layer sees it (after ReLU and pooling): every position of every
training clip is an observation. No label is asked for. Maps are taken one by one, the one to keep longest first; the score of a
map is how many come after it. With it goes what of the measured quantity is lost when only the first k maps are kept, by which
`dha_utils.pruning.allocation` divides a budget among the layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.networks.activations import windows
from dha_utils.networks.base import Network

TINY = 1e-9
"""A map whose unexplained variance is below this share of the largest map's variance counts as explained."""

EXPLAINED = 1e-4
"""What the next layer gives counts as explained where less than this share of its energy is left: sums of windows are good to
about 1e-5 of it, and an order of what is left would be one of rounding."""


@dataclass(frozen=True)
class LayerStatistics:
    """Second moments of what a layer hands on, over all time positions of the training clips.

    Attributes
    ----------
    covariance : ndarray, shape (C, C), float64
        Of its C maps.
    inputs : ndarray, shape (C * kernel, C * kernel), float64, or None
        Second moments of the windows that the next convolution sees; None for the last layer.
    next_kernel : ndarray, shape (maps of the next layer, C * kernel), float64, or None
        What that convolution makes of them, each row divided by the standard deviation that batch norm, if there is one, knows.
    """

    covariance: np.ndarray
    inputs: np.ndarray | None
    next_kernel: np.ndarray | None

    def seen(self) -> np.ndarray:
        """Return the norms of what the next convolution sees at every place of its kernels, shape (C * kernel,)."""
        return np.sqrt(self.inputs.diagonal())

    def read_products(self) -> np.ndarray:
        """Return the inner products of what the next convolution makes of every map by itself, shape (C, C)."""
        places = self.inputs * (self.next_kernel.T @ self.next_kernel)
        n_maps = len(self.covariance)
        return places.reshape(n_maps, -1, n_maps, places.shape[1] // n_maps).sum(axis=(1, 3))


@dataclass(frozen=True)
class SampledStatistics(LayerStatistics):
    """The same from some windows only, where those of all positions are too many: 1 024 maps of 64 places are 65 536 columns.

    Attributes
    ----------
    inputs : ndarray, shape (windows, C * kernel)
        Windows that the next convolution sees, in place of their second moments.
    """

    def seen(self) -> np.ndarray:
        """Return as `LayerStatistics.seen`, of these windows."""
        return np.linalg.norm(self.inputs, axis=0)

    def read_products(self) -> np.ndarray:
        """Return as `LayerStatistics.read_products`, of these windows."""
        n_maps = len(self.covariance)
        windows = self.inputs.reshape(len(self.inputs), n_maps, -1).transpose(1, 0, 2)
        kernels = self.next_kernel.reshape(len(self.next_kernel), n_maps, -1).transpose(1, 2, 0)
        made = (windows @ kernels).reshape(n_maps, -1)
        return made @ made.T


def gather_statistics(network: Network, activations: Sequence[torch.Tensor]) -> dict[str, LayerStatistics]:
    """Gather the statistics of every layer.

    Parameters
    ----------
    network : Network
    activations : sequence of Tensor
        Of the training clips, as `dha_utils.networks.activations.layer_activations` gives them.

    Returns
    -------
    dict of str to LayerStatistics
        By layer, in order.
    """
    layers = list(network.layers.items())
    statistics = {}
    with torch.inference_mode():
        for number, ((name, _), x) in enumerate(zip(layers, activations[1:], strict=True), 1):
            covariance = torch.cov(x.transpose(0, 1).reshape(x.shape[1], -1).double()).reshape(x.shape[1], -1)
            inputs, next_kernel = None, None
            if number < len(layers):
                conv, norm, _ = layers[number][1]
                inputs = sum((part.T @ part).double() for part in windows(x, conv))
                inputs = (inputs / inputs.diagonal().mean()).numpy()
                kernels = conv.weight.flatten(1)
                if norm is not None:
                    kernels = kernels / (norm.running_var + norm.eps).sqrt()[:, None]
                next_kernel = kernels.double().numpy()
            statistics[name] = LayerStatistics(covariance.numpy(), inputs, next_kernel)
    return statistics


@criterion(
    "explained_variance",
    needs="activations",
    family="unpooled activations",
    summary="share of the variance of all maps that is explained, map by map",
    reference="forward selection; Farahat, Ghodsi and Kamel, ICDM 2011",
)
def explained_variance(statistics: LayerStatistics) -> MapScores:
    r"""Order maps so that the first k explain as much as possible of the variance of all, by linear regression.

    Greedy: each next map is the one whose unexplained part :math:`r_j` explains most of what is left of all maps,
    :math:`\sum_i (r_i \cdot r_j)^2 / \|r_j\|^2`. (Pivoted QR takes the largest :math:`\|r_j\|` instead, whether other maps go
    with it or not.) Source: forward selection for column subset selection (Farahat, Ghodsi and Kamel, ICDM 2011).

    Parameters
    ----------
    statistics : LayerStatistics

    Returns
    -------
    MapScores
        ``lost``: the share of the total variance that the first k maps leave unexplained; from 1 down to 0.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> scores = explained_variance(LayerStatistics(np.cov(x[:, [0, 0, 1, 0]].T), None, None))
    >>> scores.score.tolist(), bool(scores.lost[1] > 0.1), bool(scores.lost[2] < 1e-9)
    ([3.0, 1.0, 2.0, 0.0], True, True)
    """
    return _eliminate(
        statistics.covariance, lambda left, diagonal: np.einsum("ij,ij->j", left, left) / diagonal
    )


@criterion(
    "pivoted_qr_unpooled",
    needs="activations",
    family="unpooled activations",
    summary="column-pivoted QR of the activations",
    reference="Businger and Golub, Numerische Mathematik 7 (1965)",
)
def pivoted_qr_unpooled(statistics: LayerStatistics) -> MapScores:
    """Order maps by column-pivoted QR of their centred activations (as pivoted Cholesky of the covariance); as above."""
    return _eliminate(statistics.covariance, lambda left, diagonal: diagonal)


def _eliminate(covariance: np.ndarray, gain) -> MapScores:
    """Take maps one by one, the one of largest `gain` first, and regress what is left of the others on it."""
    left = covariance.astype(np.float64)
    n_maps, floor, total = len(left), TINY * left.diagonal().max(), left.trace()
    part = np.empty_like(left)
    order, unexplained = [], [1.0]
    for _ in range(n_maps):
        diagonal = left.diagonal()
        usable = diagonal > floor
        usable[order] = False
        if not usable.any():
            break
        best = int(np.where(usable, gain(left, np.where(usable, diagonal, 1.0)), -np.inf).argmax())
        order.append(best)
        left -= np.multiply.outer(left[:, best], left[best] / left[best, best], out=part)
        unexplained.append(max(float(left.trace()) / total, 0.0))
    return _by_order(order, unexplained, covariance)


@criterion(
    "next_layer",
    needs="activations",
    family="unpooled activations",
    summary="share of the next layer's outputs that is explained, its kernels refitted",
    reference="after Luo, Wu and Lin, ICCV 2017 (ThiNet)",
)
def next_layer(statistics: LayerStatistics) -> MapScores:
    r"""Order maps so that the first k let the next convolution be reproduced best, its kernels refitted.

    Greedy: each next map is the one whose window (all positions of the kernel) explains most of what is left of the next
    layer's outputs. For the last layer, `explained_variance`. Returns as there, with the share of the next layer's energy; once
    that is below `EXPLAINED`, the others follow, the louder first. Source: after ThiNet (Luo, Wu and Lin, ICCV 2017), with the
    refit inside the choice.
    """
    if statistics.next_kernel is None:
        return explained_variance(statistics)
    n_maps = len(statistics.covariance)
    inputs = statistics.inputs + 1e-6 * np.eye(len(statistics.inputs))  # its diagonal is 1 on average
    outputs = statistics.next_kernel @ inputs
    total = residual = float((outputs * statistics.next_kernel).sum())
    kernel = len(inputs) // n_maps

    def by_map(rows: np.ndarray) -> np.ndarray:
        return rows.reshape(len(rows), n_maps, kernel).swapaxes(0, 1)

    # What a regression on the maps taken leaves of `inputs` and `outputs` is what they were minus `taken.T @ regression` and
    # `made @ regression`. It is never written down, but for what is asked of every map in every step: how its own columns of
    # the inputs (`own`), and of the outputs (`energy`), go together.
    taken, regression, made = np.empty_like(inputs), np.empty_like(inputs), np.empty_like(outputs)
    own = np.stack([inputs[c : c + kernel, c : c + kernel] for c in range(0, len(inputs), kernel)])
    energy = by_map(outputs).swapaxes(1, 2) @ by_map(outputs)
    # What is left of a map that the others explain is rounding: keep it from being divided by.
    floor = 1e-6 * np.eye(kernel)
    order, unexplained = [], [1.0]
    for done in range(0, len(inputs), kernel):
        if unexplained[-1] < EXPLAINED:
            break
        gains = np.linalg.solve(own + floor, energy).trace(axis1=1, axis2=2)
        gains[order] = -np.inf
        best = int(gains.argmax())
        order.append(best)
        residual -= gains[best]
        unexplained.append(max(residual / total, 0.0))
        columns, now = slice(best * kernel, (best + 1) * kernel), slice(done, done + kernel)
        before = regression[:done]
        taken[now] = inputs[columns] - taken[:done, columns].T @ before
        made[:, now] = outputs[:, columns] - made[:, :done] @ before[:, columns]
        regression[now] = np.linalg.solve(own[best] + floor, taken[now])
        products = made[:, now].T @ made[:, : done + kernel]
        seen = by_map(made[:, now].T @ outputs - products[:, :done] @ before)
        change = by_map(regression[now])
        own -= by_map(taken[now]).swapaxes(1, 2) @ change
        both = change.swapaxes(1, 2) @ seen
        energy += change.swapaxes(1, 2) @ products[:, done:] @ change - both - both.swapaxes(1, 2)
    return _by_order(order, unexplained, statistics.covariance)


def _by_order(order: Sequence[int], lost: Sequence[float], covariance: np.ndarray) -> MapScores:
    """Return scores that rank maps in an order, the one to keep longest first; others follow, the louder first."""
    rest = [int(c) for c in np.argsort(-covariance.diagonal(), kind="stable") if c not in set(order)]
    score = np.empty(len(covariance))
    score[[*order, *rest]] = np.arange(len(score))[::-1]
    return MapScores(score, lost=np.array([*lost, *[0.0] * len(rest)]))
