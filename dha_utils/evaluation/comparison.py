"""Is one classifier as good as another on the same clips? Paired tests, non-inferiority, and what a data set can show.

Conventions: ``first`` is the classifier with all maps, ``second`` the one with fewer; arrays hold which clips each gets right;
differences are ``second - first``, fractions of clips. A margin is positive: "loses less than 3 points" is ``margin=0.03``.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar

from dha_utils.evaluation.inference import Interval, paired_difference, resample_mean


class McNemar(NamedTuple):
    """Clips that only the first, or only the second classifier gets right, and the exact p-value (two-sided)."""

    only_first: int
    only_second: int
    pvalue: float


class NonInferiority(NamedTuple):
    """Verdict on "loses less than the margin": the one-sided p-value, and the 95 % interval of the difference."""

    difference: Interval
    margin: float
    pvalue: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Return McNemar's exact test of whether the clips on which two classifiers disagree are shared out evenly.

    Takes clips for independent. Source: McNemar 1947; binomial form, from statsmodels.

    Parameters
    ----------
    first, second : ndarray, shape (clips,), bool

    Examples
    --------
    >>> mcnemar(np.array([True] * 8 + [False] * 2), np.array([True] * 4 + [False] * 6))
    McNemar(only_first=4, only_second=0, pvalue=0.125)
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    table = [[int((first & second).sum()), only_first], [only_second, int((~first & ~second).sum())]]
    return McNemar(only_first, only_second, float(exact_mcnemar(table, exact=True).pvalue))


def nadeau_bengio(differences: np.ndarray, test_to_train: float, level: float = 0.95) -> Interval:
    r"""Return the mean difference over folds with the corrected resampled t interval.

    Folds share training clips, so the variance over folds is too small; :math:`1/k + n_{test}/n_{train}` takes the place
    of :math:`1/k`. Source: Nadeau and Bengio, Machine Learning 52 (2003), equation for the corrected resampled t-test.

    Parameters
    ----------
    differences : ndarray, shape (folds,)
        Difference of accuracy within each fold.
    test_to_train : float
        Clips per test fold over clips per training fold.
    level : float
        Coverage.

    Examples
    --------
    >>> [round(float(x), 3) for x in nadeau_bengio(np.array([0.0, 0.01, -0.01, 0.02, -0.02]), 0.25)]
    [0.0, -0.029, 0.029]
    """
    k = len(differences)
    mean = float(np.mean(differences))
    half = np.sqrt((1 / k + test_to_train) * np.var(differences, ddof=1)) * stats.t.ppf(
        (1 + level) / 2, k - 1
    )
    return Interval(mean, mean - float(half), mean + float(half))


def non_inferiority_test(
    first: np.ndarray, second: np.ndarray, recordings: np.ndarray, margin: float, **options
) -> NonInferiority:
    """Test that `second` loses less than `margin` against `first`, with the clustered bootstrap.

    The p-value is one-sided: the share of bootstrap samples, and one more, in which the loss reaches the margin (inversion of the
    percentile interval). So it is below 0.025 where the 95 % interval lies above ``-margin``.

    Parameters
    ----------
    first, second : ndarray, shape (clips,), bool
    recordings : ndarray, shape (clips,)
    margin : float
        Largest loss that still counts as none, in (0, 1).
    **options
        ``resamples`` and ``seed``, as in `dha_utils.evaluation.inference.cluster_bootstrap`.
    """
    difference = paired_difference(first, second, recordings, **options)
    resampled = resample_mean(second.astype(int) - first.astype(int), recordings, **options)
    pvalue = (1 + int(np.sum(resampled <= -margin + 1e-12))) / (1 + len(resampled))
    return NonInferiority(difference, margin, pvalue)


def non_inferiority_power(n_clips: int, discordant: float, margin: float, alpha: float = 0.05) -> float:
    """Return the chance to show non-inferiority where there is no true difference.

    Parameters
    ----------
    n_clips : int
        Independent clips; with clips that share recordings, the number that they are worth.
    discordant : float
        Share of the clips that exactly one of the two classifiers gets right, in (0, 1].
    margin : float
    alpha : float
        One-sided level.

    Examples
    --------
    >>> [round(non_inferiority_power(n, 0.10, 0.03), 2) for n in (390, 1170)]
    [0.59, 0.95]
    """
    return float(stats.norm.cdf(margin / np.sqrt(discordant / n_clips) - stats.norm.ppf(1 - alpha)))


def power_table(sizes: Mapping[str, int], shares: Mapping[str, float], margin: float) -> pd.DataFrame:
    """Return the power of a non-inferiority test at level 0.025, one row per data set.

    Parameters
    ----------
    sizes : dict of str to int
        Data set -> independent clips.
    shares : dict of str to float
        Name of a column -> share of the clips on which the classifiers disagree; one that is 0 gives no column.
    margin : float
    """
    return pd.DataFrame(
        {"data set": name, "clips": clips}
        | {c: non_inferiority_power(clips, share, margin, 0.025) for c, share in shares.items() if share > 0}
        for name, clips in sizes.items()
    )


def design_effect(values: np.ndarray, recordings: np.ndarray) -> float:
    """Return the variance of the mean of `values` when recordings are drawn, over that when clips are drawn.

    Above 1 where clips of one recording go together; n clips are then worth n over it. For a paired comparison the values
    are the *differences*, not the correctness of either classifier: clips that both get wrong make accuracies vary together
    and cancel in the difference. 1 where all values are equal.

    Parameters
    ----------
    values : ndarray, shape (clips,)
    recordings : ndarray, shape (clips,)

    Examples
    --------
    >>> correct = np.repeat([True, False, True, False], 2)
    >>> recordings = np.repeat([1, 2, 3, 4], 2)
    >>> design_effect(correct, recordings), design_effect(correct, np.arange(8))
    (2.0, 1.0)
    """
    values = values.astype(float) - values.mean()
    _, cluster = np.unique(recordings, return_inverse=True)
    independent = np.sum(values**2)
    return float(np.sum(np.bincount(cluster, weights=values) ** 2) / independent) if independent > 0 else 1.0
