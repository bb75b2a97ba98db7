"""How alike two taps see the same clips."""

import numpy as np
import pandas as pd

from dha_utils.findings.dimension import standardise
from dha_utils.responses.table import Responses


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    r"""Return how alike two taps see the same clips, 1 if alike but for a rotation and a scale, 0 if they share nothing.

    Linear centred kernel alignment :math:`\lVert X^\top Y \rVert_F^2 / (\lVert X^\top X \rVert_F \lVert Y^\top Y \rVert_F)` of
    the standardised maps. Source: Kornblith, Norouzi, Lee and Hinton, ICML 2019.

    Parameters
    ----------
    x, y : ndarray, shape (n, C) and (n, D)

    Returns
    -------
    float
        NaN where one of the two is constant.
    """
    x, y = standardise(x), standardise(y)
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.sum((x.T @ y) ** 2) / scale) if scale > 0 else float("nan")


def cka_matrix(responses: Responses) -> pd.DataFrame:
    """Return `linear_cka` of every pair of taps, rows and columns named by them."""
    taps = list(responses.taps)
    matrix = np.empty((len(taps), len(taps)))
    for i, first in enumerate(taps):
        for j, second in enumerate(taps[: i + 1]):
            matrix[i, j] = matrix[j, i] = linear_cka(responses[first], responses[second])
    return pd.DataFrame(matrix, taps, taps)
