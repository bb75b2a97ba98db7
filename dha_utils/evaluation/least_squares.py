r"""Regularised least squares on the classes, by a kernel: one Cholesky factorisation for all of them.

For every class a function :math:`f = \sum_i \alpha_i k(z_i, \cdot) + b` is fitted to
targets of 1 (of the class) and -1 (of another):

.. math:: (K + \lambda I)\,\alpha + b\,1 = Y, \quad 1^\top \alpha = 0.

What it would say of a clip had it not seen it follows without fitting anew: with C the block of the inverse of that system that
belongs to the clips, :math:`f_{-i}(z_i) = y_i - \alpha_i / C_{ii}`. By these leave-one-out values the penalty is chosen and the
sigmoids are fitted, so no calibration parts are needed.

Source: J. Suykens, J. Vandewalle, Neural Processing Letters 9 (1999); R. Rifkin, G. Yeo, T. Poggio, "Regularized least-squares
classification", 2003; G. Cawley, IJCNN 2006 (leave-one-out with an offset).
"""

from math import comb

import numpy as np
from scipy.linalg import LinAlgError, lapack
from sklearn.base import BaseEstimator, ClassifierMixin

from dha_utils.evaluation.calibration import fit_sigmoids, is_positive, probabilities
from dha_utils.evaluation.kernels import polynomial_kernel

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties that are tried, in units of the kernel's mean diagonal. With the least of them the condition number of the system is
100 times the number of clips, which leaves single precision two digits at worst; it takes half the time of double."""

CHOOSERS = 400
"""Clips that choose the penalty, at most: of more, every second, third ..., so that all penalties together cost one small
eigendecomposition. In the Gaussian process that least squares is the mean of, the penalty is the variance of the noise, which
does not depend on the number of clips."""


class CalibratedLeastSquares(ClassifierMixin, BaseEstimator):
    r"""Least squares with a polynomial kernel, whose leave-one-out values make probabilities of what it says.

    Parameters
    ----------
    degree : int
        Of the kernel, :math:`(z \cdot z')^d`, where 1 is linear least squares.

    Attributes
    ----------
    coefficients_ : ndarray, shape (n, classes), or (n, 1) for two classes
    offset_ : ndarray, shape (classes,) or (1,)
    penalty_ : float
    vectors_ : ndarray, shape (n, n_features)
        The clips of the fit.
    sigmoids_, classes_
        As in `dha_utils.evaluation.svm.CalibratedSVM`.
    """

    def __init__(self, degree: int = 3):
        self.degree = degree

    def fit(self, X, y, kernel: np.ndarray | None = None):
        """Fit to X (n, n_features), y (n,).

        `kernel`, shape (n, n), is what `polynomial_kernel` gives for X and the degree, where it has been computed before.
        """
        if kernel is None:
            kernel = polynomial_kernel(X, X, self.degree)
        self.classes_ = np.unique(y)
        self.vectors_ = X
        positive = is_positive(y, self.classes_)
        targets = np.where(positive, 1.0, -1.0)
        step = -(-len(y) // CHOOSERS)
        chooser = np.argsort(y, kind="stable")[::step]  # each class in its share
        self.penalty_ = best_penalty(kernel[np.ix_(chooser, chooser)], targets[chooser])
        # A kernel of degree d on few maps has few independent functions: the monomials. Of maps that are silent it is zero.
        rank = comb(X.shape[1] + self.degree - 1, self.degree)
        solve = solve_low_rank if 2 * rank < len(y) and kernel.trace() else solve_full
        self.coefficients_, self.offset_, left_out = solve(kernel, targets, self.penalty_)
        self.sigmoids_ = fit_sigmoids(left_out, positive)
        return self

    def predict_proba(self, X, kernel: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of the classes, shape (n, classes); `kernel` as in `CalibratedSVM.predict_proba`."""
        if kernel is None:
            kernel = polynomial_kernel(X, self.vectors_, self.degree)
        decisions = kernel @ self.coefficients_ + self.offset_
        return probabilities(decisions, self.sigmoids_)


def best_penalty(kernel: np.ndarray, targets: np.ndarray) -> float:
    """Return which penalty has the least squared leave-one-out error, over clips and classes together.

    Parameters
    ----------
    kernel : ndarray, shape (n, n)
    targets : ndarray, shape (n, classes)
    """
    values, vectors = np.linalg.eigh(kernel)
    rotated = vectors.T @ np.column_stack([targets, np.ones(len(targets))])
    squared = vectors**2
    penalties, errors = np.multiply(PENALTIES, kernel.diagonal().mean() or 1.0), []
    for penalty in penalties:
        inverse = 1 / (np.maximum(values, 0) + penalty)
        solved = vectors @ (inverse[:, None] * rotated)
        coefficients, _, block = _with_offset(solved, squared @ inverse)
        errors.append(((coefficients / block[:, None]) ** 2).sum())
    return float(penalties[np.argmin(errors)])


def solve_full(kernel: np.ndarray, targets: np.ndarray, penalty: float):
    """Solve the system of the module's head by a Cholesky factorisation, in single precision.

    Parameters
    ----------
    kernel : ndarray, shape (n, n)
    targets : ndarray, shape (n, classes)
    penalty : float

    Returns
    -------
    coefficients : ndarray, shape (n, classes)
    offset : ndarray, shape (classes,)
    left_out : ndarray, shape (n, classes)
        What is said of every clip by a fit to the others.

    Raises
    ------
    LinAlgError
        If the kernel is not positive semidefinite.
    """
    system = kernel.astype(np.float32)
    system[np.diag_indices(len(system))] += np.float32(penalty)
    # The transpose is in Fortran's order, and a symmetric matrix is its own: nothing is copied.
    factor, failed = lapack.spotrf(system.T, lower=1, overwrite_a=1)
    if failed:
        raise LinAlgError("the kernel is not positive semidefinite")
    half, _ = lapack.strtri(factor, lower=1, overwrite_c=1)
    right = np.column_stack([targets, np.ones(len(targets))]).astype(np.float32)
    solved = (half.T @ (half @ right)).astype(float)
    return _left_out(solved, np.einsum("ij,ij->j", half, half).astype(float), targets)


def solve_low_rank(kernel: np.ndarray, targets: np.ndarray, penalty: float):
    r"""Solve the same system where the kernel is of low rank; arguments and results as in `solve_full`, in double precision.

    With :math:`K = GG^\top` (Cholesky's factorisation with pivots, which ends at the rank) the inverse of
    :math:`K + \lambda I` is :math:`(I - G (G^\top G + \lambda I)^{-1} G^\top) / \lambda`.
    """
    factor, pivots, rank, _ = lapack.dpstrf(kernel, tol=1e-12 * kernel.trace(), lower=1)
    rows = np.empty((len(kernel), rank))
    rows[pivots - 1] = np.tril(factor[:, :rank])
    inner, _ = lapack.dpotrf(rows.T @ rows + penalty * np.eye(rank), lower=1)
    half, _ = lapack.dtrtri(inner, lower=1)
    rows = rows @ half.T
    right = np.column_stack([targets, np.ones(len(targets))])
    solved = (right - rows @ (rows.T @ right)) / penalty
    return _left_out(solved, (1 - np.einsum("ij,ij->i", rows, rows)) / penalty, targets)


def _left_out(solved: np.ndarray, diagonal: np.ndarray, targets: np.ndarray):
    coefficients, offset, block = _with_offset(solved, diagonal)
    return coefficients, offset, targets - coefficients / block[:, None]


def _with_offset(solved: np.ndarray, diagonal: np.ndarray):
    """Return coefficients, offset, and the diagonal of C, from the inverse of K + λI times [targets, 1] and its diagonal."""
    ones, total = solved[:, -1], solved[:, -1].sum()
    offset = solved[:, :-1].sum(axis=0) / total
    return solved[:, :-1] - np.outer(ones, offset), offset, diagonal - ones**2 / total
