import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from dha_utils.evaluation.inference import (
    cluster_bootstrap,
    describe,
    paired_difference,
    paired_random,
    rank_among_random,
    simultaneous_random,
    wilson_interval,
)


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


def made_up_draws(n_draws=30, n_clips=120, seed=0):
    """Return a selection that is right more often than random ones, clips in recordings of two, and draws."""
    rng = np.random.default_rng(seed)
    hard = np.repeat(rng.random(n_clips // 2), 2)
    draws = rng.random((n_draws, n_clips)) < np.clip(hard + rng.normal(0, 0.1, (n_draws, 1)), 0, 1)
    return rng.random(n_clips) < np.clip(hard + 0.05, 0, 1), draws, np.repeat(np.arange(n_clips // 2), 2)


def test_comparison_with_random_equals_a_naive_bootstrap():
    correct, draws, recordings = made_up_draws()
    interval = paired_random(correct, draws, recordings)
    assert interval.estimate == pytest.approx(np.mean(correct - draws.mean(axis=0)))
    rng = np.random.default_rng(1)
    naive = []
    for _ in range(4000):
        drawn = rng.integers(60, size=60)
        clips = np.concatenate([2 * drawn, 2 * drawn + 1])
        naive.append(correct[clips].mean() - draws[rng.integers(30, size=30)][:, clips].mean())
    assert interval.low == pytest.approx(np.quantile(naive, 0.025), abs=0.006)
    assert interval.high == pytest.approx(np.quantile(naive, 0.975), abs=0.006)


def test_fewer_draws_make_the_comparison_with_random_less_sure():
    correct, draws, recordings = made_up_draws(200)
    many, few = (paired_random(correct, part, recordings) for part in (draws, draws[:3]))
    assert few.high - few.low > many.high - many.low
    one = paired_random(correct, draws[:1], recordings)
    paired = paired_difference(draws[0], correct, recordings)
    assert one == pytest.approx(paired)  # a single draw leaves the recordings


def test_simultaneous_intervals_are_wider_and_cover_all_at_once():
    correct, draws, recordings = made_up_draws()
    many = np.stack([np.roll(correct, 2 * k) for k in range(10)])
    together = simultaneous_random(many, draws, recordings)
    for selection, interval in zip(many, together, strict=True):
        alone = paired_random(selection, draws, recordings)
        assert interval.estimate == pytest.approx(alone.estimate)
        assert interval.high - interval.low > alone.high - alone.low
    (single,) = simultaneous_random(correct[None], draws, recordings)
    alone = paired_random(correct, draws, recordings)
    assert (single.low, single.high) == pytest.approx((alone.low, alone.high), abs=0.01)


def test_a_selection_that_equals_every_draw_has_an_interval_of_no_width():
    correct = np.tile([True, False], 10)
    draws = np.tile(correct, (5, 1))
    assert paired_random(correct, draws, np.arange(20)) == (0, 0, 0)
    assert simultaneous_random(correct[None], draws, np.arange(20)) == [(0, 0, 0)]


@pytest.mark.parametrize(
    ("accuracy", "random", "outcome"),
    [
        (0.9, np.linspace(0.7, 0.89, 20), "better"),  # 1 of 21
        (0.88, np.linspace(0.7, 0.89, 20), "neither"),
        (0.6, np.linspace(0.7, 0.89, 20), "worse"),
        (0.9, np.linspace(0.7, 0.89, 18), "undecided"),  # 1 of 19 is more than one in twenty
        (0.8, np.full(100, 0.8), "neither"),  # ties are neither wins nor defeats
    ],
)
def test_rank_among_random(accuracy, random, outcome):
    assert rank_among_random(accuracy, random).outcome == outcome


def test_rank_among_random_counts_the_selection_in():
    rank = rank_among_random(0.8, np.array([0.7, 0.8, 0.9]))
    assert (rank.as_good, rank.as_bad) == (0.75, 0.75)
