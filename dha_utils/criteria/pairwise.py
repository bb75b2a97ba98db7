"""Pairwise criteria: which pairs of classes a map tells apart.

Conventions: as in `dha_utils.criteria.groups`; pairs (i, j) of classes with i < j. A pair of classes in both
of which a map is constant counts as not told apart when the values are equal, and as told apart (ratio
infinite) when they differ.
"""

from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev
from scipy.stats import studentized_range

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.classwise import anova
from dha_utils.criteria.groups import moments, varies, where_defined

LEVEL = 0.05
"""Family-wise level of the Games-Howell test over the class pairs of one map."""

DEGREE = 12
"""Of the interpolation of critical values: relative error 1e-13 for 30 clips per class, 3e-6 for 2."""


@criterion(
    "fisher_ratio",
    family="class-wise effect sizes",
    summary="squared distance of two class means over their variances, mean over class pairs",
    reference="Theodoridis and Koutroumbas, Pattern Recognition, 4th ed., chapter 5",
)
@where_defined(varies, test=False)
def fisher_ratio(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by the mean over class pairs of :math:`(m_i - m_j)^2 / (s_i^2 + s_j^2)`.

    Of the definitions in use this is the pairwise one; the pooled one (variance between classes over variance
    within) is F times a constant and would rank as `anova` does.

    Arguments as in `dha_utils.criteria.classwise.anova`; score = effect = the ratio, without unit.
    """
    _, mean, variance = moments(x, y)
    first, second = np.triu_indices(len(mean), 1)
    ratio = (mean[first] - mean[second]) ** 2 / (variance[first] + variance[second])
    score = np.where(np.isnan(ratio), 0.0, ratio).mean(axis=0)
    return MapScores(score, None, score)


@criterion(
    "games_howell_pairs",
    family="class-wise tests",
    summary="number of class pairs that the Games-Howell test separates",
    reference="Games and Howell, Journal of Educational Statistics 1 (1976)",
)
@where_defined(varies, test=False)
def games_howell_pairs(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> MapScores:
    r"""Score maps by the number of class pairs separated at `LEVEL`; arguments as in `fisher_ratio`.

    Returns
    -------
    MapScores
        score = number of pairs + :math:`\eta^2 / 2`, so that among maps with as many pairs the larger F comes
        first; effect = share of the pairs.
    """
    separated = separated_pairs(x, y)
    eta2 = anova(x, y, groups, rng).effect
    return MapScores(separated.sum(axis=0) + eta2 / 2, None, separated.mean(axis=0))


def separated_pairs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which class pairs the Games-Howell test separates at `LEVEL`.

    Statistic and critical value are compared directly: the p-values would cost a double integral per pair and
    map.

    Parameters
    ----------
    x : ndarray, shape (n, C)
    y : ndarray, shape (n,), int

    Returns
    -------
    ndarray, shape (pairs, C), bool
        Pairs in the order of ``itertools.combinations`` of the sorted classes.
    """
    count, mean, variance = moments(x, y)
    error = variance / count
    first, second = np.triu_indices(len(mean), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.abs(mean[first] - mean[second]) / np.sqrt((error[first] + error[second]) / 2)
    smallest, largest = int(count.min()) - 1, int(np.sort(count, axis=None)[-2:].sum()) - 2
    # The critical value falls with the degrees of freedom: they are needed where q lies between its ends alone. Where both
    # classes are constant q is 0/0 or infinite.
    least, most = critical_values(np.array([largest, smallest]), len(mean), smallest, largest)
    separated = q >= most
    pair, map_ = np.nonzero((q >= least) & ~separated)
    one, other = error[first[pair], map_], error[second[pair], map_]
    df = (one + other) ** 2 / (one**2 / (count[first[pair], 0] - 1) + other**2 / (count[second[pair], 0] - 1))
    df = np.clip(df, smallest, largest)
    separated[pair, map_] = q[pair, map_] >= critical_values(df, len(mean), smallest, largest)
    return separated


def critical_values(df: np.ndarray, n_classes: int, smallest: int, largest: int) -> np.ndarray:
    """Return the upper `LEVEL` quantile of the studentized range, from a table over 1/df.

    Parameters
    ----------
    df : ndarray
        Degrees of freedom, not integer in general, between `smallest` and `largest`.
    n_classes : int
        Number of means.
    smallest, largest : int
        Ends of the table, 1 <= smallest < largest.

    Returns
    -------
    ndarray, shape of `df`

    Examples
    --------
    >>> critical_values(np.array([31.0, 40.5]), 10, 31, 62).round(6).tolist()
    [4.812494, 4.731221]
    """
    return np.exp(_log_quantile(n_classes, smallest, largest)(1 / df))


@cache
def _log_quantile(n_classes: int, smallest: int, largest: int) -> Chebyshev:
    """Return the logarithm of the quantile as a polynomial of 1/df, in which it is smooth."""

    def exact(inverse_df: np.ndarray) -> np.ndarray:
        return np.log([studentized_range.ppf(1 - LEVEL, n_classes, 1 / u) for u in inverse_df])

    return Chebyshev.interpolate(exact, DEGREE, domain=[1 / largest, 1 / smallest])
