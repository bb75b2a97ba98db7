"""Class-wise tests: does a map respond differently to different classes? One value per clip, by class.

Conventions: as in `dha_utils.criteria.groups`, whose rule for undefined maps holds for all. Ranking is by the
statistic or the effect size, never by p, which underflows to ties. All assume independent clips;
`permutation_f` does not.
"""

import numpy as np
from scipy import special, stats
from statsmodels.stats.oneway import equivalence_oneway_generic

from dha_utils.core.errors import choose
from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.groups import (
    is_constant,
    moments,
    split_by_class,
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
    result = stats.f_oneway(*split_by_class(x, y), axis=0)
    return MapScores(result.statistic, result.pvalue, eta_squared(result.statistic, *degrees_of_freedom(y)))


@criterion(
    "welch",
    family="class-wise tests",
    summary="Welch's F test: classes may differ in variance",
    reference="Welch, Biometrika 38 (1951)",
)
@where_defined(varies_within_classes, test=True)
def welch(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by Welch's F; effect = :math:`\omega^2` computed from it; arguments as in `anova`."""
    result = stats.f_oneway(*split_by_class(x, y), axis=0, equal_var=False)
    return MapScores(result.statistic, result.pvalue, omega_squared(result.statistic, *degrees_of_freedom(y)))


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
    parts = split_by_class(x, y)
    result = stats.alexandergovern(*parts, axis=0)
    f = stats.f_oneway(*parts, axis=0).statistic
    return MapScores(result.statistic, result.pvalue, eta_squared(f, *degrees_of_freedom(y)))


@criterion(
    "kruskal",
    family="class-wise tests",
    summary="Kruskal-Wallis test on ranks, ties corrected",
    reference="Kruskal and Wallis, JASA 47 (1952); effect size: Tomczak and Tomczak 2014",
)
@where_defined(varies, test=True)
def kruskal(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by H; effect = :math:`\epsilon^2 = H / (n - 1)`, in [0, 1]; arguments as in `anova`."""
    result = stats.kruskal(*split_by_class(x, y), axis=0)
    return MapScores(result.statistic, result.pvalue, result.statistic / (len(y) - 1))


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
    `equivalence_pvalues` gives them.

    Returns
    -------
    MapScores
        score = Welch's F over its critical value, below 1 = shown alike at `EQUIVALENCE_LEVEL` (the order is
        that of p, but p rounds to 1 for most maps and would tie). A constant map is alike, and ``-inf`` says
        so; maps silent for a whole class are ``-inf`` too, because they are undefined. Effect = f squared,
        F / n as statsmodels has it.
    """
    result = equivalence_oneway_generic(
        stats.f_oneway(*split_by_class(x, y), axis=0, equal_var=False).statistic,
        len(np.unique(y)),
        np.bincount(np.unique(y, return_inverse=True)[1]),
        EQUIVALENCE_MARGIN**2,
        (degrees_of_freedom(y)[0], _welch_denominator(x, y)),
        alpha=EQUIVALENCE_LEVEL,
    )
    return MapScores(result.statistic / result.crit_f, None, result.effectsize)


EQUIVALENCE_FORMS = {"welch": welch, "pooled": anova, "ranks": anova}
"""The F test whose statistic is tested for equivalence, and so what f means. ``welch``: class means weighted by
their precision, each class with a variance of its own. ``pooled``: Cohen's f, on one standard deviation pooled
over classes; a single wild clip swells it, and then differences look small. ``ranks``: the same on the ranks of
the responses, which no clip can swell."""


def equivalence_pvalues(
    x: np.ndarray, y: np.ndarray, margin: float | np.ndarray = EQUIVALENCE_MARGIN, form: str = "welch"
) -> np.ndarray:
    """Return the p-values of Wellek's equivalence test: small = shown to respond alike to all classes.

    A constant map responds alike by construction: its p-value is 0. A map that is undefined for the form and
    not constant (silent for a whole class, in the Welch form) is not shown alike: its p-value is 1.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses of one tap or of several side by side.
    y : ndarray, shape (n,), int
        Class of every clip.
    margin : float or ndarray of any shape
        The smallest f that does not count as alike, positive.
    form : {"welch", "pooled", "ranks"}
        A name in `EQUIVALENCE_FORMS`.

    Returns
    -------
    ndarray, shape (*margin.shape, C)

    Raises
    ------
    ParameterError
        If the form is unknown.
    DataError
        If there are fewer than two classes or two clips per class.

    Notes
    -----
    Source: Wellek, Testing Statistical Hypotheses of Equivalence and Noninferiority, 2nd ed. 2010, section 7.1; the
    Welch form after Jan and Shieh, Statistics in Biopharmaceutical Research 2019. Both are statsmodels'
    ``equivalence_oneway``, here for many maps and margins at once.
    """
    smaller, _ = _beside_margin(x, y, margin, form)
    constant = np.where(is_constant(np.asarray(x)), 0.0, 1.0)
    return np.where(np.isnan(smaller), constant, smaller)


def difference_pvalues(
    x: np.ndarray, y: np.ndarray, margin: float | np.ndarray = EQUIVALENCE_MARGIN, form: str = "welch"
) -> np.ndarray:
    """Return the p-values of the opposite test: small = shown to differ between classes by more than the margin.

    Where neither this nor `equivalence_pvalues` is small, the clips are too few to tell. Arguments, shape and
    errors as there; constant and undefined maps have p-value 1.

    Notes
    -----
    Source: Murphy and Myors, Journal of Applied Psychology 84 (1999), tests of minimum effects.
    """
    _, larger = _beside_margin(x, y, margin, form)
    return np.where(np.isnan(larger), 1.0, larger)


def _beside_margin(x: np.ndarray, y: np.ndarray, margin: float | np.ndarray, form: str):
    """Return how probable a smaller and a larger F is if classes differ by the margin; NaN for undefined maps."""
    choose("form", form, EQUIVALENCE_FORMS)
    x = stats.rankdata(x, axis=0) if form == "ranks" else np.asarray(x, dtype=np.float64)
    f = EQUIVALENCE_FORMS[form](x, y, None, None).score
    defined = ~np.isneginf(f)
    between, within = degrees_of_freedom(y)
    if form == "welch" and defined.any():
        within = _welch_denominator(x[:, defined], y)
    margin = np.asarray(margin, dtype=np.float64)
    below = np.full((*margin.shape, len(f)), np.nan)
    below[..., defined] = _noncentral_f_below(f[defined], between, within, len(y) * margin[..., None] ** 2)
    return below, 1 - below


def _welch_denominator(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the second degrees of freedom of Welch's F for maps `x` (n, C) that vary within classes, shape (C,)."""
    count, _, variance = moments(x, y)
    weights = count / variance
    spread = ((1 - weights / weights.sum(axis=0)) ** 2 / (count - 1)).sum(axis=0)
    return (len(count) ** 2 - 1) / (3 * spread)


def _noncentral_f_below(f: np.ndarray, between: int, within: np.ndarray, noncentrality: np.ndarray):
    """Return the probability that a noncentral F is at most `f`; arguments broadcast."""
    below = special.ncfdtr(between, within, noncentrality, f)
    # SciPy's series gives NaN where the tail is too small for it, and for an infinite F.
    mean = within / (within - 2) * (between + noncentrality) / between
    return np.where(np.isnan(below), np.where(f < mean, 0.0, 1.0), below)
