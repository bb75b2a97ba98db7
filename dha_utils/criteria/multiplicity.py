"""Multiplicity: p-values of many maps adjusted for their number.

Conventions: all p-values given are one family of tests; adjusted values are compared with the level as they
are.
"""

import numpy as np
from scipy.stats import false_discovery_control

from dha_utils.core.errors import ParameterError, choose

METHODS = {
    "bh": "false discovery rate, Benjamini-Hochberg: independent or positively dependent tests",
    "by": "false discovery rate, Benjamini-Yekutieli: any dependence",
    "holm": "probability of any false discovery, Holm: any dependence",
}
"""What each method controls."""


def adjust(pvalues: np.ndarray, method: str = "bh") -> np.ndarray:
    """Return adjusted p-values of one family of tests.

    Maps of one network are dependent, often negatively; BH has no proof for that and is known to be robust,
    BY and Holm hold regardless.

    Parameters
    ----------
    pvalues : ndarray, shape (tests,)
        Raw p-values in [0, 1], of all taps side by side; undefined maps count with their p-value of 1.
    method : {"bh", "by", "holm"}
        A name in `METHODS`.

    Returns
    -------
    ndarray, shape (tests,), float64

    Raises
    ------
    ParameterError
        If the method is unknown or a p-value is not in [0, 1].

    Examples
    --------
    >>> [adjust(np.array([0.01, 0.02, 0.5]), method).round(4).tolist() for method in METHODS]
    [[0.03, 0.03, 0.5], [0.055, 0.055, 0.9167], [0.03, 0.04, 0.5]]
    """
    choose("method", method, METHODS)
    pvalues = np.asarray(pvalues, dtype=np.float64)
    outside = ~((pvalues >= 0) & (pvalues <= 1))  # NaN is outside too
    if outside.any():
        raise ParameterError(
            f"p-value {pvalues[outside][0]} is not in [0, 1]: an undefined map has p-value 1"
        )
    if method != "holm":
        return false_discovery_control(pvalues, method=method)
    # statsmodels has Holm too, but collects garbage at every call: a tenth of a second, which sweeps would feel.
    order = np.argsort(pvalues)
    adjusted = np.empty_like(pvalues)
    adjusted[order] = np.maximum.accumulate(pvalues[order] * np.arange(len(pvalues), 0, -1))
    return np.minimum(adjusted, 1)
