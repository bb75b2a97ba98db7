import numpy as np
import pytest
from scipy.linalg import LinAlgError
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import normalize

from dha_utils.evaluation.kernels import polynomial_kernel
from dha_utils.evaluation.least_squares import (
    PENALTIES,
    CalibratedLeastSquares,
    best_penalty,
    solve_full,
    solve_low_rank,
)


def problem(n=60, maps=3, degree=3, n_classes=4):
    rng = np.random.default_rng(0)
    z = normalize(np.abs(rng.normal(size=(n, maps))))
    targets = np.where(rng.integers(0, n_classes, n)[:, None] == np.arange(n_classes), 1.0, -1.0)
    return polynomial_kernel(z, z, degree), targets


def solved_naively(kernel, targets, penalty):
    """The system of the module's head, as it stands there."""
    n = len(kernel)
    system = np.block([[kernel + penalty * np.eye(n), np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
    solution = np.linalg.solve(system, np.vstack([targets, np.zeros((1, targets.shape[1]))]))
    return solution[:-1], solution[-1]


@pytest.mark.parametrize("solve", [solve_full, solve_low_rank])
@pytest.mark.parametrize("penalty", PENALTIES[::3])
def test_solves_the_system_and_leaves_each_clip_out(solve, penalty):
    kernel, targets = problem()
    coefficients, offset, left_out = solve(kernel, targets, penalty)
    expected, expected_offset = solved_naively(kernel, targets, penalty)
    np.testing.assert_allclose(kernel @ coefficients + offset, kernel @ expected + expected_offset, atol=2e-4)
    for clip in range(0, len(kernel), 7):
        rest = np.arange(len(kernel)) != clip
        others, constant = solved_naively(kernel[np.ix_(rest, rest)], targets[rest], penalty)
        np.testing.assert_allclose(left_out[clip], kernel[clip, rest] @ others + constant, atol=2e-4)


def test_is_kernel_ridge_regression_where_targets_are_balanced():
    rng = np.random.default_rng(1)
    z = rng.normal(size=(40, 3))
    z -= z.mean(axis=0)
    targets = np.where(z[:, :1] > np.median(z[:, 0]), 1.0, -1.0)
    coefficients, offset, _ = solve_full(z @ z.T, targets, 1.0)
    ridge = KernelRidge(alpha=1.0).fit(z, targets)
    np.testing.assert_allclose(z @ z.T @ coefficients + offset, ridge.predict(z), atol=1e-3)
    np.testing.assert_allclose(offset, 0, atol=1e-6)


def test_penalty_is_that_of_the_least_left_out_error():
    kernel, targets = problem(maps=12)
    scale = kernel.diagonal().mean()
    errors = [((solve_full(kernel, targets, p * scale)[2] - targets) ** 2).sum() for p in PENALTIES]
    assert best_penalty(kernel, targets) == pytest.approx(PENALTIES[int(np.argmin(errors))] * scale)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_learns_classes_and_says_probabilities(n_classes):
    rng = np.random.default_rng(2)
    y = np.arange(150) % n_classes
    x = normalize(np.abs(rng.normal(size=(150, 8)) * 0.3 + 3 * np.eye(8)[y]))
    model = CalibratedLeastSquares(3).fit(x[:100], y[:100] + 5)
    said = model.predict_proba(x[100:])
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert (model.classes_[said.argmax(axis=1)] == y[100:] + 5).all()
    kernels = polynomial_kernel(x[:100], x[:100], 3), polynomial_kernel(x[100:], x[:100], 3)
    given = CalibratedLeastSquares(3).fit(x[:100], y[:100] + 5, kernels[0]).predict_proba(x[100:], kernels[1])
    np.testing.assert_array_equal(given, said)


def test_few_maps_and_many_are_the_same_machine(monkeypatch):
    rng = np.random.default_rng(3)
    x, y = normalize(rng.normal(size=(120, 3))), np.arange(120) % 3
    few = CalibratedLeastSquares(3).fit(x, y)
    monkeypatch.setattr("dha_utils.evaluation.least_squares.comb", lambda *_: 10**6)
    full = CalibratedLeastSquares(3).fit(x, y)
    np.testing.assert_allclose(few.predict_proba(x), full.predict_proba(x), atol=1e-3)


def test_a_kernel_that_is_none():
    with pytest.raises(LinAlgError, match="not positive semidefinite"):
        solve_full(np.array([[1.0, 9.0], [9.0, 1.0]]), np.array([[1.0], [-1.0]]), 0.1)


def test_silent_maps_say_nothing(capfd):
    y = np.arange(30) % 3
    said = CalibratedLeastSquares(3).fit(np.zeros((30, 2)), y).predict_proba(np.zeros((2, 2)))
    np.testing.assert_allclose(said, 1 / 3, atol=1e-3)
    assert capfd.readouterr() == ("", "")  # LAPACK would complain of a matrix without columns
