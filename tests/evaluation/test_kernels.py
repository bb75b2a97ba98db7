import numpy as np
import pytest

from dha_utils.evaluation.kernels import polynomial_kernel


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 7, 10, 18])
def test_equals_the_power(degree):
    rng = np.random.default_rng(degree)
    a, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3))
    np.testing.assert_allclose(polynomial_kernel(a, b, degree, 1.5), (1.5 * a @ b.T) ** degree)
