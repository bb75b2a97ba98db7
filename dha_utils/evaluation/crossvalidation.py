"""Cross-validation over the folds of a data set: what the ensemble says of every clip when it has not seen its fold.

Conventions: probabilities are ``(taps, clips, classes)``; every clip is predicted once, by classifiers trained on the
other folds, and every decision about maps is made on those other folds alone unless a name says *leaky*. Clips of fold 0
are always trained on and never tested; no prediction is made of them.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from dha_utils.core.errors import DataError, ParameterError, choose
from dha_utils.core.work import in_order
from dha_utils.criteria.selection import Selection
from dha_utils.datasets import clips as clip_table
from dha_utils.evaluation.ensemble import CLASSIFIERS, FoldResult, Layer, evaluate_fold
from dha_utils.networks.registry import NETWORKS, network_behind, outline
from dha_utils.responses.table import Responses

Selector = Callable[[Responses], Selection]
"""Takes the responses of a training fold, returns its keep masks."""


def tap_layers(responses: Responses) -> list[Layer]:
    """Return the layers of the ensemble for responses, each with the kernel that its network names, else the default."""
    network = network_behind(responses.provenance)
    kernels = {} if network is None else network.kernels
    return [Layer(tap, responses[tap].shape[1], *kernels.get(tap, ())) for tap in responses.taps]


def fusions(taps: Sequence[str], *, single: bool = True) -> dict[str, list[str]]:
    """Return name -> taps whose scores are summed: every tap if `single`, ``all``, and the sums that networks name.

    SoundNet names one, ``released``: the ten taps of the released code. It is there where all ten are.

    Raises
    ------
    ParameterError
        If there are no taps.

    Examples
    --------
    >>> fusions(["bn6", "relu6"])
    {'bn6': ['bn6'], 'relu6': ['relu6'], 'all': ['bn6', 'relu6']}
    """
    if not len(taps):
        raise ParameterError("taps is empty, a fusion sums the scores of at least one")
    named = {
        name: list(own)
        for entry in NETWORKS
        for name, own in outline(entry).sums.items()
        if {*own} <= {*taps}
    }
    return ({tap: [tap] for tap in taps} if single else {}) | {"all": list(taps)} | named


@dataclass(frozen=True)
class CrossValidation:
    """What an ensemble said of every clip that is tested: those of `Responses.tested`, in that order.

    Attributes
    ----------
    taps : tuple of str
        The layers of the ensemble.
    probabilities : ndarray, shape (taps, clips, classes), float64, or None
        Each layer's class probabilities, out of fold; None where only what `said` holds was kept.
    y, folds : ndarray, shape (clips,), int64
        True class and fold.
    recordings : ndarray, shape (clips,), str
        Recording each clip was cut from.
    selections : dict of int to Selection
        Keep masks of each test fold, decided on the others; empty where all maps were used.
    converged : dict of int to list of bool
        Per test fold and tap, whether the solver ended by itself, see `dha_utils.LayerEnsemble`.
    said : dict of tuple of str to ndarray, shape (clips,), int64
        Taps whose scores are summed -> class; where `probabilities` are not there.
    """

    taps: tuple[str, ...]
    probabilities: np.ndarray | None
    y: np.ndarray
    folds: np.ndarray
    recordings: np.ndarray
    selections: Mapping[int, Selection]
    converged: Mapping[int, list[bool]]
    said: Mapping[tuple[str, ...], np.ndarray] = field(default_factory=dict)

    @property
    def fusion(self) -> str:
        """What `dha_utils.fusions` calls the sum over all taps."""
        return next(iter(fusions(self.taps, single=False)))

    def predictions(self, taps: Sequence[str] | None = None) -> np.ndarray:
        """Return the class with the largest score summed over `taps` (default: all), shape (clips,).

        Raises
        ------
        ParameterError
            If there are none, or nothing is known of their sum.
        """
        if taps is not None and not len(taps):
            raise ParameterError("taps is empty, a fusion sums the scores of at least one")
        summed = tuple(taps or self.taps)
        if summed in self.said:
            return self.said[summed]
        if self.probabilities is None:
            raise ParameterError(
                f"the sum of {', '.join(summed)} was not kept with this run: evaluate it anew with dha.cross_validate"
            )
        rows = [self.taps.index(tap) for tap in summed]
        return self.probabilities[rows].sum(axis=0).argmax(axis=1)

    def correct(self, taps: Sequence[str] | None = None) -> np.ndarray:
        """Return which clips are classified correctly from `taps`, shape (clips,), bool."""
        return self.predictions(taps) == self.y

    def accuracy(self, taps: Sequence[str] | None = None) -> float:
        """Return the fraction of all clips classified correctly from `taps`."""
        return float(self.correct(taps).mean())

    def tap_accuracies(self) -> dict[str, float]:
        """Return the accuracy of every tap by itself."""
        return {tap: self.accuracy([tap]) for tap in self.taps}

    @property
    def best_tap(self) -> str:
        """The most accurate tap; of several the one nearest to the input."""
        return max(self.taps, key=lambda tap: self.accuracy([tap]))

    def fold_accuracies(self, taps: Sequence[str] | None = None) -> list[float]:
        """Return the accuracy within each fold, folds in ascending order."""
        correct = self.correct(taps)
        return [float(correct[self.folds == fold].mean()) for fold in np.unique(self.folds)]

    def correct_by_fold(self, taps: Mapping[int, str]) -> np.ndarray:
        """Return which clips are classified correctly from one tap, that of their fold in `taps`, shape (clips,), bool."""
        right = {tap: self.correct([tap]) for tap in set(taps.values())}
        return np.array([right[taps[fold]][clip] for clip, fold in enumerate(self.folds)])

    @property
    def ignored(self) -> float:
        """Fraction of the maps that the classifiers did not see, mean over folds."""
        return float(np.mean([s.ignored for s in self.selections.values()])) if self.selections else 0.0

    @property
    def not_converged(self) -> int:
        """Number of SVMs that did not converge, over folds and taps."""
        return sum(not ended for fold in self.converged.values() for ended in fold)


def cross_validate(
    responses: Responses, select: Selector | None = None, *, classifier: str = "converging"
) -> CrossValidation:
    """Evaluate the layer-wise ensemble on every fold; see `cross_validate_many` for several selections at once.

    Parameters
    ----------
    responses : Responses
    select : callable, optional
        Decides the keep masks from the responses of each training fold; by default all maps are kept.
    classifier : str
        One of `dha_utils.evaluation.ensemble.CLASSIFIERS`.
    """
    return cross_validate_many(responses, {"": select}, classifier=classifier)[""]


def cross_validate_many(
    responses: Responses,
    selectors: Mapping[Hashable, Selector | None],
    *,
    classifier: str | Mapping[Hashable, str] = "converging",
) -> dict[Hashable, CrossValidation]:
    """Evaluate the ensemble once per selector, whatever they are named by; arguments as in `cross_validate`.

    `classifier` may also say it for each name. Where selectors keep the same maps of a fold, their ensembles are fitted once for
    each classifier, and the classifiers share the kernels.

    Raises
    ------
    DataError
        If there is only one fold, or too little of a class is left in a training fold.
    ParameterError
        If there is no such classifier.
    """
    of = dict.fromkeys(selectors, classifier) if isinstance(classifier, str) else classifier
    for name in {*of.values()}:
        choose("classifier", name, CLASSIFIERS)
    check_folds(responses)
    folds = responses.test_folds
    chosen = {
        name: {fold: select(responses.take(responses.folds != fold)) for fold in folds} if select else {}
        for name, select in selectors.items()
    }
    x, y, layers = responses.matrix(), responses.y, tap_layers(responses)
    in_fold = {fold: responses.folds == fold for fold in folds}

    def kept(name: Hashable, fold: int) -> bytes:
        selection = chosen[name].get(fold)
        masks = (
            [np.ones(x.shape[1], bool)] if selection is None else [selection.masks[t] for t in responses.taps]
        )
        return np.concatenate(masks).tobytes()

    jobs: dict[tuple[int, bytes], dict[str, None]] = {}
    for name in selectors:
        for fold in folds:
            jobs.setdefault((fold, kept(name, fold)), {})[of[name]] = None
    parts = in_order(
        lambda job: evaluate_fold(x, y, in_fold[job[0]], layers, np.frombuffer(job[1], bool), job[2]),
        ((fold, mask, tuple(names)) for (fold, mask), names in jobs.items()),
        "processes",
    )
    done = dict(zip(jobs, parts, strict=True))
    return {
        name: _collect(responses, {f: done[f, kept(name, f)][of[name]] for f in folds}, chosen[name])
        for name in selectors
    }


def best_taps(
    responses: Responses,
    *,
    classifier: str = "converging",
    run: Callable[[Responses], CrossValidation] | None = None,
) -> dict[int, str]:
    """Return for every test fold the tap that is most accurate in a cross-validation of the other folds.

    So that the tap is not chosen by the clips that it is then judged by (nested cross-validation; Varma and Simon, BMC
    Bioinformatics 7 (2006)). Ties go to the tap nearer to the input.

    Parameters
    ----------
    responses : Responses
    classifier : str
        As in `cross_validate`.
    run : callable, optional
        What evaluates the other folds, where that is not `cross_validate`.

    Returns
    -------
    dict of int to str
        Empty where the folds are too few, or too small, to leave out two.
    """
    run = run or partial(cross_validate, classifier=classifier)
    try:
        return {fold: run(responses.take(responses.folds != fold)).best_tap for fold in responses.test_folds}
    except DataError:
        return {}


def cross_validate_networks(
    responses: Mapping[int, Responses], *, classifier: str = "converging"
) -> CrossValidation:
    """Evaluate the ensemble where every fold has a network of its own, pruned on the other folds.

    Parameters
    ----------
    responses : dict of int to Responses
        Test fold -> the responses of all clips, of its network.
    classifier : str
        One of `dha_utils.evaluation.ensemble.CLASSIFIERS`.

    Raises
    ------
    DataError
        As `cross_validate_many`.
    """
    first = next(iter(responses.values()))
    check_folds(first)
    parts = in_order(
        lambda job: evaluate_fold(*job, classifiers=[classifier])[classifier],
        ((r.matrix(), r.y, r.folds == fold, tap_layers(r)) for fold, r in responses.items()),
        "processes",
    )
    return _collect(first, dict(zip(responses, parts, strict=True)), {})


def _collect(
    responses: Responses, parts: Mapping[int, FoldResult], selections: Mapping[int, Selection]
) -> CrossValidation:
    """Put together what the ensembles of all folds say of the clips that are tested."""
    tested = responses.tested()
    y = responses.y[np.isin(responses.folds, responses.test_folds)]
    probabilities = np.empty((len(responses.taps), len(tested), len(responses.classes)))
    for fold, part in parts.items():
        probabilities[:, tested.folds == fold] = part.probabilities
    converged = {fold: part.converged for fold, part in parts.items()}
    return CrossValidation(
        responses.taps, probabilities, y, tested.folds, tested.recordings, selections, converged
    )


def check_folds(responses: Responses) -> None:
    """Raise a DataError unless every tested fold leaves enough of every class to learn from; see `datasets.clips.check_folds`."""
    clip_table.check_folds(responses.table["label"], responses.folds)


def mfcc_baseline(mfcc: Responses) -> np.ndarray:
    """Return out-of-fold predictions of the baseline: standardised MFCC statistics and a linear SVM.

    Source: the baseline features of ESC (Piczak 2015); the SVM with scikit-learn's defaults (C = 1), nothing tuned.

    Parameters
    ----------
    mfcc : Responses
        With one tap named ``mfcc``, as `dha_utils.extract_mfcc` gives it.

    Returns
    -------
    ndarray, shape (tested clips,), int64
        In the order of ``mfcc.tested()``.
    """
    check_folds(mfcc)
    predictions = np.empty(len(mfcc), np.int64)
    with threadpool_limits(1):
        for fold in mfcc.test_folds:
            test = mfcc.folds == fold
            model = make_pipeline(StandardScaler(), SVC(kernel="linear"))
            predictions[test] = model.fit(mfcc["mfcc"][~test], mfcc.y[~test]).predict(mfcc["mfcc"][test])
    return predictions[np.isin(mfcc.folds, mfcc.test_folds)]
