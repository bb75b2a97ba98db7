import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from dha_utils.inference import cluster_bootstrap, describe, paired_difference, wilson_interval


def test_wilson_equals_statsmodels():
    correct = np.arange(400) < 367
    interval = wilson_interval(correct)
    assert interval[1:] == pytest.approx(proportion_confint(367, 400, method="wilson"))
    assert interval.estimate == 367 / 400


def test_bootstrap_of_independent_clips_is_the_normal_interval():
    correct = np.random.default_rng(0).random(1000) < 0.8
    interval = cluster_bootstrap(correct, np.arange(1000))
    half = 1.96 * np.sqrt(correct.mean() * (1 - correct.mean()) / 1000)
    assert interval.low == pytest.approx(correct.mean() - half, abs=0.003)
    assert interval.high == pytest.approx(correct.mean() + half, abs=0.003)


def test_bootstrap_widens_by_the_size_of_recordings():
    rng = np.random.default_rng(0)
    per_recording = rng.random(200) < 0.7
    correct, recordings = np.repeat(per_recording, 4), np.repeat(np.arange(200), 4)
    clustered, naive = cluster_bootstrap(correct, recordings), cluster_bootstrap(correct, np.arange(800))
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(2, rel=0.1)


def test_bootstrap_covers():
    rng = np.random.default_rng(1)
    recordings = np.arange(300) // 2
    covered = [
        interval.low <= 0.75 <= interval.high
        for seed in range(200)
        for interval in [cluster_bootstrap(rng.random(300) < 0.75, recordings, resamples=400, seed=seed)]
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


def test_paired_difference_ignores_clips_that_agree():
    first = np.array([True] * 90 + [False] * 10)
    second = first.copy()
    assert paired_difference(first, second, np.arange(100)) == (0, 0, 0)
    second[:5] = False
    difference = paired_difference(first, second, np.arange(100))
    assert difference.estimate == pytest.approx(-0.05)
    assert -0.11 < difference.low < -0.05 < difference.high < 0


def test_seeded():
    correct, recordings = np.arange(50) % 3 > 0, np.arange(50)
    assert cluster_bootstrap(correct, recordings) == cluster_bootstrap(correct, recordings)
    assert describe(correct, recordings)["accuracy"] == correct.mean()
