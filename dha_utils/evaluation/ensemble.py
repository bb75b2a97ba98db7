"""The layer-wise ensemble: one classifier per tap, scores summed over taps, as a scikit-learn estimator.

Conventions: a row of X holds a clip's pooled responses, taps side by side in the order of `layers`
(`Responses.matrix`); ignored maps are columns where `keep` is False.

Source: EUSIPCO-18 (Singh, Thakur, Rajan, Bhavsar) and the ensemble code released by its authors.
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from dha_utils.core.errors import ParameterError, choose
from dha_utils.evaluation.kernels import polynomial_kernel
from dha_utils.evaluation.least_squares import CalibratedLeastSquares
from dha_utils.evaluation.svm import CALIBRATION_SPLITS, CalibratedSVM


class Layer(NamedTuple):
    """A tap as the ensemble sees it: its name, number of columns, and the polynomial kernel's degree and gamma.

    A tap that nobody has set a kernel for has a cubic one and the largest penalty, which nobody tuned: on ESC-10 the sum of all
    taps is right for 91.25 % of the clips with it, and for 91.75 % with the kernels that were set by hand.
    """

    tap: str
    maps: int
    degree: int = 3
    gamma: float = 10.0


MAX_PENALTY = 1000.0
"""Largest penalty of the converging SVM: beyond it the margin is as good as hard, and the solver only takes longer."""

MAX_ITERATIONS = 20_000
"""Cap on the steps of libsvm's solver, per pair of classes, with the released kernels. They multiply dot products by up to
1e30, which makes the SVMs hard-margin; on all maps they converge below the cap, but on a few maps of the lowest taps
the classes cannot be separated and the solver would not end."""


def _converging(degree: int, gamma: float, splits: int) -> list[BaseEstimator]:
    svm = SVC(kernel="poly", degree=degree, gamma=1.0, coef0=0.0, C=min(float(gamma) ** degree, MAX_PENALTY))
    return [CalibratedSVM(svm, splits)]


def _released_svm(degree: int, gamma: float) -> SVC:
    return SVC(kernel="poly", degree=degree, gamma=gamma, coef0=0.0, max_iter=MAX_ITERATIONS)


def _released(degree: int, gamma: float, splits: int) -> list[BaseEstimator]:
    return [CalibratedSVM(_released_svm(degree, gamma), splits)]


def _released_probability(degree: int, gamma: float, _splits: int) -> list[BaseEstimator]:
    return [_released_svm(degree, gamma).set_params(probability=True, random_state=0)]


def _least_squares(degree: int, _gamma: float, _splits: int) -> list[BaseEstimator]:
    return [CalibratedLeastSquares(degree)]


def _linear_least_squares(_degree: int, _gamma: float, _splits: int) -> list[BaseEstimator]:
    return [StandardScaler(), CalibratedLeastSquares(degree=1)]


def _logistic(_degree: int, _gamma: float, _splits: int) -> list[BaseEstimator]:
    return [StandardScaler(), LogisticRegression(max_iter=1000)]


CLASSIFIERS = {
    "converging": _converging,
    "released": _released,
    "released_probability": _released_probability,
    "least_squares": _least_squares,
    "linear_least_squares": _linear_least_squares,
    "logistic": _logistic,
}
"""Name -> degree, gamma and calibration parts -> what follows the normalisation of every clip; see `layer_classifier`."""

UNIT_KERNEL = ("converging", "least_squares")
"""Classifiers that see the clips by the same kernel, of gamma 1, which is then computed once for all of them; they always end."""


def layer_classifier(
    degree: int, gamma: float, classifier: str = "converging", splits: int = CALIBRATION_SPLITS
) -> Pipeline:
    r"""Return the classifier of one tap: L2 normalisation per clip, then one of `CLASSIFIERS`.

    - ``released``: SVMs with the released kernel :math:`(\gamma z^\top z')^d` and penalty 1; the solver is stopped after
      `MAX_ITERATIONS`. The released code asks for ``SVC(probability=True)``, which scikit-learn is retiring; this one does
      what it recommends instead, see `CalibratedSVM`.
    - ``released_probability``: the released call, for the record.
    - ``converging``: the same machine where that one ends by itself: the kernel is divided by its value on the diagonal,
      :math:`\gamma^d`, which moves to the penalty, at most `MAX_PENALTY`; then every solver ends.
    - ``least_squares``: least squares with the kernel of ``converging``, see `CalibratedLeastSquares`.
    - ``linear_least_squares``: the same with a linear kernel, on maps that are standardised over the training clips.
    - ``logistic``: multinomial logistic regression on standardised maps, with scikit-learn's defaults (C = 1), nothing tuned.
    """
    return make_pipeline(Normalizer("l2"), *CLASSIFIERS[classifier](degree, gamma, splits))


def machine_of(classifier: Pipeline) -> BaseEstimator:
    """Return what decides inside a fitted classifier of one tap: its SVM, trained on all clips, or the last step itself."""
    return getattr(classifier[-1], "svm_", classifier[-1])


def support_of(classifier: Pipeline) -> np.ndarray | None:
    """Return the clips that a fitted classifier of one tap compares with, shape (n, maps); None where it is linear."""
    last = classifier[-1]
    return (
        None
        if getattr(last, "degree", 3) == 1
        else getattr(last, "vectors_", getattr(last, "support_vectors_", None))
    )


class LayerEnsemble(ClassifierMixin, BaseEstimator):
    """Score-level fusion of one classifier per tap: class probabilities, summed with equal weights.

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
        Whether each layer's solver ended by itself, which the converging SVMs and least squares always do.
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
        self.classes_, splits = _classes_of(y)
        self.columns_ = kept_columns(self._layers(X.shape[1]), X.shape[1], self.keep)
        with warnings.catch_warnings():
            # That the cap was reached is said by `converged_`, once per layer instead of once per calibration fold.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # The released call is the one that scikit-learn retires.
            warnings.filterwarnings("ignore", "The `probability` parameter", FutureWarning)
            self.classifiers_ = [
                layer_classifier(layer.degree, layer.gamma, self.classifier, splits)
                for layer in self._layers(X.shape[1])
            ]
            for classifier, columns in zip(self.classifiers_, self.columns_, strict=True):
                classifier.fit(X[:, columns], y)
        self.converged_ = [_ended(machine_of(classifier)) for classifier in self.classifiers_]
        return self

    def layer_probabilities(self, X) -> np.ndarray:
        """Return every layer's class probabilities for X (n, n_features), shape (layers, n, classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        layers = zip(self.classifiers_, self.columns_, strict=True)
        return np.stack([classifier.predict_proba(X[:, columns]) for classifier, columns in layers])

    def predict_proba(self, X) -> np.ndarray:
        """Return the fused probabilities, the mean over layers, shape (n, classes)."""
        return self.layer_probabilities(X).mean(axis=0)

    def predict(self, X) -> np.ndarray:
        """Return the class with the largest fused score for every row of X, shape (n,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _layers(self, n_features: int) -> list[Layer]:
        return [Layer("all", n_features, 3, 1.0)] if self.layers is None else list(self.layers)


def kept_columns(layers: Sequence[Layer], n_features: int, keep=None) -> list[np.ndarray]:
    """Return the kept column numbers of every layer.

    Parameters
    ----------
    layers, keep
        As in `LayerEnsemble`.
    n_features : int

    Raises
    ------
    ParameterError
        If layers or keep do not fit, or keep leaves a layer empty.
    """
    ends = np.cumsum([layer.maps for layer in layers])
    if ends[-1] != n_features:
        raise ParameterError(f"X has {n_features} columns, but the layers have {ends[-1]} maps in all")
    keep = np.ones(n_features, bool) if keep is None else np.asarray(keep)
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


def _classes_of(y: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the classes, and into how many parts their clips can be divided for the calibration."""
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"got 1 class ({classes[0]!r}), a classifier needs at least 2")
    if counts.min() < 2:
        raise ValueError(
            f"class {classes[counts.argmin()]} has 1 clip, but n_samples >= 2 per class are needed to calibrate "
            "probabilities: add clips or leave the class out"
        )
    return classes, min(CALIBRATION_SPLITS, int(counts.min()))


def unit_length(x: np.ndarray) -> np.ndarray:
    """Return every row divided by its length, as ``sklearn.preprocessing.normalize`` does it; x is (n, maps), float64.

    >>> unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.sqrt(np.einsum("ij,ij->i", x, x))
    return x / np.where(length < 10 * np.finfo(float).eps, 1, length)[:, None]


def _ended(machine: BaseEstimator) -> bool:
    """Return whether a solver ended before the most steps that it may take, if there is such a number."""
    most = getattr(machine, "max_iter", -1)
    return most < 0 or bool((machine.n_iter_ < most).all())


class FoldResult(NamedTuple):
    """What the ensemble says of one test fold: layer probabilities (layers, clips, classes), and which solvers ended."""

    probabilities: np.ndarray
    converged: list[bool]


def evaluate_fold(
    x: np.ndarray,
    y: np.ndarray,
    test: np.ndarray,
    layers: Sequence[Layer],
    keep=None,
    classifiers: Sequence[str] = ("converging",),
) -> dict[str, FoldResult]:
    """Fit ensembles on the clips outside `test` and apply them to those inside.

    The unit of parallel work: it lives in this module, which imports no torch, so that a worker process starts fast. What the
    classifiers have in common, the kernels, is computed once, tap by tap.

    Parameters
    ----------
    x : ndarray, shape (n, n_features)
    y : ndarray, shape (n,)
    test : ndarray, shape (n,), bool
        Clips of the test fold.
    layers, keep
        As in `LayerEnsemble`.
    classifiers : sequence of str
        Each of `CLASSIFIERS` makes an ensemble.

    Returns
    -------
    dict of str to FoldResult
        Classifier -> what its ensemble says.
    """
    parts: dict[str, list[tuple]] = {name: [] for name in classifiers}
    _, splits = _classes_of(y[~test])
    # One BLAS thread whatever the number of processes: the rounding of sums must not depend on it. And what scikit-learn
    # would check anew for each of the hundreds of small SVMs of a fold has been checked once.
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        for layer, columns in zip(layers, kept_columns(layers, x.shape[1], keep), strict=True):
            train, held = x[np.ix_(~test, columns)].astype(float), x[np.ix_(test, columns)].astype(float)
            if {*UNIT_KERNEL} & {*classifiers}:
                seen, new = unit_length(train), unit_length(held)
                kernels = [polynomial_kernel(z, seen, layer.degree) for z in (seen, new)]
            for name in classifiers:
                if name in UNIT_KERNEL:
                    (machine,) = CLASSIFIERS[name](layer.degree, layer.gamma, splits)
                    machine.fit(seen, y[~test], kernels[0])
                    said, ended = machine.predict_proba(new, kernels[1]), True
                else:
                    ensemble = LayerEnsemble([layer._replace(maps=len(columns))], classifier=name)
                    said = ensemble.fit(train, y[~test]).layer_probabilities(held)[0]
                    (ended,) = ensemble.converged_
                parts[name].append((said, ended))
    return {
        name: FoldResult(np.stack([said for said, _ in of]), [ended for _, ended in of])
        for name, of in parts.items()
    }
