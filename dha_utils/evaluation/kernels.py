"""The polynomial kernel of the classifiers."""

import numpy as np


def polynomial_kernel(a: np.ndarray, b: np.ndarray, degree: int, gamma: float = 1.0) -> np.ndarray:
    r"""Return :math:`(\gamma\, a_i \cdot b_j)^d`, shape (n, m).

    Parameters
    ----------
    a, b : ndarray, shape (n, n_features) and (m, n_features)
    degree : int
        d, at least 1.
    gamma : float

    Examples
    --------
    >>> polynomial_kernel(np.eye(2), np.ones((1, 2)), 18, 2.0).tolist()
    [[262144.0], [262144.0]]
    """
    square = gamma * (a @ b.T)
    power = None
    # Squared again and again (d = 18 = 2 + 16): NumPy's own ** takes a logarithm and an exponential for every number.
    while True:
        if degree & 1:
            power = square.copy() if power is None else np.multiply(power, square, out=power)
        degree >>= 1
        if not degree:
            return power
        np.multiply(square, square, out=square)
