import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.preprocessing import normalize
from sklearn.svm import SVC

from dha_utils.evaluation.kernels import polynomial_kernel
from dha_utils.evaluation.svm import CalibratedSVM, decide


@pytest.mark.parametrize("n_classes", [2, 4])
def test_calibrated_svm_equals_scikit_learns(make_responses, n_classes):
    responses = make_responses({"relu6": 12}, n_classes=n_classes)
    z, y = normalize(responses["relu6"].astype(float)), responses.y + 5
    svm = SVC(kernel="poly", degree=3, gamma=4.0)
    expected = CalibratedClassifierCV(svm, cv=5, ensemble=False).fit(z, y)
    got = CalibratedSVM(svm).fit(z, y)
    np.testing.assert_allclose(got.predict_proba(z), expected.predict_proba(z), atol=2e-3)
    np.testing.assert_allclose(got.predict_proba(z).sum(axis=1), 1)


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_decisions_are_those_of_libsvm(n_classes):
    rng = np.random.default_rng(n_classes)
    x, y = rng.normal(size=(90, 5)), rng.permutation(np.arange(90) % n_classes)
    svm = SVC(kernel="poly", degree=3, gamma=1.0).fit(x, y)
    new = rng.normal(size=(40, 5))
    got = decide(svm, polynomial_kernel(new, svm.support_vectors_, 3))
    expected = svm.decision_function(new)
    np.testing.assert_allclose(got.reshape(expected.shape), expected, atol=1e-9)


def test_a_tie_is_the_first_classs_as_in_libsvm():
    x, y = np.repeat([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], 4, axis=0), np.repeat([0, 1, 2], 4)
    svm = SVC(kernel="poly", degree=2, gamma=1.0).fit(x, y)
    svm.intercept_[:] = 0
    svm._intercept_[:] = 0
    nothing = np.zeros((1, 2))
    got = decide(svm, polynomial_kernel(nothing, svm.support_vectors_, 2))
    np.testing.assert_allclose(got, svm.decision_function(nothing))
