"""The layer-wise ensemble: one classifier per tap, scores summed over taps, as scikit-learn estimators.

Conventions: a row of X holds a clip's pooled responses, taps side by side in the order of `layers`
(`Responses.matrix`); ignored maps are columns where `keep` is False.

Source: EUSIPCO-18 (Singh, Thakur, Rajan, Bhavsar) and the ensemble code released by its authors.
"""

import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from dha_utils.core.errors import ParameterError, choose


class Layer(NamedTuple):
    """A tap as the ensemble sees it: its name, number of columns, and the polynomial kernel's degree and gamma.

    A tap that nobody has set a kernel for has a cubic one and the largest penalty, which nobody tuned: on ESC-10 the sum of all
    taps is right for 91.25 % of the clips with it, and for 91.75 % with the kernels that were set by hand.
    """

    tap: str
    maps: int
    degree: int = 3
    gamma: float = 10.0


CALIBRATION_SPLITS = 5
"""Parts into which the training clips are divided to fit the sigmoids, as in libsvm; fewer where a class has fewer clips."""

CLASSIFIERS = ("converging", "released", "released_probability")
"""Names of the classifiers of a tap; see `layer_classifier`."""

MAX_PENALTY = 1000.0
"""Largest penalty of the converging SVM: beyond it the margin is as good as hard, and the solver only takes longer."""

MAX_ITERATIONS = 20_000
"""Cap on the steps of libsvm's solver, per pair of classes, with the released kernels. They multiply dot products by up to
1e30, which makes the SVMs hard-margin; on all maps they converge below the cap, but on a few maps of the lowest taps
the classes cannot be separated and the solver would not end."""


def layer_classifier(
    degree: int, gamma: float, classifier: str = "converging", splits: int = CALIBRATION_SPLITS
) -> Pipeline:
    r"""Return the classifier of one tap: L2 normalisation per clip, polynomial SVM, probabilities.

    ``released`` has the released kernel :math:`(\gamma z^\top z')^d` and penalty 1, and its solver is stopped after
    `MAX_ITERATIONS`. ``converging`` is the same machine where that one ends by itself: the kernel is divided by its value on
    the diagonal, :math:`\gamma^d`, which moves to the penalty, at most `MAX_PENALTY`; then every solver ends. The released code
    asks for ``SVC(probability=True)``, which scikit-learn is retiring; both do what it recommends instead, see
    `CalibratedSVM`. ``released_probability`` is the released call, for the record.
    """
    if classifier == "converging":
        kernel = {"gamma": 1.0, "C": min(float(gamma) ** degree, MAX_PENALTY)}
    else:
        kernel = {"gamma": gamma, "C": 1.0, "max_iter": MAX_ITERATIONS}
    svm = SVC(kernel="poly", degree=degree, coef0=0.0, **kernel)
    if classifier == "released_probability":
        return make_pipeline(Normalizer("l2"), svm.set_params(probability=True, random_state=0))
    return make_pipeline(Normalizer("l2"), CalibratedSVM(svm, splits))


def fitted_svm(classifier: Pipeline) -> SVC:
    """Return the SVM, trained on all clips, inside a fitted classifier of one tap."""
    last = classifier[-1]
    return last if isinstance(last, SVC) else last.svm_


class CalibratedSVM(ClassifierMixin, BaseEstimator):
    """A polynomial SVM whose decision values become probabilities, by one sigmoid per class.

    The same as ``CalibratedClassifierCV(svm, method="sigmoid", ensemble=False)`` in less time: the kernel of all training
    clips is computed once for all parts, and the sigmoids of all classes are fitted together.

    Parameters
    ----------
    svm : SVC
        With a polynomial kernel and ``coef0 = 0``; not fitted.
    splits : int
        Parts of the training clips; the SVM of the others says what the sigmoids learn from a part.

    Attributes
    ----------
    svm_ : SVC
        Fitted on all clips.
    sigmoids_ : ndarray, shape (2, classes), or (2, 1) for two classes
        Slope and offset, as `fit_sigmoids` returns them.
    classes_ : ndarray
    """

    def __init__(self, svm: SVC, splits: int = CALIBRATION_SPLITS):
        self.svm = svm
        self.splits = splits

    def fit(self, X, y):
        """Fit to X (n, n_features), y (n,), with at least `splits` rows of each class."""
        self.svm_ = clone(self.svm).fit(X, y)
        self.classes_ = self.svm_.classes_
        kernel = (self.svm.gamma * X @ X.T) ** self.svm.degree
        values = []
        for rest, part in StratifiedKFold(self.splits).split(X, y):
            machine = SVC(kernel="precomputed", C=self.svm.C, max_iter=self.svm.max_iter)
            machine.fit(kernel[np.ix_(rest, rest)], y[rest])
            values.append((part, machine.decision_function(kernel[np.ix_(part, rest)])))
        decisions = np.empty((len(y), *values[0][1].shape[1:]))
        for part, decision in values:
            decisions[part] = decision
        # With two classes there is one decision, which speaks for the second.
        positive = (np.asarray(y)[:, None] == self.classes_)[:, -1 if decisions.ndim == 1 else slice(None)]
        self.sigmoids_ = fit_sigmoids(decisions.reshape(len(y), -1), positive.reshape(len(y), -1))
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Return the probabilities of the classes, shape (n, classes)."""
        slope, offset = self.sigmoids_
        shares = expit(-(slope * self.svm_.decision_function(X).reshape(len(X), -1) + offset))
        if len(self.classes_) == 2:
            return np.hstack([1 - shares, shares])
        total = shares.sum(axis=1, keepdims=True)
        return np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / len(self.classes_))


def fit_sigmoids(values: np.ndarray, positive: np.ndarray) -> np.ndarray:
    r"""Fit :math:`1 / (1 + \exp(a f + b))` to decision values, for every class by itself.

    Newton's method with backtracking on the cross-entropy to Platt's smoothed targets, :math:`(n_1 + 1) / (n_1 + 2)` and
    :math:`1 / (n_0 + 2)`, which is convex. Source: Platt 1999; Lin, Lin and Weng, Machine Learning 68 (2007).

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
        # Halved, class by class, until the loss falls: far from the minimum the parabola may lead too far.
        length = np.ones(f.shape[1])
        for _ in range(40):
            tried = loss(*(point + length * step))
            worse = tried > before
            if not worse.any():
                break
            length[worse] /= 2
        length[worse] = 0
        point, before = point + length * step, np.where(worse, before, tried)
    return point / np.stack([np.where(scale > 0, scale, 1), np.ones_like(scale)])


class LayerEnsemble(ClassifierMixin, BaseEstimator):
    """Score-level fusion of one polynomial SVM per tap: class probabilities, summed with equal weights.

    Parameters
    ----------
    layers : sequence of Layer, optional
        How the columns of X are divided into taps, with the kernel of each; those of responses are given by
        `dha_utils.evaluation.crossvalidation.tap_layers`. By default all columns are one tap with a cubic kernel.
    keep : array-like of bool, shape (n_features,), optional
        Columns (maps) that the classifiers may see; by default all.
    classifier : str
        One of `CLASSIFIERS`; see `layer_classifier`.

    Attributes
    ----------
    classifiers_ : list of Pipeline
        The fitted classifier of every layer.
    converged_ : list of bool
        Whether each layer's SVM ended by itself, which the converging ones always do.
    classes_ : ndarray
        The class labels.

    Raises
    ------
    ParameterError
        If layers or keep do not fit X, keep leaves a layer empty, or there is no such classifier.
    """

    def __init__(self, layers: Iterable[Layer] | None = None, keep=None, classifier: str = "converging"):
        self.layers = layers
        self.keep = keep
        self.classifier = classifier

    def fit(self, X, y):
        """Fit the classifier of every layer to X (n, n_features), y (n,), with at least two rows of each class."""
        choose("classifier", self.classifier, CLASSIFIERS)
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, counts = np.unique(y, return_counts=True)
        if len(self.classes_) < 2:
            raise ValueError(f"got 1 class ({self.classes_[0]!r}), a classifier needs at least 2")
        if counts.min() < 2:
            raise ValueError(
                f"class {self.classes_[counts.argmin()]} has 1 clip, but n_samples >= 2 per class are needed to calibrate "
                "probabilities: add clips or leave the class out"
            )
        splits = min(CALIBRATION_SPLITS, int(counts.min()))
        self.columns_ = self._columns(X.shape[1])
        with warnings.catch_warnings():
            # That the cap was reached is said by `converged_`, once per layer instead of once per calibration fold.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # The released call is the one that scikit-learn retires.
            warnings.filterwarnings("ignore", "The `probability` parameter", FutureWarning)
            self.classifiers_ = [
                layer_classifier(layer.degree, layer.gamma, self.classifier, splits).fit(X[:, columns], y)
                for layer, columns in zip(self._layers(X.shape[1]), self.columns_, strict=True)
            ]
        svms = [fitted_svm(classifier) for classifier in self.classifiers_]
        self.converged_ = [svm.max_iter < 0 or bool((svm.n_iter_ < svm.max_iter).all()) for svm in svms]
        return self

    def layer_probabilities(self, X) -> np.ndarray:
        """Return every layer's class probabilities for X (n, n_features), shape (layers, n, classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.stack(
            [
                c.predict_proba(X[:, columns])
                for c, columns in zip(self.classifiers_, self.columns_, strict=True)
            ]
        )

    def predict_proba(self, X) -> np.ndarray:
        """Return the fused probabilities, the mean over layers, shape (n, classes)."""
        return self.layer_probabilities(X).mean(axis=0)

    def predict(self, X) -> np.ndarray:
        """Return the class with the largest fused score for every row of X, shape (n,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _layers(self, n_features: int) -> list[Layer]:
        return [Layer("all", n_features, 3, 1.0)] if self.layers is None else list(self.layers)

    def _columns(self, n_features: int) -> list[np.ndarray]:
        """Return the kept column numbers of every layer."""
        layers = self._layers(n_features)
        ends = np.cumsum([layer.maps for layer in layers])
        if ends[-1] != n_features:
            raise ParameterError(f"X has {n_features} columns, but the layers have {ends[-1]} maps in all")
        keep = np.ones(n_features, bool) if self.keep is None else np.asarray(self.keep)
        if keep.dtype != bool or keep.shape != (n_features,):
            raise ParameterError(
                f"keep has shape {keep.shape} and type {keep.dtype}, expected ({n_features},) bool"
            )
        columns = [
            np.flatnonzero(keep[end - layer.maps : end]) + end - layer.maps
            for layer, end in zip(layers, ends, strict=True)
        ]
        for layer, kept in zip(layers, columns, strict=True):
            if not len(kept):
                raise ParameterError(f"keep leaves no map of tap {layer.tap!r}")
        return columns


class FoldResult(NamedTuple):
    """What the ensemble says of one test fold: layer probabilities (layers, clips, classes), and which SVMs converged."""

    probabilities: np.ndarray
    converged: list[bool]


def evaluate_fold(
    x: np.ndarray,
    y: np.ndarray,
    test: np.ndarray,
    layers: list[Layer],
    keep=None,
    classifier: str = "converging",
) -> FoldResult:
    """Fit the ensemble on the clips outside `test` and apply it to those inside.

    The unit of parallel work: it lives in this module, which imports no torch, so that a worker process starts fast.

    Parameters
    ----------
    x : ndarray, shape (n, n_features)
    y : ndarray, shape (n,)
    test : ndarray, shape (n,), bool
        Clips of the test fold.
    layers, keep, classifier
        As in `LayerEnsemble`.
    """
    # One BLAS thread whatever the number of processes: the rounding of sums must not depend on it. And what scikit-learn
    # would check anew for each of the hundreds of small SVMs of a fold has been checked once.
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        ensemble = LayerEnsemble(layers, keep, classifier).fit(x[~test], y[~test])
        return FoldResult(ensemble.layer_probabilities(x[test]), ensemble.converged_)
