"""Other people's criteria that look at what maps do but not at classes: zeros and entropy."""

import numpy as np
from scipy.special import xlogy

from dha_utils.criteria.base import MapScores, criterion
from dha_utils.criteria.groups import is_constant

ENTROPY_BINS = 100
"""Bins of equal width between the smallest and the largest response of a map. Our choice: the sources at hand
do not give the number."""


@criterion(
    "apoz",
    needs="maps",
    family="published criteria",
    summary="share of positions at which the map is active (1 - average percentage of zeros)",
    reference="Hu, Peng, Tai and Tang 2016, Network Trimming",
)
def apoz(maps: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> MapScores:
    """Score maps by 1 - APoZ over all clips and time positions.

    The method is defined on ReLU outputs. A position counts as zero when it is not positive, so a batch-norm
    tap gets the score of the ReLU behind it; after max pooling a position is zero when its whole window is.

    Parameters
    ----------
    maps : ndarray, shape (n, C, T)
        Full feature maps of one tap.
    y, rng
        Not used.

    Returns
    -------
    MapScores
        score = share of active positions, in [0, 1]; a map that is never active has 0 and goes first.
    """
    return MapScores((np.asarray(maps) > 0).mean(axis=(0, 2)))


@criterion(
    "luo_entropy",
    family="published criteria",
    summary=f"entropy of the pooled responses in {ENTROPY_BINS} bins",
    reference="Luo and Wu 2017, An Entropy-based Pruning Method for CNN Compression",
)
def luo_entropy(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    """Score maps by the Shannon entropy of the histogram of their pooled responses.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses of one tap.
    y, groups, rng
        Not used.

    Returns
    -------
    MapScores
        score = entropy in nats, at most log(ENTROPY_BINS); ``-inf`` for a constant map.
    """
    x = np.asarray(x, dtype=np.float64)
    constant = is_constant(x)
    width = np.where(constant, 1.0, np.ptp(x, axis=0))
    bins = np.minimum((ENTROPY_BINS * ((x - x.min(axis=0)) / width)).astype(int), ENTROPY_BINS - 1)
    n, n_maps = x.shape
    counts = np.bincount((bins + ENTROPY_BINS * np.arange(n_maps)).ravel(), minlength=ENTROPY_BINS * n_maps)
    share = counts.reshape(n_maps, ENTROPY_BINS) / n
    return MapScores(np.where(constant, -np.inf, -xlogy(share, share).sum(axis=1)))
