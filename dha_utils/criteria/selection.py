"""Selection: from scores to keep masks.

Conventions: a *keep mask* is a boolean array per tap, True = kept. A rule never leaves a tap empty: its best map
always stays. Scores are ranked from high to low, ties by the lower channel number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import floor
from typing import NamedTuple

import numpy as np

from dha_utils.core.errors import ParameterError, choose
from dha_utils.criteria import CRITERIA, Criterion, MapScores
from dha_utils.criteria.filters import layer_weights
from dha_utils.criteria.multiplicity import adjust
from dha_utils.criteria.removal import neighbourhoods
from dha_utils.criteria.unpooled import LayerStatistics
from dha_utils.networks.base import Network
from dha_utils.responses.pooling import POOLINGS, pooling_of
from dha_utils.responses.table import Responses

OF_RESPONSES = ("responses", "loss")
"""What criteria need that get pooled responses."""


@dataclass(frozen=True)
class Selection:
    """Keep masks with the scores they came from.

    Attributes
    ----------
    criterion : str
        Name of the criterion.
    masks : dict of str to ndarray, shape (maps,), bool
        True = kept, per tap; where maps have several columns of responses (`MapScores.columns`) one after the other for all
        first columns, all second ones, ..., so that all columns of a map stay or go.
    scores : dict of str to MapScores
        Score, raw p-value and effect size per map, per tap.
    adjusted : dict of str to ndarray, shape (maps,), or None
        Adjusted p-values over the maps of all taps together; None where there are no p-values.
    """

    criterion: str
    masks: Mapping[str, np.ndarray]
    scores: Mapping[str, MapScores]
    adjusted: Mapping[str, np.ndarray] | None

    @property
    def n_maps(self) -> int:
        """Number of maps over all taps."""
        return sum(mask.size // self.scores[tap].columns for tap, mask in self.masks.items())

    @property
    def n_kept(self) -> int:
        """Number of kept maps over all taps."""
        return int(sum(mask.sum() // self.scores[tap].columns for tap, mask in self.masks.items()))

    @property
    def ignored(self) -> float:
        """Fraction of all maps that are ignored."""
        return 1 - self.n_kept / self.n_maps

    def complement(self) -> "Selection":
        """Return the selection of the ignored maps; a tap of which none is ignored keeps its worst map."""
        worst = {tap: np.tile(keep_best(-s.score, 1), s.columns) for tap, s in self.scores.items()}
        masks = {tap: ~mask if (~mask).any() else worst[tap] for tap, mask in self.masks.items()}
        return Selection(self.criterion, masks, self.scores, self.adjusted)

    def permute_channels(self, seed: int | Sequence[int], layer_of: Callable[[str], str]) -> "Selection":
        """Return as many maps of every tap drawn at random, with the overlap between taps that this selection has.

        `layer_of` says which layer a tap is of (`Network.layer_of`). The channels of a layer are
        permuted once for all its taps: where they keep the same filters, so do the permuted masks, and as many filters are
        behind them. Other layers have other permutations.
        """
        rng = np.random.default_rng(seed)
        orders: dict[str, np.ndarray] = {}
        for tap, mask in self.masks.items():
            layer, n_maps = layer_of(tap), len(mask) // self.scores[tap].columns
            orders[layer] = orders[layer] if layer in orders else rng.permutation(n_maps)
        masks = {
            tap: mask.reshape(self.scores[tap].columns, -1)[:, orders[layer_of(tap)]].ravel()
            for tap, mask in self.masks.items()
        }
        return Selection(self.criterion, masks, self.scores, self.adjusted)


def n_to_keep(keep: float, n_maps: int) -> int:
    """Return how many of a tap's maps a fraction stands for: rounded half up, at least one.

    >>> [n_to_keep(0.11, n) for n in (16, 32, 1024)]
    [2, 4, 113]
    >>> n_to_keep(0.01, 16)
    1
    """
    return max(1, floor(keep * n_maps + 0.5))


def keep_best(score: np.ndarray, n_keep: int) -> np.ndarray:
    """Return the mask of the `n_keep` highest of the scores (C,); ties go to the lower channel number.

    >>> keep_best(np.array([1.0, 3.0, 3.0, -np.inf]), 1)
    array([False,  True, False, False])
    """
    mask = np.zeros(len(score), dtype=bool)
    mask[np.argsort(-score, kind="stable")[:n_keep]] = True
    return mask


def adjust_pvalues(scores: Mapping[str, MapScores], correction: str = "bh") -> dict[str, np.ndarray] | None:
    """Return adjusted p-values, the maps of all taps being one family of tests; None where there are no p-values."""
    if any(tap_scores.pvalue is None for tap_scores in scores.values()):
        return None
    pvalues = np.concatenate([tap_scores.pvalue for tap_scores in scores.values()])
    ends = np.cumsum([len(tap_scores.pvalue) for tap_scores in scores.values()])
    return dict(zip(scores, np.split(adjust(pvalues, correction), ends[:-1]), strict=True))


def score_maps(
    data: Responses | Mapping[str, object],
    criterion: str,
    *,
    y: np.ndarray | None = None,
    seed: int | Sequence[int] = 0,
) -> dict[str, MapScores]:
    """Score the maps of every tap by a criterion.

    Parameters
    ----------
    data : Responses, or dict of str to ndarray (n, C, *positions), to LayerWeights or to LayerStatistics
        What the criterion needs: pooled responses, full feature maps, or the tensors or the activations of layers.
    criterion : str
        A name in `dha_utils.CRITERIA`.
    y : ndarray, shape (n,), int, optional
        Class of every clip of full feature maps; responses bring their own.
    seed : int or sequence of int
        For criteria that draw.

    Raises
    ------
    ParameterError
        If the criterion is unknown or needs other data.
    """
    chosen = find_criterion(criterion)
    rng = np.random.default_rng(seed)
    if (chosen.needs in OF_RESPONSES) != isinstance(data, Responses):
        raise ParameterError(
            f"criterion {criterion!r} is computed from {chosen.needs}, got {type(data).__name__}"
        )
    if chosen.needs in OF_RESPONSES:
        y, recordings, columns = data.y, data.recordings, len(POOLINGS[pooling_of(data)])
        return {
            tap: best_column(chosen.function(data[tap], y, recordings, rng), columns) for tap in data.taps
        }
    if chosen.needs == "maps":
        return {tap: chosen.function(maps.reshape(*maps.shape[:2], -1), y, rng) for tap, maps in data.items()}
    return {name: chosen.function(layer) for name, layer in data.items()}


def best_column(scores: MapScores, columns: int) -> MapScores:
    """Return the scores of maps, each that of its best column, from those of columns: all first ones, all second ones, ...

    A map's p-value is the smallest of its columns times their number (Bonferroni). What a criterion says of a set of columns, its
    stopping rule and what is lost, has no meaning for maps and is left out.

    >>> best_column(MapScores(np.array([1.0, 2, 5, 0])), columns=2).score
    array([5., 2.])
    """
    if columns == 1:
        return scores
    by_column = scores.score.reshape(columns, -1)
    best = by_column.argmax(axis=0), np.arange(by_column.shape[1])
    pvalue, effect = (
        None if values is None else values.reshape(by_column.shape)
        for values in (scores.pvalue, scores.effect)
    )
    return MapScores(
        by_column[best],
        None if pvalue is None else np.minimum(1, columns * pvalue.min(axis=0)),
        None if effect is None else effect[best],
        columns=columns,
    )


def apply_rule(
    criterion: str,
    scores: Mapping[str, MapScores],
    *,
    keep: float | None = None,
    alpha: float | None = None,
    correction: str = "bh",
    own_rule: bool = False,
) -> Selection:
    """Turn scores into keep masks; arguments and errors as in `select`."""
    if (keep is not None) + (alpha is not None) + own_rule != 1:
        raise ParameterError(
            f"give either keep, alpha or own_rule, got keep={keep!r}, alpha={alpha!r}, {own_rule}"
        )
    if keep is not None and not 0 < keep <= 1:
        raise ParameterError(f"keep is {keep!r}, expected a fraction in (0, 1], such as 0.11")
    if alpha is not None and not 0 < alpha < 1:
        raise ParameterError(f"alpha is {alpha!r}, expected a level in (0, 1), such as 0.05")
    adjusted = adjust_pvalues(scores, correction)
    if alpha is not None:
        if adjusted is None:
            raise ParameterError(
                f"criterion {criterion!r} has no p-values: select by keep= instead of alpha="
            )
        masks = {tap: (adjusted[tap] <= alpha) | keep_best(s.score, 1) for tap, s in scores.items()}
    elif own_rule:
        if any(s.n_keep is None for s in scores.values()):
            raise ParameterError(f"criterion {criterion!r} has no stopping rule of its own: select by keep=")
        masks = {tap: keep_best(s.score, max(1, s.n_keep)) for tap, s in scores.items()}
    else:
        masks = {tap: keep_best(s.score, n_to_keep(keep, len(s.score))) for tap, s in scores.items()}
    masks = {tap: np.tile(mask, scores[tap].columns) for tap, mask in masks.items()}
    return Selection(criterion, masks, scores, adjusted)


def select(
    responses_or_maps: Responses | Mapping[str, object],
    criterion: str = "anova",
    *,
    keep: float | None = None,
    alpha: float | None = None,
    correction: str = "bh",
    own_rule: bool = False,
    y: np.ndarray | None = None,
    seed: int | Sequence[int] = 0,
) -> Selection:
    """Decide which feature maps to keep, tap by tap, from all the clips given (pass a training fold only).

    Parameters
    ----------
    responses_or_maps : Responses or dict
        Of the clips that the decision may look at; see `score_maps`.
    criterion : str
        A name in `dha_utils.CRITERIA`.
    keep : float, optional
        Fraction of maps to keep in every tap, in (0, 1].
    alpha : float, optional
        Instead of `keep`: keep the maps whose adjusted p-value is at most this, in (0, 1), and the best map of
        every tap.
    correction : {"bh", "by", "holm"}
        How p-values are adjusted over the maps of all taps.
    own_rule : bool
        Instead of `keep` and `alpha`: keep as many maps as the criterion's own stopping rule says.
    y : ndarray, shape (n,), int, optional
        Class of every clip, where full feature maps are given.
    seed : int or sequence of int
        For criteria that draw; the same one draws the same maps again, in every fold.

    Returns
    -------
    Selection

    Raises
    ------
    ParameterError
        If the criterion is unknown or needs other data, not exactly one rule is given, or one is out of range.
    DataError
        If the criterion cannot be computed on these clips.
    """
    scores = score_maps(responses_or_maps, criterion, y=y, seed=seed)
    return apply_rule(criterion, scores, keep=keep, alpha=alpha, correction=correction, own_rule=own_rule)


class FilterOrder(NamedTuple):
    """How a criterion orders the filters of a layer.

    Attributes
    ----------
    channels : ndarray, shape (C,), int64
        All of them, the one to keep longest first: any number kept is a beginning of it.
    lost : ndarray, shape (C + 1,), float64
        Share of what the criterion measures that is lost when only the first k are kept, k = 0 to C; falls from 1.
    """

    channels: np.ndarray
    lost: np.ndarray


def order_by(scores: MapScores) -> FilterOrder:
    """Order filters by their scores, ties by the lower channel number.

    A map whose score is undefined (-inf), such as one that never varies, is worth nothing.

    Examples
    --------
    >>> order, lost = order_by(MapScores(np.array([1.0, 3.0, -np.inf, 4.0])))
    >>> order.tolist(), lost.tolist()
    ([3, 1, 0, 2], [1.0, 0.5, 0.125, 0.0, 0.0])
    """
    order = np.argsort(-scores.score, kind="stable")
    if scores.lost is not None:
        return FilterOrder(order, scores.lost)
    worth = np.where(np.isfinite(scores.score), scores.score, 0.0).clip(min=0)[order]
    if not worth.any():
        worth = np.ones(len(order))  # a layer of which nothing is known
    left = np.cumsum(worth[::-1])[::-1] / worth.sum()
    return FilterOrder(order, np.append(left, 0.0))


def order_filters(
    criterion: str,
    network: Network,
    *,
    statistics: Mapping[str, LayerStatistics],
    responses: Responses | None = None,
    seed: int | Sequence[int] = 0,
) -> dict[str, FilterOrder]:
    """Order the filters of every layer by a criterion.

    Parameters
    ----------
    criterion : str
        A name in `dha_utils.CRITERIA`, see `find_filter_criterion`. One that is computed from responses ranks those of the
        layer's last tap, whose maps the next layer sees.
    network : Network
    statistics : dict of str to LayerStatistics
        Of the training clips, for criteria that are computed from activations.
    responses : Responses, optional
        Of the training clips, for criteria that are computed from them.
    seed : int or sequence of int
        For criteria that draw.

    Returns
    -------
    dict of str to FilterOrder
        By layer.

    Raises
    ------
    ParameterError
        If there is no such criterion, or it is computed from full maps or from responses of a layer that has no tap.
    """
    chosen = find_filter_criterion(criterion)
    if chosen.needs in OF_RESPONSES:
        taps = network.last_taps
        without = [layer for layer in network.layers if layer not in taps]
        if without:
            raise ParameterError(
                f"criterion {criterion!r} is computed from responses: {without[0]} has no tap"
            )
        arrays = {tap: responses[tap] for tap in taps.values()}
        by_tap = score_maps(Responses(arrays, responses.table, responses.provenance), criterion, seed=seed)
        scores = {layer: by_tap[tap] for layer, tap in taps.items()}
    else:
        data: Mapping[str, object] = statistics
        if chosen.needs == "weights":
            data = {layer: layer_weights(network, layer) for layer in network.layers}
        elif chosen.needs == "neighbourhood":
            data = neighbourhoods(network)
        scores = score_maps(data, criterion, seed=seed)
    return {layer: order_by(found) for layer, found in scores.items()}


def mean_jaccard(masks: Sequence[np.ndarray]) -> float:
    """Return how much keep masks (maps,) of one tap agree: intersection over union, mean over pairs of masks.

    NaN where there is one mask only.

    >>> mean_jaccard([np.array([True, True, False]), np.array([True, False, True])])
    0.3333333333333333
    """
    pairs = list(combinations(masks, 2))
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs])) if pairs else float("nan")


def find_filter_criterion(name: str) -> Criterion:
    """Return the criterion of a name, or raise a ParameterError if it is none, or looks at full maps and orders no filters."""
    if find_criterion(name).needs == "maps":
        others = ", ".join(other for other, criterion in CRITERIA.items() if criterion.needs != "maps")
        raise ParameterError(
            f"criterion {name!r} needs full maps and orders no filters; choose one of {others}"
        )
    return CRITERIA[name]


def find_criterion(name: str) -> Criterion:
    """Return the criterion of a name, or raise a ParameterError that names the nearest one."""
    return CRITERIA[choose("criterion", name, CRITERIA)]
