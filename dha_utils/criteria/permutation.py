"""The permutation F test: labels change places between recordings; clips of one recording stay together."""

import numpy as np
from scipy import stats

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.classwise import degrees_of_freedom, eta_squared
from dha_utils.criteria.groups import split_by_class, varies, where_defined
from dha_utils.errors import DataError

PERMUTATIONS = 99
"""Permutations of the criterion: the smallest p-value is 0.01."""

BLOCK = 33
"""Permutations per matrix product: many small products would spend their time on starting threads."""


@criterion(
    "permutation_f",
    family="class-wise tests",
    summary=f"F test by {PERMUTATIONS} permutations of the labels over recordings",
    reference="Fisher 1935; whole-block exchangeability: Winkler et al., NeuroImage 123 (2015)",
)
@where_defined(varies, test=True)
def permutation_f(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    r"""Score maps by F with p-values that allow for clips cut from one recording.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses of one tap.
    y : ndarray, shape (n,), int
        Class of every clip.
    groups : ndarray, shape (n,)
        Recording of every clip; all its clips must be of one class.
    rng : Generator
        Draws the permutations; all maps see the same ones.

    Returns
    -------
    MapScores
        score = F, so that the order is that of `anova` and the p-values alone differ; effect =
        :math:`\eta^2`.

    Raises
    ------
    DataError
        If a recording has clips of several classes, there are fewer than two classes or two clips per class.
    """
    f = stats.f_oneway(*split_by_class(x, y), axis=0).statistic
    p = permutation_pvalues(x, y, groups, rng, PERMUTATIONS)
    return MapScores(f, p, eta_squared(f, *degrees_of_freedom(y)))


def permutation_pvalues(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator, permutations: int
) -> np.ndarray:
    """Return p = (1 + number of permutations with F at least as large) / (1 + permutations), shape (C,).

    The labels of the recordings are permuted freely, so a class may get more or fewer clips where recordings
    differ in length: what is tested is that a recording's class has to do with neither its responses nor its
    length.

    Parameters
    ----------
    x, y, groups, rng
        As in `permutation_f`.
    permutations : int
        Number of permutations.
    """
    _, first, recording = np.unique(groups, return_index=True, return_inverse=True)
    labels, y = np.unique(y, return_inverse=True)
    mixed = np.flatnonzero(y != y[first][recording])
    if mixed.size:
        raise DataError(
            f"recording {groups[mixed[0]]} has clips of several classes, so labels cannot be permuted by "
            "recording: name its parts as recordings of their own, or choose another criterion"
        )
    centred = x - np.mean(x, axis=0, dtype=np.float64)
    total = (centred**2).sum(axis=0)
    # The total sum of squares is the same for every permutation, so F grows with that between classes.
    # A difference of rounding only, as when a permutation regroups the same clips, is a tie.
    threshold = _between(centred, y[None], len(labels))[0] - 1e-12 * total
    at_least = np.zeros(x.shape[1])
    for start in range(0, permutations, BLOCK):
        count = min(BLOCK, permutations - start)
        shuffled = np.stack([rng.permutation(y[first])[recording] for _ in range(count)])
        at_least += (_between(centred, shuffled, len(labels)) >= threshold).sum(axis=0)
    return (1 + at_least) / (1 + permutations)


def _between(centred: np.ndarray, y: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the sum of squares between classes of columns (n, C) with mean 0 for labels (B, n), shape (B, C)."""
    member = (y[:, None, :] == np.arange(n_classes)[:, None]).astype(float)  # (B, classes, n)
    sums = (member.reshape(-1, len(centred)) @ centred).reshape(len(y), n_classes, -1)
    return (sums**2 / member.sum(axis=2)[:, :, None]).sum(axis=1)
