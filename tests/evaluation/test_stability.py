from itertools import combinations

import numpy as np
import pytest

from dha_utils.evaluation.stability import nogueira, overlap_matrix


def test_identical_masks_are_perfectly_stable():
    mask = np.arange(20) < 5
    assert nogueira(np.stack([mask] * 5)) == pytest.approx((1, 1, 1))
    assert nogueira(np.ones((5, 20), bool)) == (1, 1, 1)


def test_random_masks_have_stability_zero():
    rng = np.random.default_rng(0)
    masks = np.stack([rng.permutation(2000) < 200 for _ in range(5)])
    interval = nogueira(masks)
    assert interval.estimate == pytest.approx(0, abs=0.03)
    assert interval.low < 0 < interval.high


def test_equal_sizes_give_kunchevas_index():
    """With k maps in every mask the index is Kuncheva's: mean over pairs of (overlap - k^2/d) / (k - k^2/d)."""
    rng = np.random.default_rng(1)
    d, k = 50, 10
    masks = np.stack([np.isin(np.arange(d), rng.choice(20, k, replace=False)) for _ in range(5)])
    pairs = [((a & b).sum() - k * k / d) / (k - k * k / d) for a, b in combinations(masks, 2)]
    assert nogueira(masks).estimate == pytest.approx(np.mean(pairs))


def test_interval_covers():
    """The asymptotic interval holds the true stability of a known selection process nearly as often as it says."""
    rng = np.random.default_rng(2)
    p = np.repeat([0.9, 0.1], [20, 80])
    share = p.mean()
    truth = 1 - np.mean(p * (1 - p)) / (share * (1 - share))
    intervals = [nogueira(rng.random((40, 100)) < p) for _ in range(300)]
    assert 0.9 < np.mean([i.low <= truth <= i.high for i in intervals]) < 0.98


def test_overlap_matrix():
    a, b = np.array([True, True, False]), np.array([False, True, True])
    np.testing.assert_allclose(overlap_matrix({"a": a, "b": b}), [[1, 1 / 3], [1 / 3, 1]])
