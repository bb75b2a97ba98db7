import numpy as np
import pytest
from scipy.stats import entropy

from dha_utils.criteria.activations import ENTROPY_BINS, apoz, luo_entropy


def test_apoz_counts_active_positions_before_and_after_the_relu():
    maps = np.random.default_rng(0).normal(size=(3, 4, 50)).astype(np.float32)
    maps[:, 2] = -np.abs(maps[:, 2])
    maps[:, 3] = np.abs(maps[:, 3])
    after = apoz(np.maximum(maps, 0), np.zeros(3, int), np.random.default_rng(0)).score
    zeros = [(np.maximum(maps, 0)[:, channel] == 0).mean() for channel in range(4)]
    assert after == pytest.approx(1 - np.array(zeros))
    assert after[2:].tolist() == [0, 1]
    assert apoz(maps, np.zeros(3, int), np.random.default_rng(0)).score.tolist() == after.tolist()


def test_luo_entropy_is_that_of_the_histogram():
    x = np.random.default_rng(1).normal(size=(200, 6))
    x[:, 3] = np.maximum(x[:, 3] - 1, 0)
    x[:, 4] = np.arange(200)
    x[:, 5] = 0.1
    got = luo_entropy(x, np.zeros(200, int), None, None).score
    for column in range(5):
        assert got[column] == pytest.approx(entropy(np.histogram(x[:, column], ENTROPY_BINS)[0]))
    assert got[4] == pytest.approx(np.log(ENTROPY_BINS))
    assert got[3] < got[0]
    assert got[5] == -np.inf
