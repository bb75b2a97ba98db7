"""Class-wise tests: does a map respond differently to different classes? One value per clip, by class.

Conventions: as in `dha_utils.criteria.groups`, whose rule for undefined maps holds for all. Ranking is by the
statistic or the effect size, never by p, which underflows to ties. All assume independent clips;
`permutation_f` does not.
"""

from typing import NamedTuple

import numpy as np
from scipy import special, stats
from statsmodels.stats.oneway import equivalence_oneway_generic

from dha_utils.core.errors import choose
from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.groups import (
    is_constant,
    moments,
    varies,
    varies_within_classes,
    where_defined,
)

EQUIVALENCE_MARGIN = 0.25
"""Largest difference that still counts as "alike": the effect size f, the standard deviation of the class means
over that within classes. Cohen calls 0.25 "medium"; with equal variances classes then explain 5.9 % of the
variance. A choice, not a fact, so the book shows the answer over many margins."""

EQUIVALENCE_LEVEL = 0.05
"""Level of the equivalence test to which its score is scaled."""


def eta_squared(f: np.ndarray, df_between: int, df_within: int) -> np.ndarray:
    r"""Return the share of variance between classes, :math:`\eta^2 = F d_b / (F d_b + d_w)`."""
    with np.errstate(divide="ignore"):  # F = 0 gives 0, an infinite F gives 1
        return 1 / (1 + df_within / (np.asarray(f) * df_between))


def omega_squared(f: np.ndarray, df_between: int, df_within: int) -> np.ndarray:
    r"""Return the less biased :math:`\omega^2 = d_b (F - 1) / (d_b F + d_w + 1)`; F must be finite.

    Source: Olejnik and Algina, Psychological Methods 8 (2003), written in terms of F.
    """
    return df_between * (f - 1) / (df_between * f + df_within + 1)


def degrees_of_freedom(y: np.ndarray) -> tuple[int, int]:
    """Return the degrees of freedom between and within the classes of `y` (n,)."""
    n_classes = len(np.unique(y))
    return n_classes - 1, len(y) - n_classes


@criterion(
    "anova",
    family="class-wise tests",
    summary="one-way ANOVA of pooled responses, clips grouped by class",
    reference="Fisher 1925; DHA names ANOVA without saying what is grouped",
)
@where_defined(varies, test=True)
def anova(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by the classical F test, which assumes equal variances within classes.

    With a fixed number of clips and classes the order by F, by :math:`\eta^2` and by :math:`\omega^2` is the
    same.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses of one tap.
    y : ndarray, shape (n,), int
        Class of every clip.
    groups, rng
        Not used.

    Returns
    -------
    MapScores
        score = F; effect = :math:`\eta^2`.

    Raises
    ------
    DataError
        If there are fewer than two classes or two clips per class.
    """
    f, degrees = f_statistic(x, y), degrees_of_freedom(y)
    return MapScores(f, special.fdtrc(*degrees, f), eta_squared(f, *degrees))


def f_statistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the classical F of every map of `x` (n, C), shape (C,): infinite where nothing varies within classes."""
    count, mean, variance = moments(x, y)
    between, within = degrees_of_freedom(y)
    grand = (count * mean).sum(axis=0) / count.sum()
    explained = (count * (mean - grand) ** 2).sum(axis=0)
    return explained / between / (((count - 1) * variance).sum(axis=0) / within)


@criterion(
    "welch",
    family="class-wise tests",
    summary="Welch's F test: classes may differ in variance",
    reference="Welch, Biometrika 38 (1951)",
)
@where_defined(varies_within_classes, test=True)
def welch(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by Welch's F; effect = :math:`\omega^2` computed from it; arguments as in `anova`."""
    f, within = _welch_statistic(x, y)
    between = degrees_of_freedom(y)[0]
    return MapScores(f, special.fdtrc(between, within, f), omega_squared(f, *degrees_of_freedom(y)))


def _welch_statistic(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Welch's F of maps `x` (n, C) that vary within classes, and its second degrees of freedom, each (C,)."""
    count, mean, variance = moments(x, y)
    weights = count / variance
    weights /= weights.sum(axis=0)
    k = len(count)
    explained = (count / variance * (mean - (weights * mean).sum(axis=0)) ** 2).sum(axis=0) / (k - 1)
    spread = ((1 - weights) ** 2 / (count - 1)).sum(axis=0)
    return explained / (1 + 2 * (k - 2) / (k**2 - 1) * spread), (k**2 - 1) / (3 * spread)


@criterion(
    "alexander_govern",
    family="class-wise tests",
    summary="Alexander-Govern test: classes may differ in variance, statistic close to chi-square",
    reference="Alexander and Govern, Journal of Educational Statistics 19 (1994)",
)
@where_defined(varies_within_classes, test=True)
def alexander_govern(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by the statistic A; effect = :math:`\eta^2` of the responses; arguments as in `anova`.

    A has no effect size of its own: under no difference it is chi-square with k - 1 degrees of freedom, so
    the order by A is already free of p.
    """
    count, mean, variance = moments(x, y)
    weights = count / variance
    common = (weights * mean).sum(axis=0) / weights.sum(axis=0)
    # Each class's t, with its own degrees of freedom, becomes a standard normal deviate.
    t, within = (mean - common) * np.sqrt(weights), count - 1
    a = within - 0.5
    b, c = 48 * a**2, np.sqrt(a * np.log1p(t**2 / within))
    z = c + (c**3 + 3 * c) / b
    z -= (4 * c**7 + 33 * c**5 + 240 * c**3 + 855 * c) / (10 * b**2 + 8 * b * c**4 + 1000 * b)
    statistic = (z**2).sum(axis=0)
    effect = eta_squared(f_statistic(x, y), *degrees_of_freedom(y))
    return MapScores(statistic, special.chdtrc(len(count) - 1, statistic), effect)


@criterion(
    "kruskal",
    family="class-wise tests",
    summary="Kruskal-Wallis test on ranks, ties corrected",
    reference="Kruskal and Wallis, JASA 47 (1952); effect size: Tomczak and Tomczak 2014",
)
@where_defined(varies, test=True)
def kruskal(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by H; effect = :math:`\epsilon^2 = H / (n - 1)`, in [0, 1]; arguments as in `anova`."""
    return kruskal_of_ranks(stats.rankdata(x, axis=0), y, groups, rng)


@where_defined(varies, test=True)
def kruskal_of_ranks(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps as `kruskal` does; `x` are ranks already.

    H, corrected for ties, is :math:`n - 1` times the share of the ranks' variance that lies between classes.
    """
    share = eta_squared(f_statistic(x, y), *degrees_of_freedom(y))
    h = (len(y) - 1) * share
    return MapScores(h, special.chdtrc(degrees_of_freedom(y)[0], h), share)


@criterion(
    "equivalence",
    family="class-wise tests",
    summary="Wellek's equivalence test: maps not shown to respond alike to all classes are kept",
    reference="Wellek 2010, with Welch's F after Jan and Shieh 2019",
)
@where_defined(varies_within_classes, test=False)
def equivalence(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    """Score maps by how far they are from being shown alike; arguments as in `anova`.

    A large p of an F test is no evidence that a map responds alike; this test turns the hypotheses round. Its
    null is that the classes differ by `EQUIVALENCE_MARGIN` or more, so a *small* p, like a small F, says
    *alike*. For that reason the p-values are not in ``MapScores.pvalue``, where small means keep;
    `Spread.alike` gives them.

    Returns
    -------
    MapScores
        score = Welch's F over its critical value, below 1 = shown alike at `EQUIVALENCE_LEVEL` (the order is
        that of p, but p rounds to 1 for most maps and would tie). A constant map is alike, and ``-inf`` says
        so; maps silent for a whole class are ``-inf`` too, because they are undefined. Effect = f squared,
        F / n as statsmodels has it.
    """
    f, within = _welch_statistic(x, y)
    counts = np.unique(y, return_counts=True)[1]
    result = equivalence_oneway_generic(
        f, len(counts), counts, EQUIVALENCE_MARGIN**2, (len(counts) - 1, within), alpha=EQUIVALENCE_LEVEL
    )
    return MapScores(result.statistic / result.crit_f, None, result.effectsize)


EQUIVALENCE_FORMS = ("welch", "pooled", "ranks")
"""The F whose size is tested for equivalence, and so what f means. ``welch``: class means weighted by their
precision, each class with a variance of its own. ``pooled``: Cohen's f, on one standard deviation pooled over
classes; a single wild clip swells it, and then differences look small. ``ranks``: the same on the ranks of the
responses, which no clip can swell."""


class Spread(NamedTuple):
    """How far the class means of maps lie apart, in one of `EQUIVALENCE_FORMS`: what is compared with any margin.

    The F of every map (C,), NaN where it is undefined; its degrees of freedom, those within classes one number or (C,); the
    number of clips; and which maps are constant (C,), bool.
    """

    f: np.ndarray
    between: int
    within: int | np.ndarray
    n: int
    constant: np.ndarray

    def alike(self, margin: float | np.ndarray = EQUIVALENCE_MARGIN) -> np.ndarray:
        """Return the p-values of Wellek's equivalence test (*margin.shape, C): small = shown to respond alike to all classes.

        A constant map responds alike by construction: its p-value is 0. A map that is undefined for the form and not constant
        (silent for a whole class, in the Welch form) is not shown alike: its p-value is 1.

        Parameters
        ----------
        margin : float or ndarray of any shape
            The smallest f that does not count as alike, positive.

        Notes
        -----
        Source: Wellek, Testing Statistical Hypotheses of Equivalence and Noninferiority, 2nd ed. 2010, section 7.1; the Welch
        form after Jan and Shieh, Statistics in Biopharmaceutical Research 2019. Both are statsmodels' ``equivalence_oneway``,
        here for many maps and margins at once.
        """
        return np.where(np.isnan(self.f), np.where(self.constant, 0.0, 1.0), self._below(margin))

    def different(self, margin: float | np.ndarray = EQUIVALENCE_MARGIN) -> np.ndarray:
        """Return the p-values of the opposite test: small = shown to differ between classes by more than the margin.

        Where neither this nor `alike` is small, the clips are too few to tell. Arguments and shape as there; constant and
        undefined maps have p-value 1. Source: Murphy and Myors, Journal of Applied Psychology 84 (1999), minimum-effect tests.
        """
        return np.where(np.isnan(self.f), 1.0, 1 - self._below(margin))

    def _below(self, margin: float | np.ndarray) -> np.ndarray:
        """Return how probable an F below that of the maps is if classes differ by the margin."""
        noncentrality = self.n * np.asarray(margin, dtype=np.float64)[..., None] ** 2
        below = special.ncfdtr(self.between, self.within, noncentrality, self.f)
        # SciPy's series gives NaN where the tail is too small for it, and for an infinite F.
        mean = self.within / (self.within - 2) * (self.between + noncentrality) / self.between
        return np.where(np.isnan(below), np.where(self.f < mean, 0.0, 1.0), below)


def spread(x: np.ndarray, y: np.ndarray, form: str = "welch") -> Spread:
    """Return how far the class means of every map lie apart.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses of one tap or of several side by side.
    y : ndarray, shape (n,), int
        Class of every clip.
    form : {"welch", "pooled", "ranks"}
        A name in `EQUIVALENCE_FORMS`.

    Raises
    ------
    ParameterError
        If the form is unknown.
    DataError
        If there are fewer than two classes or two clips per class.
    """
    choose("form", form, EQUIVALENCE_FORMS)
    x = stats.rankdata(x, axis=0) if form == "ranks" else np.asarray(x, dtype=np.float64)
    constant, (between, within) = is_constant(x), degrees_of_freedom(y)
    defined = varies_within_classes(x, y) if form == "welch" else ~constant
    f = np.full(x.shape[1], np.nan)
    with np.errstate(divide="ignore"):  # no variance within classes makes F infinite
        if form == "welch":
            within = np.full(x.shape[1], np.nan)
            f[defined], within[defined] = _welch_statistic(x[:, defined], y)
        else:
            f[defined] = f_statistic(x[:, defined], y)
    return Spread(f, between, within, len(y), constant)
