"""How much keep masks made on different training folds agree.

Conventions: ``masks`` is boolean, shape (folds, maps): one row per training fold, all of one tap.
"""

import numpy as np
from scipy import stats

from dha_utils.evaluation.inference import Interval


def nogueira(masks: np.ndarray, level: float = 0.95) -> Interval:
    r"""Return Nogueira's stability of a selection with its asymptotic interval: 1 if all agree, 0 as by chance.

    .. math:: \hat\Phi = 1 - \frac{\frac{1}{d} \sum_f s_f^2}{\frac{\bar k}{d} (1 - \frac{\bar k}{d})}

    with :math:`s_f^2` the unbiased variance of map *f*'s selection over *M* masks, *d* maps and :math:`\bar k` kept on
    average. The variance of the estimate is that of Nogueira, Sechidis and Brown, JMLR 18 (2018), theorem 7. The training folds
    overlap, so the interval is optimistic.

    Parameters
    ----------
    masks : ndarray, shape (folds, maps), bool
    level : float
        Coverage.

    Returns
    -------
    Interval
        (1, 1, 1) where all maps are kept, or the masks all agree; NaN for a single mask, which cannot disagree.
    """
    z = np.asarray(masks, dtype=float)
    m, d = z.shape
    if m < 2:
        return Interval(float("nan"), float("nan"), float("nan"))
    p, k = z.mean(axis=0), z.sum(axis=1)
    share = k.mean() / d
    if share in (0, 1):
        return Interval(1.0, 1.0, 1.0)
    phi = 1 - m / (m - 1) * np.mean(p * (1 - p)) / (share * (1 - share))
    own = np.empty(m)
    for i in range(m):
        own[i] = (
            np.mean(z[i] * p)
            - k[i] * k.mean() / d**2
            - phi / 2 * (2 * k[i] * k.mean() / d**2 - k[i] / d - k.mean() / d + 1)
        ) / (share * (1 - share))
    variance = 4 / m**2 * np.sum((own - own.mean()) ** 2)
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt(variance)
    return Interval(float(phi), float(phi - half), float(phi + half))


def overlap_matrix(masks: dict[str, np.ndarray]) -> np.ndarray:
    """Return the Jaccard index of every pair of keep masks (maps,), shape (masks, masks)."""
    stacked = np.stack(list(masks.values())).astype(int)
    both = stacked @ stacked.T
    sizes = stacked.sum(axis=1)
    return both / (sizes[:, None] + sizes[None, :] - both)
