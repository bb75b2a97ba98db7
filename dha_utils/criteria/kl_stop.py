"""The released stopping rule: keep adding maps until the histogram of what is kept settles.

With h(S) the 15-bin histogram of all values of the maps in S, as relative frequencies with zeros set to 1e-5 and then
normalised again, the rule follows ``KL_i = KL(h(all maps) || h(first i maps))``. It settles at the first i where the ten
divergences ``KL_i ... KL_{i+9}`` change by less than 0.01 in all (the sum of their nine ``|KL_{j+1} - KL_j|``). Near the end
fewer than ten are left; the window is then shorter, so that the rule settles at the last map at the latest. All this is
as released and stays so in the corrected variants, which mend two slips: edges that are not shared, and the count.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.special import rel_entr

BINS = 15
ZERO = 1e-5
"""What a relative frequency of zero is set to, so that the divergence stays finite."""

WINDOW = 10
"""Divergences in a window; it has one change less."""

LIMIT = 0.01


def prefix_histograms(z: np.ndarray, order: np.ndarray, *, shared_edges: bool) -> np.ndarray:
    """Return the histogram of the values of the first i maps, for every i.

    Equal to ``np.histogram(z[order[:i]], bins=15)`` including its edges and their rounding, without touching
    all values for every i. With shared edges, counts per map are made once and added up. With own edges they
    add up only as long as the range of the first i maps stays the same; the values of each map are therefore
    sorted, so that counting them anew is a search for 14 edges.

    Parameters
    ----------
    z : ndarray, shape (C, n, T), float32
        Values of the C maps.
    order : ndarray, shape (C,), int
        The maps from first to last.
    shared_edges : bool
        True: the edges of all maps' values serve every i; False: each i has its own minimum and maximum.

    Returns
    -------
    ndarray, shape (C, 15), int64
        Row i - 1 is the histogram of the first i maps.

    Examples
    --------
    >>> z = np.array([0, 1, 2, 30], np.float32).reshape(4, 1, 1)
    >>> prefix_histograms(z, np.arange(4), shared_edges=False)[:, [0, 7, 14]].tolist()
    [[0, 1, 0], [1, 0, 1], [1, 1, 1], [2, 0, 1]]
    >>> prefix_histograms(z, np.arange(4), shared_edges=True)[:, [0, 1, 14]].tolist()
    [[1, 0, 0], [2, 0, 0], [2, 1, 0], [2, 1, 1]]
    """
    values = z.reshape(len(z), -1)
    n_values = values.shape[1]
    if shared_edges:
        inner = np.histogram_bin_edges(values, bins=BINS)[1:-1]
        below = np.stack([np.count_nonzero(values < edge, axis=1) for edge in inner], axis=1)[order]
        return np.diff(below, axis=1, prepend=0, append=n_values).cumsum(axis=0)
    values = values[order]
    values.sort(axis=1)
    low, high = np.minimum.accumulate(values[:, 0]), np.maximum.accumulate(values[:, -1])
    widened = (np.diff(low) != 0) | (np.diff(high) != 0)
    counts = np.empty((len(z), BINS), dtype=np.int64)
    start = 0
    for stop in (*(np.flatnonzero(widened) + 1), len(z)):
        inner = np.histogram_bin_edges(np.stack([low[start], high[start]]), bins=BINS)[1:-1]
        below = [row.searchsorted(inner) for row in values[:stop]]
        per_map = np.diff(below, axis=1, prepend=0, append=n_values)
        counts[start:stop] = per_map.cumsum(axis=0)[start:]
        start = stop
    return counts


def kl_curve(counts: np.ndarray) -> np.ndarray:
    """Return KL(h(all) || h(first i)) in nats for every i, shape (C,), from `prefix_histograms` (C, 15)."""
    frequencies = counts / counts.sum(axis=1, keepdims=True)
    frequencies[frequencies == 0] = ZERO
    frequencies /= frequencies.sum(axis=1, keepdims=True)
    return rel_entr(frequencies[-1], frequencies).sum(axis=1)


def settled_at(curve: np.ndarray) -> int:
    """Return where the divergences (C,) of the first 1 ... C maps settle, counted from zero: 0 ... C - 1.

    >>> settled_at(np.array([3.0, 1.0] + [0.2] * 11)), settled_at(np.linspace(1, 0, 50))
    (2, 49)
    """
    # Zeros behind the end are the windows that are shortened there.
    changes = np.pad(np.abs(np.diff(curve)), (0, WINDOW - 1))
    return int(np.argmax(sliding_window_view(changes, WINDOW - 1).sum(axis=1) < LIMIT))
