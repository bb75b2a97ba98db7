import numpy as np
import pytest

from dha_utils.findings.alignment import cka_matrix, linear_cka
from dha_utils.findings.dimension import standardise

RNG = np.random.default_rng(0)
MIXED = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 20)) + 0.3 * RNG.normal(size=(60, 20))


def test_alignment_against_its_definition_with_kernels():
    """Hilbert-Schmidt independence of the centred linear kernels, normalised."""
    x, y = MIXED, RNG.normal(size=(60, 7)) + MIXED[:, :7]
    centre = np.eye(60) - 1 / 60
    k, m = (centre @ (z @ z.T) @ centre for z in (standardise(x), standardise(y)))
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(x, y) == pytest.approx(expected)
    assert linear_cka(x, x * 3 + 1) == pytest.approx(1)
    assert np.isnan(linear_cka(x, np.ones((60, 2))))


def test_cka_matrix_is_symmetric(make_responses):
    matrix = cka_matrix(make_responses({"bn6": 10, "relu6": 10, "relu7": 8}))
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert list(matrix) == list(matrix.index) == ["bn6", "relu6", "relu7"]
