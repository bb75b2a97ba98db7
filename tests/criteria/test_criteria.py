"""The registry as a whole: what every criterion that scores pooled responses has to do."""

import numpy as np
import pytest
from scipy import stats

from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.base import criterion
from dha_utils.criteria.groups import varies_within_classes
from dha_utils.criteria.selection import keep_best

N_CLASSES, CLIPS, MAPS, TRUE = 8, 16, 60, 20
ON_RESPONSES = [name for name, c in CRITERIA.items() if c.needs == "responses"]
TESTS = ["anova", "welch", "alexander_govern", "kruskal", "permutation_f"]

HIT_RATES = {
    "anova": 0.91,
    "welch": 0.93,
    "alexander_govern": 0.92,
    "kruskal": 0.93,
    "equivalence": 0.93,
    "permutation_f": 0.91,
    "fisher_ratio": 0.94,
    "games_howell_pairs": 0.93,
    "mutual_information": 0.74,
    "mrmr": 0.89,
    # Looks at classes only to choose within a cluster.
    "correlation_clusters": 0.53,
    # Do not look at classes: around the 20 / 60 of chance.
    "pivoted_qr": 0.26,
    "luo_entropy": 0.39,
    "random": 0.30,
}
"""Share of the 20 discriminating maps among the best 20 of 60, mean over 20 seeds."""


def score(name, x, y, groups=None, seed=0):
    groups = np.arange(len(y)) if groups is None else groups
    return CRITERIA[name].function(x, y, groups, np.random.default_rng(seed))


def synthetic(seed):
    """Return responses (128, 60), labels and which 20 maps discriminate; classes differ in spread."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(N_CLASSES), CLIPS)
    true = np.zeros(MAPS, bool)
    true[rng.choice(MAPS, TRUE, replace=False)] = True
    means = np.where(true, rng.normal(0, 0.6, (N_CLASSES, MAPS)), 0)
    x = means[y] + rng.uniform(0.5, 1.5, (N_CLASSES, 1))[y] * rng.normal(size=(len(y), MAPS))
    x[:, ::2] = np.maximum(x[:, ::2] + 0.5, 0)
    return x.astype(np.float32), y, true


@pytest.mark.parametrize("name", HIT_RATES)
def test_hit_rate(name):
    rates = []
    for seed in range(20):
        x, y, true = synthetic(seed)
        rates.append(true[keep_best(score(name, x, y, seed=seed).score, TRUE)].mean())
    assert np.mean(rates) == pytest.approx(HIT_RATES[name], abs=0.02)


HIT_RATES_ON_MAPS = {
    "anova_time_as_released": 0.91,
    "anova_time_corrected": 1.0,
    "angle_to_first_corrected": 0.68,
    # Do not ask which clip or class a value is of: around the 8 / 24 of chance, or wherever variance puts them.
    "apoz": 0.47,
    "entropy_knn_as_released": 0.54,
    "entropy_knn_corrected": 0.44,
    "rank_full_as_released": 0.32,
    "rank_full_corrected": 0.32,
    # Keeps the maps that vary least between clips.
    "angle_to_first_as_released": 0.09,
}
"""Share of the 8 discriminating maps among the best 8 of 24 full maps, mean over 20 seeds."""


def synthetic_maps(seed):
    """Return full maps (40, 24, 30) after a ReLU, labels and which 8 maps have another level in each class."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), 10)
    true = np.zeros(24, bool)
    true[rng.choice(24, 8, replace=False)] = True
    level = np.where(true, rng.normal(size=(4, 24)), 0)[y] + 0.3 * rng.normal(size=(40, 24))
    return np.maximum(level[:, :, None] + rng.normal(size=(40, 24, 30)), 0).astype(np.float32), y, true


@pytest.mark.parametrize("name", [name for name, c in CRITERIA.items() if c.needs == "maps"])
def test_hit_rate_on_maps(name):
    rates = []
    for seed in range(20):
        maps, y, true = synthetic_maps(seed)
        scores = CRITERIA[name].function(maps, y, np.random.default_rng(seed))
        rates.append(true[keep_best(scores.score, 8)].mean())
    assert np.mean(rates) == pytest.approx(HIT_RATES_ON_MAPS[name], abs=0.02)


def test_every_criterion_on_responses_has_its_hit_rate_stated():
    assert set(HIT_RATES) == set(ON_RESPONSES)


def test_tests_are_the_criteria_with_p_values():
    x, y, _ = synthetic(0)
    assert {name for name in ON_RESPONSES if score(name, x, y).pvalue is not None} == set(TESTS)


@pytest.mark.parametrize("name", TESTS)
def test_p_is_uniform_under_shuffled_labels(name):
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(N_CLASSES), 20)
    x = rng.normal(size=(160, 800)) + rng.normal(size=(N_CLASSES, 800))[y]
    # Each map is shuffled by itself: under one shuffling for all, what the old classes and the new ones have
    # in common would move all p-values together.
    p = score(name, rng.permuted(x, axis=0), y).pvalue
    if name == "permutation_f":  # of 100 values; spread evenly below its value each is continuous
        p = p - rng.random(800) / 100
    assert stats.kstest(p, "uniform").pvalue > 0.01


@pytest.mark.parametrize("name", ON_RESPONSES)
def test_contract(name):
    x, y, _ = synthetic(2)
    before = x.copy()
    got = score(name, x, y)
    assert isinstance(got, MapScores)
    assert np.array_equal(x, before)
    for values in (got.score, got.pvalue, got.effect):
        assert values is None or (values.shape == (MAPS,) and values.dtype == np.float64)
    assert np.isfinite(got.score[varies_within_classes(x, y)]).all()
    assert got.score.tolist() == score(name, x, y).score.tolist()  # the same seed, the same scores


@pytest.mark.parametrize("name", sorted(set(ON_RESPONSES) - {"random"}))
def test_constant_maps_are_the_first_to_be_ignored(name):
    x, y, _ = synthetic(3)
    x[:, [0, 31]] = [0, 0.1]
    got = score(name, x, y)
    assert np.flatnonzero(np.isneginf(got.score)).tolist() == [0, 31]
    assert got.pvalue is None or got.pvalue[[0, 31]].tolist() == [1, 1]
    nothing = score(name, np.zeros_like(x), y)
    assert np.isneginf(nothing.score).all()
    assert (nothing.pvalue is None) == (got.pvalue is None)
    assert keep_best(nothing.score, 2).nonzero()[0].tolist() == [0, 1]


@pytest.mark.parametrize("name", sorted(set(ON_RESPONSES) - {"random", "pivoted_qr"}))
def test_of_equal_maps_the_lower_channel_is_kept(name):
    x, y, _ = synthetic(4)
    x = x[
        :, 1::2
    ]  # continuous: the noise that parts equal values of mutual_information would part the copies as well
    best = int(score(name, x, y).score.argmax())
    got = score(name, np.column_stack([x, x[:, best]]), y)
    assert keep_best(got.score, 1).nonzero()[0].tolist() == [best]


@pytest.mark.parametrize("name", sorted(set(ON_RESPONSES) - {"random", "mutual_information", "pivoted_qr"}))
def test_scores_do_not_depend_on_a_maps_unit(name):
    x, y, _ = synthetic(5)
    scaled = x.astype(float) * np.geomspace(1e-6, 1e6, MAPS)
    assert score(name, scaled, y).score == pytest.approx(score(name, x, y).score, rel=1e-6)


def test_two_criteria_cannot_share_a_name():
    with pytest.raises(RuntimeError, match="'anova' is registered twice"):
        criterion("anova", family="", summary="", reference="")(lambda x, y, groups, rng: None)
