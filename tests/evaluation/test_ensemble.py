import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.preprocessing import normalize
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from dha_utils.core.errors import ParameterError
from dha_utils.evaluation.ensemble import (
    CLASSIFIERS,
    Layer,
    LayerEnsemble,
    evaluate_fold,
    layer_classifier,
    machine_of,
    unit_length,
)
from dha_utils.evaluation.kernels import polynomial_kernel
from dha_utils.evaluation.svm import decide
from dha_utils.networks.soundnet import KERNELS, RELEASED_TAPS, TAP_MAPS, TAPS


@parametrize_with_checks([LayerEnsemble(classifier=c) for c in CLASSIFIERS if c != "released_probability"])
def test_scikit_learn_estimator_checks(estimator, check):
    check(estimator)


def test_kernels_are_those_of_the_fifteen_taps():
    assert tuple(KERNELS) == TAPS
    assert TAPS[5:] == RELEASED_TAPS


@pytest.mark.parametrize("classifier", ["converging", "released"])
def test_layers_equal_classifiers_made_by_hand(make_responses, classifier):
    responses = make_responses()
    x, y = responses.matrix(), responses.y
    train = responses.folds != 1
    layers = [Layer("relu6", 12, *KERNELS["relu6"]), Layer("relu7", 20, *KERNELS["relu7"])]
    ensemble = LayerEnsemble(layers, classifier=classifier).fit(x[train], y[train])
    expected = []
    for columns, (degree, gamma) in ((slice(0, 12), (3, 10)), (slice(12, 32), (5, 3))):
        z = normalize(x[:, columns])
        scale = gamma**degree if classifier == "released" else 1.0
        svm = SVC(kernel="precomputed", C=1.0 if classifier == "released" else min(1000, gamma**degree))
        gram = scale * (z @ z.T) ** degree
        model = CalibratedClassifierCV(svm, ensemble=False).fit(gram[np.ix_(train, train)], y[train])
        expected.append(model.predict_proba(gram[np.ix_(~train, train)]))
    probabilities = ensemble.layer_probabilities(x[~train])
    np.testing.assert_allclose(probabilities, expected, atol=2e-3)
    np.testing.assert_allclose(ensemble.predict_proba(x[~train]), probabilities.mean(axis=0))
    np.testing.assert_array_equal(ensemble.predict(x[~train]), probabilities.sum(axis=0).argmax(axis=1))
    assert ensemble.converged_ == [True, True]


def test_ignored_maps_have_no_influence(make_responses):
    responses = make_responses()
    x, y = responses.matrix(), responses.y
    keep = np.tile([True, False], 16)
    layers = [Layer("relu6", 12, *KERNELS["relu6"]), Layer("relu7", 20, *KERNELS["relu7"])]
    noise = np.where(keep, x, np.random.default_rng(0).normal(size=x.shape))
    a, b = (LayerEnsemble(layers, keep).fit(z, y).predict_proba(z) for z in (x, noise))
    np.testing.assert_array_equal(a, b)
    few = [Layer("relu6", 6, *KERNELS["relu6"]), Layer("relu7", 10, *KERNELS["relu7"])]
    np.testing.assert_allclose(LayerEnsemble(few).fit(x[:, keep], y).predict_proba(x[:, keep]), a)


def test_says_when_the_solver_did_not_end():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.9, 1, (80, 2)), np.repeat([0, 1], 40)
    layers = [Layer("pool1", 2, 5, 400)]
    assert LayerEnsemble(layers, classifier="released").fit(x, y).converged_ == [False]
    assert LayerEnsemble(layers).fit(x, y).converged_ == [True]


def test_converging_is_the_released_machine_where_that_one_ends(make_responses):
    responses = make_responses({"relu6": 12}, strength=6.0)
    x, y = responses.matrix(), responses.y
    machines = {}
    for classifier in ("converging", "released"):
        ensemble = LayerEnsemble([Layer("relu6", 12, 3, 4.0)], classifier=classifier).fit(x, y)
        assert ensemble.converged_ == [True]
        z = normalize(x)
        svm = ensemble.classifiers_[0][-1]
        kernel = polynomial_kernel(z, svm.vectors_, 3, svm.svm.gamma)
        machines[classifier] = decide(machine_of(ensemble.classifiers_[0]), kernel)
    # The penalty, 4^3, is below the cap: multiplying a kernel by a number divides the multipliers by it.
    np.testing.assert_allclose(machines["converging"], machines["released"], atol=0.02)


def test_the_released_call_itself(make_responses):
    responses = make_responses({"relu6": 12})
    x, y = responses.matrix().astype(np.float64), responses.y
    ensemble = LayerEnsemble([Layer("relu6", 12, 3, 10.0)], classifier="released_probability").fit(x, y)
    with pytest.warns(FutureWarning, match="probability"):
        svm = SVC(kernel="poly", degree=3, gamma=10.0, probability=True, random_state=0).fit(normalize(x), y)
    np.testing.assert_allclose(ensemble.predict_proba(x), svm.predict_proba(normalize(x)))


def test_unknown_classifier(make_responses):
    responses = make_responses()
    with pytest.raises(
        ParameterError, match=r"unknown classifier 'released_' \(did you mean 'released'\?\); there are"
    ):
        LayerEnsemble(classifier="released_").fit(responses.matrix(), responses.y)
    assert LayerEnsemble().classifier == next(iter(CLASSIFIERS))


def test_clone_keeps_parameters():
    layers = [Layer(tap, n, *KERNELS[tap]) for tap, n in TAP_MAPS.items()]
    assert clone(LayerEnsemble(layers, np.ones(4336, bool))).get_params()["layers"] == layers


@pytest.mark.parametrize(
    ("layers", "keep", "message"),
    [
        ([Layer("a", 3, 2, 1.0)], None, "X has 4 columns, but the layers have 3 maps"),
        (None, [True, False], r"keep has shape \(2,\) and type bool, expected \(4,\)"),
        (None, [0, 1, 1, 1], "type int64, expected"),
        (
            [Layer("a", 1, 2, 1.0), Layer("b", 3, 2, 1.0)],
            [False, True, True, True],
            "keep leaves no map of tap 'a'",
        ),
    ],
)
def test_bad_parameters(layers, keep, message):
    x = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(ParameterError, match=message):
        LayerEnsemble(layers, keep).fit(x, np.repeat([0, 1], 10))


def test_too_few_clips_of_a_class():
    x = np.random.default_rng(0).normal(size=(14, 4))
    with pytest.raises(ValueError, match="class 1 has 1 clip, but n_samples >= 2 per class"):
        LayerEnsemble().fit(x, np.repeat([0, 1], [13, 1]))
    few = LayerEnsemble().fit(x, np.repeat([0, 1], [11, 3]))
    assert few.predict(x).shape == (14,)


def test_evaluate_fold_sees_training_clips_only(make_responses):
    responses = make_responses()
    x, y, test = responses.matrix(), responses.y, responses.folds == 2
    layers = [Layer("relu6", 12, *KERNELS["relu6"]), Layer("relu7", 20, *KERNELS["relu7"])]
    wrong = np.where(test, (y + 1) % 4, y)
    expected, got = (evaluate_fold(x, seen, test, layers)["converging"] for seen in (y, wrong))
    np.testing.assert_array_equal(got.probabilities, expected.probabilities)


def test_classifiers_that_share_kernels_say_what_each_says_alone(make_responses):
    responses = make_responses()
    x, y, test = responses.matrix(), responses.y, responses.folds == 2
    layers = [Layer("relu6", 12, *KERNELS["relu6"]), Layer("relu7", 20, *KERNELS["relu7"])]
    keep = np.tile([True, True, False, True], 8)
    names = ["logistic", "converging", "least_squares", "linear_least_squares"]
    together = evaluate_fold(x, y, test, layers, keep, names)
    for name in names:
        ensemble = LayerEnsemble(layers, keep, name).fit(x[~test], y[~test])
        alone = ensemble.layer_probabilities(x[test])
        np.testing.assert_allclose(together[name].probabilities, alone, atol=1e-4)
        assert together[name].converged == ensemble.converged_ == [True, True]
        np.testing.assert_allclose(alone.sum(axis=2), 1)


def test_classifier_normalises_each_clip():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)), np.repeat([0, 1], 20)
    model = layer_classifier(3, 1.0).fit(x, y)
    np.testing.assert_allclose(model.predict_proba(x), model.predict_proba(7 * x))


def test_rows_are_made_as_long_as_scikit_learn_makes_them():
    x = np.random.default_rng(0).normal(size=(20, 7)) * np.logspace(-18, 6, 20)[:, None]
    x[3] = 0
    np.testing.assert_array_equal(unit_length(x), normalize(x))
