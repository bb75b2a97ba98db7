"""Class-wise criteria: does a map respond differently to different classes? One value per clip, grouped by class."""

import numpy as np
from scipy import stats

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.errors import DataError


def split_by_class(x: np.ndarray, y: np.ndarray, smallest: int = 2) -> list[np.ndarray]:
    """Return the rows of `x` class by class, in float64.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses.
    y : ndarray, shape (n,), int
        Class of every clip.
    smallest : int
        Fewest clips per class that the caller can work with.

    Raises
    ------
    DataError
        If there are fewer than two classes, or a class has fewer than `smallest` clips.
    """
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise DataError(f"a class-wise criterion needs at least 2 classes, got {len(classes)}: check the labels")
    if counts.min() < smallest:
        raise DataError(
            f"class {classes[counts.argmin()]} has {counts.min()} clips, a class-wise criterion needs at least "
            f"{smallest}: add clips or leave the class out"
        )
    x = np.asarray(x, dtype=np.float64)
    return [x[y == label] for label in classes]


def is_constant(x: np.ndarray) -> np.ndarray:
    """Return which columns of `x` (n, C) hold one value only, shape (C,), bool."""
    return np.ptp(x, axis=0) == 0


def eta_squared(f: np.ndarray, df_between: int, df_within: int) -> np.ndarray:
    r"""Return the share of variance between classes, :math:`\eta^2 = F d_b / (F d_b + d_w)`."""
    with np.errstate(invalid="ignore"):  # inf / inf: no variance within classes at all
        eta2 = f * df_between / (f * df_between + df_within)
    return np.where(np.isinf(f), 1.0, eta2)


def omega_squared(f: np.ndarray, df_between: int, df_within: int) -> np.ndarray:
    r"""Return the less biased :math:`\omega^2 = d_b (F - 1) / (d_b F + d_w + 1)`.

    Source: Olejnik and Algina, Psychological Methods 8 (2003), written in terms of F.
    """
    with np.errstate(invalid="ignore"):
        omega2 = df_between * (f - 1) / (df_between * f + df_within + 1)
    return np.where(np.isinf(f), 1.0, omega2)


@criterion(
    "anova",
    family="class-wise tests",
    summary="one-way ANOVA of pooled responses, clips grouped by class",
    reference="Fisher 1925; DHA names ANOVA without saying what is grouped",
)
def anova(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by the classical F test; ranked by F, since p-values underflow to ties.

    With a fixed number of clips and classes the order by F, by :math:`\eta^2` and by :math:`\omega^2` is the same.
    Assumes independent clips, and equal variances within classes.

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
    """
    by_class = split_by_class(x, y)
    constant = is_constant(x)
    f = np.full(x.shape[1], -np.inf)
    p = np.ones(x.shape[1])
    if not constant.all():
        result = stats.f_oneway(*(part[:, ~constant] for part in by_class), axis=0)
        f[~constant], p[~constant] = result.statistic, result.pvalue
    effect = np.zeros_like(f)
    df_between = len(by_class) - 1
    effect[~constant] = eta_squared(f[~constant], df_between, len(y) - 1 - df_between)
    return MapScores(f, p, effect)
