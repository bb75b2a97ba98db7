"""Criteria that see whether two maps say the same thing: of a group of like maps, the later ones come late.

Conventions: each builds one order of all maps, best first, and scores by the place in it (C for the first, 1
for the last), so any number kept is a beginning of that order. Maps that are constant over the clips have
score ``-inf``. Where a criterion must weigh maps one by one it uses the F of `anova`, whose ties go to the
lower channel number.
"""

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.linalg import qr
from scipy.spatial.distance import squareform

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.classwise import anova
from dha_utils.criteria.groups import is_constant

TIE_BREAK = 1e-6
"""Relative weight of eta squared in the first pivot: far above rounding, far below what matters."""


@criterion(
    "mrmr",
    family="redundancy-aware",
    summary="greedy: F over the mean |correlation| with the maps chosen before",
    reference="Ding and Peng 2005, quotient form with F and correlation (FCQ)",
)
def mrmr(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    """Score maps by minimum redundancy, maximum relevance.

    The quotient is used, not the difference: F has no upper limit and a correlation has, so their difference
    would be F.

    Arguments and errors as in `dha_utils.criteria.classwise.anova`; score = place in the order.
    """
    maps = np.flatnonzero(~is_constant(x))
    relevance = anova(x, y, groups, rng).score[maps]
    correlation = _absolute_correlation(x[:, maps])
    redundancy = np.zeros(
        len(maps)
    )  # summed |correlation| with the chosen: the number of them is common to all
    left = np.ones(len(maps), dtype=bool)
    order = []
    for _ in maps:
        # Before the first choice there is nothing to be redundant with; later a sum of 0 would divide by 0.
        quotient = relevance / np.maximum(redundancy, np.finfo(float).eps) if order else relevance
        best = int(np.where(left, quotient, -np.inf).argmax())
        left[best] = False
        order.append(best)
        redundancy += correlation[best]
    return _place_in_order(maps[order], x.shape[1])


@criterion(
    "pivoted_qr",
    family="redundancy-aware",
    summary="column-pivoted QR: each next map has the largest part that the maps before do not explain",
    reference="Businger and Golub 1965; for subset selection, Golub and Van Loan, Matrix Computations",
)
def pivoted_qr(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by the order of pivots of their standardised responses; the rest is as in `mrmr`.

    All standardised columns are of one length, so the first pivot would be left to rounding; columns are
    therefore scaled by :math:`1 + 10^{-6} \eta^2`. Beyond the numerical rank (at most n - 1) every map is a
    combination of those before, and the rest follows by F.
    """
    maps = np.flatnonzero(~is_constant(x))
    if not maps.size:
        return _place_in_order(maps, x.shape[1])
    scores = anova(x, y, groups, rng)
    columns = _standardised(x[:, maps]) * (1 + TIE_BREAK * scores.effect[maps])
    r, pivots = qr(columns, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(r))
    rank = int((diagonal > max(columns.shape) * np.finfo(float).eps * diagonal[0]).sum())
    rest = np.sort(pivots[rank:])
    rest = rest[np.argsort(-scores.score[maps[rest]], kind="stable")]
    return _place_in_order(maps[np.concatenate([pivots[:rank], rest])], x.shape[1])


@criterion(
    "correlation_clusters",
    family="redundancy-aware",
    summary="one representative per cluster of correlated maps: the one of largest F",
    reference="average linkage on 1 - |r|, Sokal and Michener 1958",
)
def correlation_clusters(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> MapScores:
    """Score maps by when they cease to represent a cluster; the rest is as in `mrmr`.

    The tree is gone up from the leaves: where two clusters merge, of their representatives the one of smaller
    F goes. The representative of a cluster is thus its map of largest F, and the best k maps are the
    representatives of the k clusters that the tree has at that height, for every k.
    """
    maps = np.flatnonzero(~is_constant(x))
    if len(maps) < 2:
        return _place_in_order(maps, x.shape[1])
    relevance = anova(x, y, groups, rng).score[maps]
    distance = 1 - _absolute_correlation(x[:, maps])  # its diagonal, 0 up to rounding, is not looked at
    merges = linkage(squareform(distance, checks=False), method="average")
    representative = list(range(len(maps)))
    removed = []
    for merge in merges[:, :2].astype(int):
        one, other = sorted(representative[cluster] for cluster in merge)
        winner, loser = (one, other) if relevance[one] >= relevance[other] else (other, one)
        representative.append(winner)
        removed.append(loser)
    return _place_in_order(maps[[representative[-1], *reversed(removed)]], x.shape[1])


def _standardised(x: np.ndarray) -> np.ndarray:
    """Return the columns of `x` (n, C), none constant, with mean 0 and length 1, float64."""
    centred = x - np.mean(x, axis=0, dtype=np.float64)
    return centred / np.linalg.norm(centred, axis=0)


def _absolute_correlation(x: np.ndarray) -> np.ndarray:
    """Return the magnitude of Pearson's r between the columns of `x` (n, C), shape (C, C)."""
    columns = _standardised(x)
    return np.minimum(np.abs(columns.T @ columns), 1)


def _place_in_order(order: np.ndarray, n_maps: int) -> MapScores:
    """Return scores that put the maps of `order` in that order, and the others of `n_maps` after them."""
    score = np.full(n_maps, -np.inf)
    score[order] = n_maps - np.arange(len(order))
    return MapScores(score)
