"""Mutual information between a map's response and the class."""

import numpy as np
from scipy.special import digamma
from scipy.stats import entropy

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.groups import split_by_class, varies, where_defined

NEIGHBOURS = 3
"""Neighbours of the estimator, scikit-learn's default."""


@criterion(
    "mutual_information",
    family="class-wise effect sizes",
    summary=f"mutual information with the class, {NEIGHBOURS} nearest neighbours",
    reference="Ross, PLoS ONE 9 (2014), as in scikit-learn's mutual_info_classif",
)
@where_defined(varies, test=False)
def mutual_information(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> MapScores:
    """Score maps by scikit-learn's estimate of mutual information, computed for all maps at once.

    `sklearn.feature_selection.mutual_info_classif` builds trees per map and class (4 ms a map); in one
    dimension sorting does, 15 times faster and to the same numbers.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses of one tap.
    y : ndarray, shape (n,), int
        Class of every clip.
    groups
        Not used.
    rng : Generator
        Draws the noise, 1e-10 of a standard deviation, that parts equal responses such as the zeros of a
        ReLU.

    Returns
    -------
    MapScores
        score = mutual information in nats, not below 0; effect = its share of the entropy of the labels.
    """
    x = x / x.std(axis=0)
    noise = rng.standard_normal(x.shape)
    information = ross_information(x + 1e-10 * np.maximum(1, np.abs(x).mean(axis=0)) * noise, y)
    return MapScores(information, None, information / entropy(np.unique(y, return_counts=True)[1]))


def ross_information(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return Ross' estimate of the mutual information of `x` (n, C), by column, with `y` (n,): nats, shape (C,).

    Every clip's distance to its k-th neighbour of the same class is compared with the number of clips of any
    class nearer than that. Values must be distinct.
    """
    information = np.full(x.shape[1], digamma(len(x)))
    runs = []
    for part in split_by_class(x, y):
        part = np.sort(part, axis=0)
        n = len(part)
        k = min(NEIGHBOURS, n - 1)
        runs.append(_nearest_run(part, k))
        information += n / len(x) * (digamma(k) - digamma(n))
    low, high = map(np.concatenate, zip(*runs, strict=True))
    for column, values in enumerate(np.sort(x, axis=0).T):
        nearer = values.searchsorted(high[:, column]) - values.searchsorted(low[:, column], "right")
        information[column] -= digamma(nearer).mean()
    return np.maximum(information, 0)


def _nearest_run(part: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends, each (n, C), of the open interval around each value that reaches its k-th neighbour.

    Parameters
    ----------
    part : ndarray, shape (n, C)
        Sorted along the first axis; n > k.
    k : int
    """
    # The k nearest of a sorted value are one of the runs of k + 1 values that hold it; infinities pad.
    padded = np.pad(part, ((k, k), (0, 0)), constant_values=((-np.inf, np.inf), (0, 0)))
    rows = np.arange(len(part))[None, :] + np.arange(k + 1)[:, None]
    left, right = padded[rows], padded[rows + k]  # (runs, n, C)
    best = np.maximum(part - left, right - part).argmin(axis=0, keepdims=True)
    left, right = (np.take_along_axis(ends, best, axis=0)[0] for ends in (left, right))
    to_left, to_right = part - left, right - part
    # The neighbour itself is one end: as value plus rounded distance it could fall inside the interval.
    low = np.where(to_left >= to_right, left, part - to_right)
    high = np.where(to_right >= to_left, right, part + to_left)
    return low, high
