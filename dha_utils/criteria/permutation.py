"""The permutation F test: labels change places between recordings; clips of one recording stay together."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.classwise import degrees_of_freedom, eta_squared, f_statistic
from dha_utils.criteria.groups import is_constant, varies, where_defined

PERMUTATIONS = 99
"""Permutations of the criterion: the smallest p-value is 0.01."""

BLOCK = 100
"""Permutations at a time."""

TIE = 1e-6
"""Shares of a map's variance that differ by less are equal, as those of permutations that regroup the same clips."""

MAPS = 128
"""Maps at a time: their sums over all recordings stay in the processor's cache while every permutation adds them up anew."""


class PermutationPvalues(NamedTuple):
    """P-values of every map, each (C,): by itself, and adjusted for the number of maps (family-wise)."""

    raw: np.ndarray
    familywise: np.ndarray


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
        Recording of every clip.
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
        If there are fewer than two classes or two clips per class.
    """
    f = f_statistic(x, y)
    p = permutation_pvalues(x, y, groups, rng, PERMUTATIONS)
    return MapScores(f, p, eta_squared(f, *degrees_of_freedom(y)))


def permutation_pvalues(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator, permutations: int
) -> np.ndarray:
    """Return p = (1 + number of permutations with F at least as large) / (1 + permutations), shape (C,).

    The labels of the recordings are permuted freely, so a class may get more or fewer clips where recordings
    differ in length: what is tested is that a recording's class has to do with neither its responses nor its
    length. Where a recording has clips of several classes, as four of ESC-50 have, its part of each class counts as a recording.

    Parameters
    ----------
    x, y, groups, rng
        As in `permutation_f`.
    permutations : int
        Number of permutations.
    """
    return permutation_test(x, y, groups, rng, permutations).raw


def permutation_test(
    x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator, permutations: int
) -> PermutationPvalues:
    """Return raw and family-wise p-values of the permutation F test; arguments as in `permutation_pvalues`.

    The family-wise ones compare each map's F with the *largest* F over all maps of every permutation: the
    probability of any false alarm among the maps is held, and how maps depend on one another is taken into account.
    Holm needs p-values below 0.05 divided by the number of maps, which only tens of thousands of permutations could give.

    Returns
    -------
    PermutationPvalues

    Notes
    -----
    Source: Westfall and Young, Resampling-Based Multiple Testing, 1993, single-step max-T, here with F.
    """
    x = np.asarray(x, dtype=np.float64)
    labels, y = np.unique(y, return_inverse=True)
    parts = np.unique(groups, return_inverse=True)[1] * len(labels) + y
    _, first, recording, sizes = np.unique(parts, return_index=True, return_inverse=True, return_counts=True)
    # The total sum of squares of a map is the same for every permutation, so F grows with the share of it that
    # lies between classes, in every map in the same way. A constant map has no such share: nothing lies between.
    centred = x - x.mean(axis=0)
    total = (centred**2).sum(axis=0)
    scaled = centred / np.sqrt(np.where(is_constant(x), np.inf, total))
    # Whatever the labels, clips of a recording come together: what they add up to is added up once.
    sums = (_members(recording[None], len(sizes)) @ scaled).astype(np.float32)
    blocks = [np.ascontiguousarray(sums[:, at : at + MAPS]) for at in range(0, sums.shape[1], MAPS)]

    def between(of_recordings: np.ndarray) -> np.ndarray:
        """Return the shares of the sums of squares between classes (B, C) for labels of the recordings (B, R)."""
        members = _members(of_recordings, len(labels))
        clips = (members @ sizes.astype(np.float32))[:, None]
        squares = ((members @ block) ** 2 / clips for block in blocks)
        return np.concatenate([s.reshape(-1, len(labels), s.shape[1]).sum(axis=1) for s in squares], axis=1)

    observed = between(y[first][None])[0] - TIE
    at_least, largest = np.zeros(x.shape[1]), []
    for start in range(0, permutations, BLOCK):
        count = min(BLOCK, permutations - start)
        shuffled = between(np.stack([rng.permutation(y[first]) for _ in range(count)]))
        at_least += (shuffled >= observed).sum(axis=0)
        largest.append(shuffled.max(axis=1))
    largest = np.sort(np.concatenate(largest))
    exceeded = permutations - np.searchsorted(largest, observed)
    return PermutationPvalues((1 + at_least) / (1 + permutations), (1 + exceeded) / (1 + permutations))


def _members(labels: np.ndarray, n_labels: int) -> sparse.csr_array:
    """Return which of n items have which label, (B * n_labels, n): times (n, C), the sum over every label, for labels (B, n)."""
    n_draws, n = labels.shape
    rows = labels + n_labels * np.arange(n_draws)[:, None]
    items = np.tile(np.arange(n), n_draws)
    return sparse.csr_array(
        (np.ones(rows.size, np.float32), (rows.ravel(), items)), shape=(n_draws * n_labels, n)
    )
