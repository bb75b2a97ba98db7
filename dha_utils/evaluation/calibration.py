"""Decision values become probabilities, by one sigmoid per class.

Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999; Lin, Lin and Weng, Machine Learning 68 (2007).
"""

import numpy as np
from scipy.special import expit


def is_positive(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return which clips are of which class, shape (n, classes); of two classes only the second, which one decision is for."""
    return (np.asarray(y)[:, None] == classes)[:, 1 if len(classes) == 2 else 0 :]


def fit_sigmoids(values: np.ndarray, positive: np.ndarray) -> np.ndarray:
    r"""Fit :math:`1 / (1 + \exp(a f + b))` to decision values, for every class by itself.

    Newton's method with backtracking on the cross-entropy to Platt's smoothed targets, :math:`(n_1 + 1) / (n_1 + 2)` and
    :math:`1 / (n_0 + 2)`, which is convex.

    Parameters
    ----------
    values : ndarray, shape (n, classes)
    positive : ndarray, shape (n, classes), bool

    Returns
    -------
    ndarray, shape (2, classes)
        a and b.

    Examples
    --------
    >>> f = np.linspace(-2, 2, 100)[:, None]
    >>> fit_sigmoids(f, f > 0)[0, 0] < 0
    np.True_
    """
    n_positive = positive.sum(axis=0)
    n_negative = len(positive) - n_positive
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    scale = np.abs(values).max(axis=0)
    f = values / np.where(scale > 0, scale, 1)
    point = np.stack([np.zeros(f.shape[1]), np.log((n_negative + 1) / (n_positive + 1))])

    def loss(a, b):
        logit = -(a * f + b)
        return (np.logaddexp(0, logit) - target * logit).sum(axis=0)

    before = loss(*point)
    for _ in range(100):
        shares = expit(-(point[0] * f + point[1]))
        residual, weight = target - shares, shares * (1 - shares)
        gradient = np.stack([(residual * f).sum(axis=0), residual.sum(axis=0)])
        if np.abs(gradient).max() < 1e-7 * len(f):
            break
        aa, ab, bb = (weight * f * f).sum(axis=0), (weight * f).sum(axis=0), weight.sum(axis=0)
        aa, bb = aa + 1e-12, bb + 1e-12
        determinant = aa * bb - ab * ab
        step = (
            -np.stack([bb * gradient[0] - ab * gradient[1], aa * gradient[1] - ab * gradient[0]])
            / determinant
        )
        # Halved, class by class, until the loss falls: far from the minimum the parabola may lead too far. Close to it the
        # loss changes by less than its own rounding.
        length = np.ones(f.shape[1])
        for _ in range(40):
            tried = loss(*(point + length * step))
            worse = tried > before * (1 + 1e-13)
            if not worse.any():
                break
            length[worse] /= 2
        length[worse] = 0
        point, before = point + length * step, np.where(worse, before, tried)
    return point / np.stack([np.where(scale > 0, scale, 1), np.ones_like(scale)])


def probabilities(decisions: np.ndarray, sigmoids: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes, which sum to 1, shape (n, classes).

    Parameters
    ----------
    decisions : ndarray, shape (n, classes), or (n, 1) for two classes
    sigmoids : ndarray, shape (2, classes) or (2, 1)
        Slope and offset, as `fit_sigmoids` returns them.
    """
    slope, offset = sigmoids
    shares = expit(-(slope * decisions + offset))
    if shares.shape[1] == 1:
        return np.hstack([1 - shares, shares])
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / shares.shape[1])
