"""How sure are we: intervals for accuracies and for paired differences.

Conventions: ``correct`` is a boolean array over clips; clips cut from one recording are dependent, so resampling draws
whole recordings. Accuracies are fractions; differences are ``second - first``.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """An estimate with the ends of its confidence interval."""

    estimate: float
    low: float
    high: float


def wilson_interval(correct: np.ndarray, level: float = 0.95) -> Interval:
    """Return the accuracy with Wilson's score interval, as if all clips were independent.

    Parameters
    ----------
    correct : ndarray, shape (clips,), bool
    level : float
        Coverage, in (0, 1).

    Examples
    --------
    >>> [round(float(x), 3) for x in wilson_interval(np.array([True] * 90 + [False] * 10))]
    [0.9, 0.826, 0.945]
    """
    result = stats.binomtest(int(correct.sum()), len(correct)).proportion_ci(level, method="wilson")
    return Interval(float(correct.mean()), float(result.low), float(result.high))


def cluster_bootstrap(
    values: np.ndarray, recordings: np.ndarray, *, level: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """Return the mean of `values` over clips with a percentile interval that resamples whole recordings.

    Parameters
    ----------
    values : ndarray, shape (clips,)
        One number per clip: correct or not, or the difference between two classifiers' correctness.
    recordings : ndarray, shape (clips,)
        Recording of each clip; all clips of a drawn recording enter together.
    level : float
        Coverage, in (0, 1).
    resamples, seed : int
        Number of bootstrap samples, and the seed of their draws.

    Returns
    -------
    Interval
    """
    _, cluster = np.unique(recordings, return_inverse=True)
    sums, sizes = np.bincount(cluster, weights=values.astype(float)), np.bincount(cluster)
    draws = _draws(len(sizes), resamples, seed)
    means = (draws @ sums) / (draws @ sizes)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


@lru_cache(maxsize=1)
def _draws(n: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each of n recordings is drawn, (resamples, n): multinomial, so that a mean is a ratio of weighted sums.

    Kept, because a table of hundreds of selections draws the same ones for each.
    """
    draws = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples).astype(float)
    draws.flags.writeable = False
    return draws


def describe(correct: np.ndarray, recordings: np.ndarray) -> dict[str, float]:
    """Return an accuracy with its 95 % intervals, Wilson's and the clustered one, as a results file holds it.

    Parameters
    ----------
    correct : ndarray, shape (clips,), bool
    recordings : ndarray, shape (clips,)
    """
    wilson, clustered = wilson_interval(correct), cluster_bootstrap(correct, recordings)
    return {
        "accuracy": wilson.estimate,
        "low": wilson.low,
        "high": wilson.high,
        "clustered_low": clustered.low,
        "clustered_high": clustered.high,
    }


def paired_difference(first: np.ndarray, second: np.ndarray, recordings: np.ndarray, **options) -> Interval:
    """Return the accuracy of `second` minus that of `first` on the same clips, with its clustered interval.

    Parameters
    ----------
    first, second : ndarray, shape (clips,), bool
        Which clips each classifier gets right.
    recordings : ndarray, shape (clips,)
    **options
        As in `cluster_bootstrap`.
    """
    return cluster_bootstrap(second.astype(int) - first.astype(int), recordings, **options)
