"""The paper's selection methods on full feature maps, as released and corrected.

Conventions: feature maps of one tap are ``(n clips, C maps, T time positions)``; standardised maps `z` are
``(C, n, T)`` float32, so that the values of a map lie together. Every method is registered twice, as
``METHOD_as_released``, which reproduces the arithmetic of the released code [1]_ [2]_ with its slips, and as
``METHOD_corrected``, with each of `SLIPS` that concerns it mended; `score_released` mends any subset, which
tells what a single slip changes. How many maps a method keeps by its own rule is `MapScores.n_keep`.

What the sources leave open is read in the most natural way: maps are standardised in float32 (whose epsilon is then the
one that the released entropy adds), statistics computed in float64, ties go to the lower channel number, undefined values
rank last. One weakness is not mended: a nearest-neighbour entropy of 100 points in up to thousands of dimensions follows
the distances between clips, and is no estimate of an entropy to any known accuracy.

References
----------
.. [1] Singh, Rajan, Bhavsar, "Deep Hidden Analysis: A Statistical Framework to Prune Feature Maps",
   ICASSP 2019.
.. [2] Singh, Rajan, Bhavsar, "SVD-based redundancy removal in 1-D CNNs for acoustic scene classification",
   Pattern Recognition Letters 131 (2020) 383-389.
.. [3] Kozachenko, Leonenko, "Sample estimate of the entropy of a random vector", Problems of Information
   Transmission 23 (1987).
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.special import digamma, fdtrc, gammaln
from threadpoolctl import threadpool_limits

from dha_utils.core.errors import DataError, choose
from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.classwise import anova
from dha_utils.criteria.kl_stop import kl_curve, prefix_histograms, settled_at
from dha_utils.criteria.slips import SLIPS
from dha_utils.criteria.standardise import standardise_maps, standardise_released

NEIGHBOURS = 10
"""k of the nearest-neighbour entropy."""

FEW_DIMENSIONS = 64
"""Up to so many, distances are computed faster than each is put in its two places."""

RESOLUTION = float(np.finfo(np.float32).eps)
"""Relative resolution of the maps: below it neither distances nor singular values say anything."""


def anova_time(z: np.ndarray, y: np.ndarray, mended: Collection[str]) -> MapScores:
    r"""Score maps by a one-way ANOVA; score = -p or F, effect = :math:`\eta^2`.

    As released, groups are the n clips and samples their T time positions. With "pseudo-replication" mended
    it is the class-wise `anova` of the clips' averages.
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
            effect = np.where(undefined, 0.0, between / (between + within))
        p = np.where(undefined, 1.0, fdtrc(df_between, df_within, f))
        f = np.where(undefined, -np.inf, f)
    score = f if "underflow" in mended else np.where(np.isneginf(f), -np.inf, -p)
    return MapScores(score, p, effect)


def entropy_knn(z: np.ndarray, y: np.ndarray, mended: Collection[str]) -> MapScores:
    """Score maps by the Kozachenko-Leonenko entropy of their n clips as points in T dimensions."""
    n, n_times = z.shape[1:]
    if n <= NEIGHBOURS:
        raise DataError(f"entropy_knn got {n} clips, it needs more than {NEIGHBOURS}: select more per class")
    rank = NEIGHBOURS if "neighbour" in mended else NEIGHBOURS - 1
    distances = np.array([neighbour_distances(points, rank) for points in z])
    undefined = np.zeros(len(z), bool)
    if "epsilon" in mended:
        floor = RESOLUTION * np.sqrt(n_times)
        undefined = distances.max(axis=1) <= floor
        distances = np.maximum(distances, floor)
    else:
        distances += RESOLUTION
    ball = n_times * (0.5 if "volume term" in mended else 0.0005)
    entropy = knn_entropy(distances, n_times, ball)
    return MapScores(np.where(undefined, -np.inf, entropy if "direction" in mended else -entropy))


def neighbour_distances(points: np.ndarray, k: int) -> np.ndarray:
    """Return the Euclidean distance of each of the points (n, T) to its k-th neighbour, itself not counted; shape (n,)."""
    # By differences: through inner products, equal points would not come out at distance 0.
    few = points.shape[1] <= FEW_DIMENSIONS
    distances = cdist(points, points) if few else squareform(pdist(points))
    return np.partition(distances, k, axis=1)[:, k]


def knn_entropy(distances: np.ndarray, n_dimensions: int, ball: float | None = None) -> np.ndarray:
    r"""Return the Kozachenko-Leonenko estimate of differential entropy in nats, shape (...).

    :math:`\psi(n) - \psi(k) + \log \frac{\pi^b}{\Gamma(b + 1)} + \frac{T}{n} \sum_i \log \epsilon_i`, with
    :math:`\epsilon_i` the distance of point i to its k-th neighbour, k = `NEIGHBOURS`. With b = T / 2 the third term is
    the log volume of the unit ball in T dimensions [3]_.

    Parameters
    ----------
    distances : ndarray, shape (..., n)
        :math:`\epsilon_i`, above 0.
    n_dimensions : int
        T.
    ball : float, optional
        b; by default T / 2.
    """
    b = n_dimensions / 2 if ball is None else ball
    log_ball = b * np.log(np.pi) - gammaln(b + 1)
    constant = digamma(distances.shape[-1]) - digamma(NEIGHBOURS) + log_ball
    return constant + n_dimensions * np.log(distances).mean(axis=-1)


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

    Singular values count above ``max(n, T) * eps(float32)`` of the largest, NumPy's rule for float32
    matrices. They are roots of the eigenvalues of the smaller Gram matrix in float64, whose rounding lies
    far below that.
    """
    n, n_times = z.shape[1:]
    tolerance = max(n, n_times) * RESOLUTION
    # One thread: over matrices this small, the threads of BLAS would spend their time waiting for one another.
    with threadpool_limits(1, user_api="blas"):
        matrices = (points.astype(np.float64) for points in z)
        grams = np.stack([m @ m.T if n <= n_times else m.T @ m for m in matrices])
        eigenvalues = np.linalg.eigvalsh(grams)
    ranks = np.count_nonzero(eigenvalues > tolerance**2 * eigenvalues[:, -1:], axis=1)
    full = min(n, n_times) if "full rank" in mended else n
    return MapScores(np.where(ranks == 0, -np.inf, ranks), n_keep=int(np.count_nonzero(ranks == full)))


METHODS = {
    "anova_time": anova_time,
    "entropy_knn": entropy_knn,
    "angle_to_first": angle_to_first,
    "rank_full": rank_full,
}
"""Method -> the function that scores standardised maps."""

MENDED = {"as_released": frozenset(), "corrected": frozenset(slip.name for slip in SLIPS)}
"""Variant -> the slips that are mended in it."""


def score_released(method: str, maps: np.ndarray, y: np.ndarray, mended: Collection[str] = ()) -> MapScores:
    """Score the maps of one tap by a method of the released code, with some of its slips mended.

    Parameters
    ----------
    method : str
        A key of `METHODS`.
    maps : ndarray, shape (n, C, T), float32
        Full feature maps of the selection clips.
    y : ndarray, shape (n,), int
        Class of every clip; looked at only where "pseudo-replication" is mended.
    mended : collection of str
        Names of `SLIPS`; those that do not concern the method change nothing.

    Returns
    -------
    MapScores
        `n_keep` by the KL rule, or the number of maps of full rank; either may be 0.

    Raises
    ------
    ParameterError
        If the method or a slip is unknown.
    DataError
        If the maps are not (n, C, T), not finite or do not go with `y`, or are of too few clips for the
        method.
    """
    slips = [slip.name for slip in SLIPS]
    for name, known in ((method, METHODS), *((name, slips) for name in mended)):
        choose("name", name, known)
    if maps.ndim != 3 or 0 in maps.shape or len(maps) != len(y):
        raise DataError(
            f"maps have shape {maps.shape}, expected ({len(y)} clips, maps, time), none of them 0"
        )
    if not np.isfinite(maps).all():
        n_bad = np.count_nonzero(~np.isfinite(maps))
        raise DataError(f"{n_bad} of {maps.size} values of the maps are NaN or infinite: extract them again")
    z = standardise_maps(maps) if "standardisation" in mended else standardise_released(maps)
    scores = METHODS[method](z, y, mended)
    if scores.n_keep is not None:
        return scores
    order = np.argsort(-scores.score, kind="stable")
    histograms = prefix_histograms(z, order, shared_edges="bin edges" in mended)
    # The rule points at the last map that is needed, counted from zero; as released that number is taken for the count.
    return replace(scores, n_keep=settled_at(kl_curve(histograms)) + ("count" in mended))


def _register(method: str, variant: str, summary: str, reference: str = "DHA's released code (2020)") -> None:
    """Add one variant of a method to the registry."""

    @criterion(
        f"{method}_{variant}", needs="maps", family="released methods", summary=summary, reference=reference
    )
    def function(maps: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> MapScores:
        return score_released(method, maps, y, MENDED[variant])


_register("anova_time", "as_released", "ANOVA of time positions with clips as groups, lowest p first")
_register("anova_time", "corrected", "ANOVA of the clips' averages grouped by class, highest F first")
_register("entropy_knn", "as_released", "10-nearest-neighbour entropy of clips in T dimensions, lowest first")
_register("entropy_knn", "corrected", "10-nearest-neighbour entropy of clips in T dimensions, highest first")
_register("angle_to_first", "as_released", "spread over clips of the cosine with map 0, lowest first")
_register("angle_to_first", "corrected", "spread over clips of the cosine with map 0, highest first")
_register("rank_full", "as_released", "clips x time matrix has rank n", "Singh et al., PRL 131 (2020)")
_register("rank_full", "corrected", "clips x time matrix has rank min(n, T)", "Singh et al., PRL 131 (2020)")
