import numpy as np

from dha_utils.evaluation.calibration import fit_sigmoids, is_positive, probabilities


def test_sigmoids_are_at_the_minimum():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3)) * [1, 1e4, 1e-3]
    positive = rng.random((200, 3)) < 1 / (1 + np.exp(-2 * values / [1, 1e4, 1e-3]))
    for f, y, (a, b) in zip(values.T, positive.T, fit_sigmoids(values, positive).T, strict=True):
        smoothed = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))

        def loss(a, b, f=f, t=smoothed):
            p = 1 / (1 + np.exp(a * f + b))
            return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum()

        assert all(loss(a, b) <= loss(a * s, b + d) + 1e-9 for s in (0.99, 1, 1.01) for d in (-0.01, 0, 0.01))
    assert np.isfinite(fit_sigmoids(np.zeros((10, 1)), np.ones((10, 1), bool))).all()


def test_probabilities_sum_to_one_also_where_no_class_has_any():
    decisions = np.array([[0.0, 1.0, 2.0], [-1e6, -1e6, -1e6]])
    said = probabilities(decisions, np.array([[-1.0] * 3, [0.0] * 3]))
    np.testing.assert_allclose(said.sum(axis=1), 1)
    np.testing.assert_allclose(said[1], 1 / 3)
    assert probabilities(decisions[:, :1], np.array([[-1.0], [0.0]])).tolist() == [[0.5, 0.5], [1.0, 0.0]]


def test_of_two_classes_the_second_is_the_positive_one():
    assert is_positive(np.array([3, 7]), np.array([3, 7])).tolist() == [[False], [True]]
    assert is_positive(np.array([3, 7, 9]), np.array([3, 7, 9])).tolist() == np.eye(3, dtype=bool).tolist()
