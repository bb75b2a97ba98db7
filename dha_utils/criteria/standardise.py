"""The two standardisations of full feature maps: that of the released code, and the corrected one.

Conventions: maps come as ``(n clips, C maps, T time positions)`` and are returned as ``(C, n, T)`` float32, a new
array in which the values of a map lie together. Sums are taken in float64.
"""

import numpy as np


def standardise_released(maps: np.ndarray) -> np.ndarray:
    """Standardise maps (n, C, T) as the released code does: by the columns of (n, T, C) read as (n C, T).

    Time t of map c then lies in column (t C + c) mod T, whichever the clip. The result is read as (n, T, C) again,
    so that each map keeps its place but not its own statistics, and returned with shape (C, n, T), float32. A
    column without variance is only centred, as scikit-learn's StandardScaler does.
    """
    n, n_maps, n_times = maps.shape
    column = (n_maps * np.arange(n_times) + np.arange(n_maps)[:, None]) % n_times
    sums, squares = np.zeros((2, n_maps, n_times))
    for clip in maps.astype(np.float32, copy=False):
        values = clip.astype(np.float64)
        sums += values
        squares += values**2
    means = np.bincount(column.ravel(), sums.ravel()) / (n * n_maps)
    variances = np.bincount(column.ravel(), squares.ravel()) / (n * n_maps) - means**2
    # A column of equal values comes out with a variance of rounding errors, above or below 0.
    scales = np.where(variances > 1e-14 * means**2, np.sqrt(np.maximum(variances, 0)), 1.0)
    z = np.empty((n_maps, n, n_times), np.float32)
    np.subtract(maps.transpose(1, 0, 2), means.astype(np.float32)[column][:, None], out=z)
    z /= scales.astype(np.float32)[column][:, None]
    return z


def standardise_maps(maps: np.ndarray) -> np.ndarray:
    """Centre every map of (n, C, T) over clips and time, divide by one scale; shape (C, n, T), float32."""
    z = maps.transpose(1, 0, 2).astype(np.float32, order="C")
    # In float32 the average of equal values is that value: a constant map becomes exactly 0.
    z -= z.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    scale = np.sqrt(np.einsum("cnt,cnt->c", z, z, dtype=np.float64).sum() / z.size)
    if scale > 0:
        z /= np.float32(scale)
    return z
