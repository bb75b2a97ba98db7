"""The paper's selection methods on full feature maps, as released and corrected.

Conventions: feature maps of one tap are ``(n clips, C maps, T time positions)``; standardised maps `z` are
``(C, n, T)`` float32, so that the values of a map lie together. Every method is registered twice, as
``METHOD_as_released``, which reproduces the arithmetic of the released code [1]_ [2]_ with its slips, and as
``METHOD_corrected``, with each of `SLIPS` that concerns it mended; `score_released` mends any subset, which tells what
a single slip changes. How many maps a method keeps by its own rule is `MapScores.n_keep`.

What the sources leave open is read in the most natural way: data and standardisation are float32, statistics are
computed in float64, ties go to the lower channel number, undefined values rank last. A weakness that is not mended: a
k-nearest-neighbour entropy of 100 points in up to thousands of dimensions follows the distances between clips, and
estimates no entropy that anything is known about.

References
----------
.. [1] Singh, Rajan, Bhavsar, "Deep Hidden Analysis: A Statistical Framework to Prune Feature Maps", ICASSP 2019.
.. [2] Singh, Rajan, Bhavsar, "SVD-based redundancy removal in 1-D CNNs for acoustic scene classification", Pattern
   Recognition Letters 131 (2020) 383-389.
.. [3] Kozachenko, Leonenko, "Sample estimate of the entropy of a random vector", Problems of Information
   Transmission 23 (1987).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.special import digamma, fdtrc, gammaln

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.classwise import anova, eta_squared
from dha_utils.criteria.kl_stop import kl_curve, prefix_histograms, settled_at
from dha_utils.errors import DataError, ParameterError

NEIGHBOURS = 10
"""k of the nearest-neighbour entropy."""

RESOLUTION = float(np.finfo(np.float32).eps)
"""Relative resolution of the maps: below it neither distances nor singular values say anything."""


@dataclass(frozen=True)
class Slip:
    """A slip of the released code: its name, the methods it concerns, what is wrong and what the corrected variant does."""

    name: str
    methods: tuple[str, ...]
    wrong: str
    corrected: str


STOPPED = ("anova_time", "entropy_knn", "angle_to_first")
"""The methods that take their number of maps from the KL rule."""

SLIPS = (
    Slip(
        "standardisation",
        (*STOPPED, "rank_full"),
        "(n, T, C) is reshaped to (n C, T) without a transpose: each column that is standardised mixes maps and times",
        "every map is centred over clips and time; one scale for the tap, since how much a map varies is to count",
    ),
    Slip(
        "pseudo-replication",
        ("anova_time",),
        "groups are clips and samples their autocorrelated time positions: any two clips differ, on noise alone too",
        "one average per clip, grouped by class: the test of classes in the nested design time in clip in class",
    ),
    Slip(
        "underflow",
        ("anova_time",),
        "maps are ranked by p, which underflows to 0: the order within these ties is arbitrary (here: by channel)",
        "maps are ranked by F",
    ),
    Slip(
        "direction",
        ("entropy_knn", "angle_to_first"),
        "ascending order keeps the maps that vary least over clips",
        "descending order keeps the maps that vary most",
    ),
    Slip(
        "atoms",
        ("entropy_knn",),
        f"more than {NEIGHBOURS} clips that a map answers alike (by silence) have distance 0: entropy is minus infinity",
        "distances are not taken below the resolution of float32; a map with no larger one is undefined",
    ),
    Slip(
        "reference",
        ("angle_to_first",),
        "map 0 is compared with itself: its spread is 0 whatever it does",
        "map 0 is scored by its angle to map 1",
    ),
    Slip(
        "bin edges",
        STOPPED,
        "the two histograms of the stopping rule have different edges: equal bins stand for different values",
        "both have the edges of all values",
    ),
    Slip(
        "full rank",
        ("rank_full",),
        "full means rank n, which no map with fewer than n time positions can reach",
        "full means rank min(n, T)",
    ),
    Slip(
        "mixed slice",
        (),
        "clips per class are hard-coded slices, one of which holds clips of two classes",
        "clips are drawn by label; so they are in both variants, since the slices belong to another data set",
    ),
)


def standardise_released(maps: np.ndarray) -> np.ndarray:
    """Standardise as the released code does: the columns of (n, T, C) read as (n C, T); shape (C, n, T), float32.

    The result is reshaped back to (n, T, C), so each map keeps its place but not its own statistics. A column
    without variance is only centred, as scikit-learn's StandardScaler does.
    """
    n, n_maps, n_times = maps.shape
    table = maps.transpose(0, 2, 1).astype(np.float32, order="C").reshape(n * n_maps, n_times)
    table -= table.mean(axis=0, dtype=np.float64)
    scale = np.sqrt(np.einsum("rt,rt->t", table, table, dtype=np.float64) / len(table))
    table /= np.where(scale == 0, 1.0, scale)
    return np.ascontiguousarray(table.reshape(n, n_times, n_maps).transpose(2, 0, 1))


def standardise_maps(maps: np.ndarray) -> np.ndarray:
    """Centre every map over clips and time, divide by the tap's one deviation; shape (C, n, T), float32."""
    z = maps.transpose(1, 0, 2).astype(np.float32, order="C")
    constant = z.min(axis=(1, 2)) == z.max(axis=(1, 2))
    z -= z.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    z[constant] = 0.0  # exactly: the average of equal values may differ from them by rounding
    scale = np.sqrt(np.einsum("cnt,cnt->c", z, z, dtype=np.float64).sum() / z.size)
    return z if scale == 0 else np.divide(z, scale, out=z, casting="same_kind")


def anova_time(z: np.ndarray, y: np.ndarray, mended: Collection[str]) -> MapScores:
    r"""Score maps by a one-way ANOVA; score = -p or F, effect = :math:`\eta^2`.

    As released, groups are the n clips and samples their T time positions. With "pseudo-replication" mended it is the
    class-wise `anova` of the clips' averages.
    """
    means = z.mean(axis=2, dtype=np.float64).T
    if "pseudo-replication" in mended:
        scores = anova(means, y, None, None)
        f, p, effect = scores.score, scores.pvalue, scores.effect
    else:
        n, n_times = z.shape[1:]
        between = n_times * ((means - means.mean(axis=0)) ** 2).sum(axis=0)
        within = np.array([((row - mean[:, None]) ** 2).sum() for row, mean in zip(z, means.T, strict=True)])
        df_between, df_within = n - 1, n * (n_times - 1)
        with np.errstate(divide="ignore", invalid="ignore"):  # no variance within clips, or none at all
            f = (between / df_between) / (within / df_within)
        undefined = np.isnan(f)
        p = np.where(undefined, 1.0, fdtrc(df_between, df_within, f))
        effect = np.where(undefined, 0.0, eta_squared(f, df_between, df_within))
        f = np.where(undefined, -np.inf, f)
    score = f if "underflow" in mended else np.where(np.isneginf(f), -np.inf, -p)
    return MapScores(score, p, effect)


def entropy_knn(z: np.ndarray, y: np.ndarray, mended: Collection[str]) -> MapScores:
    """Score maps by the Kozachenko-Leonenko entropy of n clips as points in T dimensions; see `knn_entropy`."""
    if z.shape[1] <= NEIGHBOURS:
        raise DataError(f"entropy_knn got {z.shape[1]} clips, it needs more than {NEIGHBOURS}: select more per class")
    floor = RESOLUTION * np.sqrt(z.shape[2]) if "atoms" in mended else 0.0
    entropy = np.array([knn_entropy(points, floor=floor) for points in z])
    return MapScores(entropy if "direction" in mended else np.where(np.isnan(entropy), -np.inf, -entropy))


def knn_entropy(points: np.ndarray, k: int = NEIGHBOURS, floor: float = 0.0) -> float:
    r"""Return the Kozachenko-Leonenko estimate of differential entropy in nats.

    :math:`\psi(n) - \psi(k) + \log V_T + \frac{T}{n} \sum_i \log \epsilon_i`, with :math:`\epsilon_i` the Euclidean distance
    of point i to its k-th neighbour and :math:`V_T` the volume of the unit ball [3]_.

    Parameters
    ----------
    points : ndarray, shape (n, T)
    k : int
        Neighbour, below n.
    floor : float
        Distances are taken to be at least this; where none is larger the result is minus infinity.
    """
    n, n_dimensions = points.shape
    # Distances by differences: through inner products, equal points would not come out at distance 0.
    distances = np.partition(squareform(pdist(points)), k, axis=1)[:, k]
    if distances.max() <= floor:
        return -np.inf
    log_ball = n_dimensions / 2 * np.log(np.pi) - gammaln(n_dimensions / 2 + 1)
    with np.errstate(divide="ignore"):  # log 0 where points coincide and there is no floor
        log_distances = np.log(np.maximum(distances, floor))
    return float(digamma(n) - digamma(k) + log_ball + n_dimensions * log_distances.mean())


def angle_to_first(z: np.ndarray, y: np.ndarray, mended: Collection[str]) -> MapScores:
    """Score maps by the standard deviation over clips of their cosine, over time, with map 0."""
    norms = np.sqrt(np.einsum("cnt,cnt->cn", z, z, dtype=np.float64))
    products = np.einsum("cnt,nt->cn", z, z[0], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # a map that is zero throughout a clip has no angle
        spread = (products / (norms * norms[0])).std(axis=1)
    if "reference" in mended:
        spread[0] = spread[1 % len(z)]
    return MapScores(np.where(np.isnan(spread), -np.inf, spread if "direction" in mended else -spread))


def rank_full(z: np.ndarray, y: np.ndarray, mended: Collection[str]) -> MapScores:
    """Score maps by the rank of their n x T matrix; `n_keep` counts those of full rank, which may be none.

    Singular values count above ``max(n, T) * eps(float32)`` of the largest, NumPy's rule for float32 matrices. They are roots
    of the eigenvalues of the smaller Gram matrix in float64, whose rounding lies far below that.
    """
    n, n_times = z.shape[1:]
    tolerance = max(n, n_times) * RESOLUTION
    ranks = np.empty(len(z))
    for number, points in enumerate(z.astype(np.float64) if n_times < n else z):
        matrix = points if n_times < n else points.astype(np.float64).T
        eigenvalues = np.linalg.eigvalsh(matrix.T @ matrix)
        ranks[number] = np.count_nonzero(eigenvalues > tolerance**2 * eigenvalues[-1])
    full = min(n, n_times) if "full rank" in mended else n
    return MapScores(np.where(ranks == 0, -np.inf, ranks), n_keep=np.count_nonzero(ranks == full))


METHODS = {"anova_time": anova_time, "entropy_knn": entropy_knn, "angle_to_first": angle_to_first, "rank_full": rank_full}
