"""A polynomial SVM, one against one, whose decision values become probabilities."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from dha_utils.evaluation.calibration import fit_sigmoids, is_positive, probabilities
from dha_utils.evaluation.kernels import polynomial_kernel

CALIBRATION_SPLITS = 5
"""Parts into which the training clips are divided to fit the sigmoids, as in libsvm; fewer where a class has fewer clips."""


class CalibratedSVM(ClassifierMixin, BaseEstimator):
    """A polynomial SVM whose decision values become probabilities, by one sigmoid per class.

    The same as ``CalibratedClassifierCV(svm, method="sigmoid", ensemble=False)`` in less time: the kernel of all training
    clips is computed once for all parts, the sigmoids of all classes are fitted together, and decision values come from one
    matrix product per class.

    Parameters
    ----------
    svm : SVC
        With a polynomial kernel and ``coef0 = 0``; not fitted.
    splits : int
        Parts of the training clips; the SVM of the others says what the sigmoids learn from a part.

    Attributes
    ----------
    svm_ : SVC
        Fitted on all clips, by their kernel.
    vectors_ : ndarray, shape (support vectors, n_features)
    sigmoids_ : ndarray, shape (2, classes), or (2, 1) for two classes
        Slope and offset, as `dha_utils.evaluation.calibration.fit_sigmoids` returns them.
    classes_ : ndarray
    """

    def __init__(self, svm: SVC, splits: int = CALIBRATION_SPLITS):
        self.svm = svm
        self.splits = splits

    def fit(self, X, y, kernel: np.ndarray | None = None):
        """Fit to X (n, n_features), y (n,), with at least `splits` rows of each class.

        `kernel`, shape (n, n), is what `polynomial_kernel` gives for X and the SVM's kernel, where it has been computed before.
        """
        if kernel is None:
            kernel = polynomial_kernel(X, X, self.svm.degree, self.svm.gamma)
        machine = clone(self.svm).set_params(kernel="precomputed")
        decisions = None
        for rest, part in StratifiedKFold(self.splits).split(X, y):
            machine.fit(kernel[np.ix_(rest, rest)], y[rest])
            said = decide(machine, kernel[np.ix_(part, rest[machine.support_])])
            decisions = np.empty((len(y), said.shape[1])) if decisions is None else decisions
            decisions[part] = said
        self.svm_ = machine.fit(kernel, y)
        self.vectors_ = X[machine.support_]
        self.classes_ = machine.classes_
        self.sigmoids_ = fit_sigmoids(decisions, is_positive(y, self.classes_))
        return self

    def predict_proba(self, X, kernel: np.ndarray | None = None) -> np.ndarray:
        """Return the probabilities of the classes, shape (n, classes).

        `kernel`, shape (n, clips of the fit), is that of X and the clips of the fit, where it has been computed before.
        """
        if kernel is None:
            # In files of older versions the SVM itself has the support vectors.
            vectors = getattr(self, "vectors_", self.svm_.support_vectors_)
            kernel = polynomial_kernel(X, vectors, self.svm.degree, self.svm.gamma)
        else:
            kernel = kernel[:, self.svm_.support_]
        return probabilities(decide(self.svm_, kernel), self.sigmoids_)


def decide(svm: SVC, kernel: np.ndarray) -> np.ndarray:
    """Return what ``svm.decision_function`` returns, in less time where there are many classes.

    A class has the votes of the pairs that it wins and, below a third of a vote, what speaks for it in all its pairs.

    Parameters
    ----------
    svm : SVC
        Fitted, with the default ``decision_function_shape``.
    kernel : ndarray, shape (n, support vectors)
        The kernel of clips and the support vectors.

    Returns
    -------
    ndarray, shape (n, classes), or (n, 1) for two classes
    """
    if len(svm.classes_) == 2:
        return kernel @ svm.dual_coef_.T + svm.intercept_
    ends = np.cumsum(svm.n_support_)
    n_classes = len(ends)
    # What the support vectors of class i say in its pair with class j. libsvm keeps their coefficients in the order of the
    # other classes.
    says = np.zeros((len(kernel), n_classes, n_classes))
    for i, (end, count) in enumerate(zip(ends, svm.n_support_, strict=True)):
        own = slice(end - count, end)
        says[:, i, np.arange(n_classes) != i] = kernel[:, own] @ svm.dual_coef_[:, own].T
    first, second = np.triu_indices(n_classes, 1)
    pairs = says[:, first, second] + says[:, second, first] + svm.intercept_
    for_class = np.zeros_like(says)
    for_class[:, first, second], for_class[:, second, first] = pairs, -pairs
    votes = (for_class > 0).sum(axis=2) + np.zeros(n_classes)
    tied = np.zeros_like(says, bool)
    tied[:, first, second] = pairs == 0  # is the first one's
    confidence = for_class.sum(axis=2)
    return votes + tied.sum(axis=2) + confidence / (3 * (np.abs(confidence) + 1))
