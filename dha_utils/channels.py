"""Which filters of a layer to keep: orders of its maps from the network's own activations on the training clips.

Conventions: an *order* lists all channels of a layer, the one to keep longest first, so that any number kept is a beginning of
it. What is looked at is a layer's output as the next layer sees it (after ReLU and pooling), *unpooled*: every time position of
every training clip is an observation. No label is asked for, but by criteria of `dha_utils.CRITERIA`, which rank the pooled
responses of the layer's last tap. With an order goes how much of what its criterion measures is lost when only the first k maps
are kept; `dha_utils.allocation` divides a budget among the layers by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from dha_utils.compensation import windows
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.filters import layer_weights
from dha_utils.errors import choose
from dha_utils.responses import Responses
from dha_utils.selection import score_maps
from dha_utils.soundnet import SoundNet

LAST_TAPS = ("pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7")
"""The tap of every layer whose maps the next layer sees."""

ACTIVATION_ORDERS = ("explained_variance", "next_layer", "pivoted_qr_unpooled")
"""The ways of this module; see `order_filters`."""

TINY = 1e-9
"""A map whose unexplained variance is below this share of the largest map's variance counts as explained."""


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
        What that convolution makes of them, each row divided by the standard deviation that batch norm knows.
    """

    covariance: np.ndarray
    inputs: np.ndarray | None
    next_kernel: np.ndarray | None


def gather_statistics(model: SoundNet, activations: Sequence[torch.Tensor]) -> list[LayerStatistics]:
    """Gather the statistics of every layer.

    Parameters
    ----------
    model : SoundNet
    activations : sequence of Tensor
        Of the training clips, as `dha_utils.compensation.layer_activations` gives them.

    Returns
    -------
    list of LayerStatistics
        One per layer, in order.
    """
    statistics = []
    with torch.inference_mode():
        for number, x in enumerate(activations[1:], 1):
            covariance = torch.cov(x.transpose(0, 1).reshape(x.shape[1], -1).double()).reshape(x.shape[1], -1)
            inputs, next_kernel = None, None
            if number < len(model.layers):
                layer = model.layers[number]
                inputs = sum((part.T @ part).double() for part in windows(x, layer))
                inputs = (inputs / inputs.diagonal().mean()).numpy()
                conv, norm = model.get_submodule(f"conv{number + 1}"), model.get_submodule(f"bn{number + 1}")
                deviation = (norm.running_var + norm.eps).sqrt()
                next_kernel = (conv.weight / deviation[:, None, None]).flatten(1).double().numpy()
            statistics.append(LayerStatistics(covariance.numpy(), inputs, next_kernel))
    return statistics


class FilterOrder(NamedTuple):
    """How a criterion orders the maps of a layer.

    Attributes
    ----------
    channels : ndarray, shape (C,), int64
        All maps, the one to keep longest first.
    lost : ndarray, shape (C + 1,), float64
        Share of what the criterion measures that is lost when only the first k maps are kept, k = 0 to C; falls from 1.
    """

    channels: np.ndarray
    lost: np.ndarray


def explained_variance(covariance: np.ndarray) -> FilterOrder:
    r"""Order maps so that the first k explain as much as possible of the variance of all, by linear regression.

    Greedy: each next map is the one whose unexplained part :math:`r_j` explains most of what is left of all maps,
    :math:`\sum_i (r_i \cdot r_j)^2 / \|r_j\|^2`. (Pivoted QR takes the largest :math:`\|r_j\|` instead, whether other maps go
    with it or not.) Source: forward selection for column subset selection (Farahat, Ghodsi and Kamel, ICDM 2011).

    Parameters
    ----------
    covariance : ndarray, shape (C, C)

    Returns
    -------
    FilterOrder
        What is lost: the share of the total variance that the first k maps leave unexplained; from 1 down to 0.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> order, unexplained = explained_variance(np.cov(x[:, [0, 0, 1, 0]].T))
    >>> order[:2].tolist(), bool(unexplained[1] > 0.1), bool(unexplained[2] < 1e-9)
    ([0, 2], True, True)
    """
    return _eliminate(covariance, lambda left, diagonal: np.einsum("ij,ij->j", left, left) / diagonal)


def pivoted_qr_unpooled(covariance: np.ndarray) -> FilterOrder:
    """Order maps by column-pivoted QR of their centred activations (as pivoted Cholesky of the covariance); as above."""
    return _eliminate(covariance, lambda left, diagonal: diagonal)


def _eliminate(covariance: np.ndarray, gain) -> FilterOrder:
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
    # What is explained already follows, the louder map first.
    rest = [int(c) for c in np.argsort(-covariance.diagonal(), kind="stable") if c not in set(order)]
    return FilterOrder(np.array(order + rest, np.int64), np.array(unexplained + [0.0] * len(rest)))


def next_layer(statistics: LayerStatistics) -> FilterOrder:
    r"""Order maps so that the first k let the next convolution be reproduced best, its kernels refitted.

    Greedy: each next map is the one whose window (all positions of the kernel) explains most of what is left of the next
    layer's outputs. For the last layer, `explained_variance`. Returns as there, with the share of the next layer's energy.
    Source: after ThiNet (Luo, Wu and Lin, ICCV 2017), with the refit inside the choice.
    """
    if statistics.next_kernel is None:
        return explained_variance(statistics.covariance)
    n_maps = len(statistics.covariance)
    kernel = len(statistics.inputs) // n_maps
    left = statistics.inputs + 1e-6 * np.eye(len(statistics.inputs))  # its diagonal is 1 on average
    part = np.empty_like(left)
    outputs = statistics.next_kernel @ left
    total = residual = float((outputs * statistics.next_kernel).sum())
    candidates, order, unexplained = list(range(n_maps)), [], [1.0]
    for _ in range(n_maps):
        own = np.stack(
            [left[c * kernel : (c + 1) * kernel, c * kernel : (c + 1) * kernel] for c in candidates]
        )
        # What is left of a map that the others explain is rounding: keep it from being divided by.
        own += 1e-6 * np.eye(kernel)
        seen = outputs.reshape(-1, n_maps, kernel)[:, candidates].transpose(1, 2, 0)
        gains = np.linalg.solve(own, seen @ seen.transpose(0, 2, 1)).trace(axis1=1, axis2=2)
        place = int(gains.argmax())
        best = candidates.pop(place)
        order.append(best)
        residual -= gains[place]
        unexplained.append(max(residual / total, 0.0))
        rows = slice(best * kernel, (best + 1) * kernel)
        regression = np.linalg.solve(own[place], left[rows])
        outputs -= outputs[:, rows] @ regression
        left -= np.matmul(left[:, rows].copy(), regression, out=part)
    return FilterOrder(np.array(order, np.int64), np.array(unexplained))


def by_score(score: np.ndarray) -> FilterOrder:
    """Order maps by a score, ties by the lower channel number; what is lost is the share of the sum of scores that goes.

    Parameters
    ----------
    score : ndarray, shape (C,)
        Not negative; -inf where it is undefined, as of a map that never varies: nothing is lost with that map.

    Examples
    --------
    >>> order, lost = by_score(np.array([1.0, 3.0, -np.inf, 4.0]))
    >>> order.tolist(), lost.tolist()
    ([3, 1, 0, 2], [1.0, 0.5, 0.125, 0.0, 0.0])
    """
    order = np.argsort(-score, kind="stable")
    worth = np.where(np.isfinite(score), score, 0.0).clip(min=0)[order]
    if not worth.any():
        worth = np.ones(len(score))  # a layer of which nothing is known
    left = np.cumsum(worth[::-1])[::-1] / worth.sum()
    return FilterOrder(order, np.append(left, 0.0))


def check_order(criterion: str) -> None:
    """Raise a ParameterError unless a criterion orders filters: it is new here, or needs responses or weights only."""
    known = [*ACTIVATION_ORDERS, *(name for name, c in CRITERIA.items() if c.needs != "maps")]
    choose("criterion for filters", criterion, known)


def order_filters(
    criterion: str,
    *,
    model: SoundNet,
    statistics: Sequence[LayerStatistics],
    responses: Responses | None = None,
    seed: int | Sequence[int] = 0,
) -> dict[str, FilterOrder]:
    """Order the filters of every layer by a criterion.

    Parameters
    ----------
    criterion : str
        One of `ACTIVATION_ORDERS`, or a name in `dha_utils.CRITERIA` that is computed from responses or weights.
    model : SoundNet
    statistics : sequence of LayerStatistics
        Of the training clips.
    responses : Responses, optional
        Of the training clips, for criteria that are computed from them.
    seed : int or sequence of int
        For criteria that draw.

    Returns
    -------
    dict of str to FilterOrder
        By layer, ``conv1`` to ``conv7``. What is lost: for those of `ACTIVATION_ORDERS` what the kept maps leave unexplained; for
        random maps, of which each is worth as much as any, their share; for others the share of the sum of scores.

    Raises
    ------
    ParameterError
        If there is no such criterion, or it needs full maps.
    """
    check_order(criterion)
    names = [f"conv{number}" for number in range(1, len(model.layers) + 1)]
    if criterion in ACTIVATION_ORDERS:
        orders = [_activation_order(criterion, layer) for layer in statistics]
    else:
        if CRITERIA[criterion].needs == "weights":
            data = {tap: layer_weights(model, tap) for tap in LAST_TAPS}
        else:
            taps = {tap: responses[tap] for tap in LAST_TAPS}
            data = Responses(taps, responses.table, responses.provenance)
        scores = score_maps(data, criterion, seed=seed)
        orders = [by_score(scores[tap].score) for tap in LAST_TAPS]
        if criterion == "random":
            orders = [order._replace(lost=np.linspace(1, 0, len(order.lost))) for order in orders]
    return dict(zip(names, orders, strict=True))


def _activation_order(criterion: str, layer: LayerStatistics) -> FilterOrder:
    """Return the order of a layer's maps by one of `ACTIVATION_ORDERS`."""
    if criterion == "next_layer":
        return next_layer(layer)
    way = explained_variance if criterion == "explained_variance" else pivoted_qr_unpooled
    return way(layer.covariance)
