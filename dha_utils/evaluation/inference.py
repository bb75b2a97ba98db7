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

    def columns(self, name: str, prefix: str = "") -> dict[str, float]:
        """Return the three as columns of a table: the estimate under a name, the ends as low and high behind a prefix."""
        return {name: self.estimate, f"{prefix}low": self.low, f"{prefix}high": self.high}


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
    means = resample_mean(values, recordings, resamples=resamples, seed=seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def resample_mean(
    values: np.ndarray, recordings: np.ndarray, *, resamples: int = 9999, seed: int = 0
) -> np.ndarray:
    """Return the mean of `values` in every bootstrap sample, shape (resamples,); arguments as in `cluster_bootstrap`."""
    _, cluster = np.unique(recordings, return_inverse=True)
    sums, sizes = np.bincount(cluster, weights=values.astype(float)), np.bincount(cluster)
    draws = _draws(len(sizes), resamples, seed)
    return (draws @ sums) / (draws @ sizes)


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
    ends = {"clustered_low": clustered.low, "clustered_high": clustered.high}
    return wilson.columns("accuracy") | ends


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


def paired_random(
    correct: np.ndarray,
    draws: np.ndarray,
    recordings: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """Return how much more accurate a selection is than random ones of as many maps, with a percentile interval.

    Clip by clip, right or wrong with the selection minus the mean over the draws; the bootstrap draws recordings *and* draws,
    so that the interval allows for other clips and for other random maps.

    Parameters
    ----------
    correct : ndarray, shape (clips,), bool
        Which clips are right with the selection.
    draws : ndarray, shape (draws, clips), bool
        Which are right with each random selection.
    recordings : ndarray, shape (clips,)
    level, resamples, seed
        As in `cluster_bootstrap`.

    Examples
    --------
    >>> draws = np.array([[True, False, True, False], [True, True, False, False]])
    >>> paired_random(np.array([True, True, True, False]), draws, np.arange(4)).estimate
    0.25
    """
    estimates, resampled = _resample_random(correct[None], draws, recordings, resamples, seed)
    low, high = np.quantile(resampled[0], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimates[0]), float(low), float(high))


def simultaneous_random(
    correct: np.ndarray,
    draws: np.ndarray,
    recordings: np.ndarray,
    *,
    level: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> list[Interval]:
    r"""Return the intervals of `paired_random` for several selections at once: all of them hold together.

    With :math:`s_k` the bootstrap's standard error of selection k, the half width is :math:`q s_k`, where q is the quantile of
    the largest :math:`|\hat d^*_k - \hat d_k| / s_k` over the selections (max-T; Romano and Wolf, Econometrica 73 (2005)).

    Parameters
    ----------
    correct : ndarray, shape (selections, clips), bool
    draws, recordings, level, resamples, seed
        As in `paired_random`.
    """
    estimates, resampled = _resample_random(correct, draws, recordings, resamples, seed)
    errors = resampled.std(axis=1)
    apart = np.abs(resampled - estimates[:, None]) / np.where(errors > 0, errors, 1)[:, None]
    half = np.quantile(apart.max(axis=0), level) * errors
    return [Interval(float(d), float(d - h), float(d + h)) for d, h in zip(estimates, half, strict=True)]


def _resample_random(
    correct: np.ndarray, draws: np.ndarray, recordings: np.ndarray, resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the differences of selections to the mean draw (selections,), and resampled (selections, resamples)."""
    _, cluster = np.unique(recordings, return_inverse=True)
    n = int(cluster.max()) + 1
    # Sums over the clips of each recording: all that a resample of recordings needs.
    sums, random = (
        np.stack([np.bincount(cluster, weights=row, minlength=n) for row in rows.astype(float)])
        for rows in (correct, draws)
    )
    weights = _draws(n, resamples, seed)
    clips = weights @ np.bincount(cluster, minlength=n)
    shares = np.random.default_rng(seed + 1).multinomial(
        len(draws), np.full(len(draws), 1 / len(draws)), size=resamples
    ) / len(draws)
    of_draws = np.einsum("bd,bd->b", shares, weights @ random.T)
    estimates = correct.mean(axis=1) - draws.mean()
    # Rounded, so that what is equal does not differ by the order of a sum, and 0 is 0.
    return np.round(estimates, 12), np.round((sums @ weights.T - of_draws) / clips, 12)


class Rank(NamedTuple):
    """How a selection stands among random ones: share as good, share as bad (each counting it in), and what that shows."""

    as_good: float
    as_bad: float
    outcome: str


RANK_LEVEL = 0.05
"""At most this share of random selections may do as well as one that beats them."""


def rank_among_random(accuracy: float, random: np.ndarray) -> Rank:
    """Return how an accuracy stands among those of random selections: a permutation test on either side.

    ``as_good`` is (1 + k) / (1 + n) with k of the n random selections at least as accurate, ``as_bad`` the same with at most as
    accurate: a tie is neither a win nor a defeat. The outcome is "better" or "worse" where a share is at most `RANK_LEVEL`,
    "undecided" where n is too small for any share to be, and "neither" otherwise.

    Parameters
    ----------
    accuracy : float
    random : ndarray, shape (draws,)

    Examples
    --------
    >>> rank_among_random(0.9, np.linspace(0.7, 0.89, 20)).outcome, rank_among_random(0.9, np.full(20, 0.9)).outcome
    ('better', 'neither')
    >>> rank_among_random(0.9, np.linspace(0.7, 0.89, 10)).outcome
    'undecided'
    """
    n = len(random)
    # Accuracies are fractions of the same clips, but may come from sums in another order.
    as_good = (1 + int(np.sum(random >= accuracy - 1e-12))) / (1 + n)
    as_bad = (1 + int(np.sum(random <= accuracy + 1e-12))) / (1 + n)
    if 1 / (1 + n) > RANK_LEVEL:
        outcome = "undecided"
    elif as_good <= RANK_LEVEL:
        outcome = "better"
    else:
        outcome = "worse" if as_bad <= RANK_LEVEL else "neither"
    return Rank(as_good, as_bad, outcome)
