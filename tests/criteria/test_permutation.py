import numpy as np
from scipy import stats

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.permutation import PERMUTATIONS, permutation_f, permutation_pvalues, permutation_test

CRITERION = CRITERIA["permutation_f"]


def recordings(n_maps, within, seed, per_class=10, clips=3):
    """No class differs; clips of one recording share a part of variance `within`."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(4 * per_class), clips)
    shared = rng.normal(size=(4 * per_class, n_maps))[group]
    x = np.sqrt(within) * shared + np.sqrt(1 - within) * rng.normal(size=(len(group), n_maps))
    return x, np.repeat(np.arange(4), per_class * clips), group


def test_p_counts_permutations_of_whole_recordings():
    x, y, group = recordings(5, 0.5, 0)
    x[:, 4] += 3 * y
    got = permutation_pvalues(x, y, group, np.random.default_rng(7), 40)
    rng = np.random.default_rng(7)
    f = stats.f_oneway(*(x[y == c] for c in range(4)), axis=0).statistic
    count = np.zeros(5)
    for _ in range(40):
        shuffled = rng.permutation(y[::3])[group]
        count += stats.f_oneway(*(x[shuffled == c] for c in range(4)), axis=0).statistic >= f
    assert got.tolist() == ((1 + count) / 41).tolist()
    assert got[4] == 1 / 41


def test_familywise_p_counts_the_largest_f_over_all_maps():
    x, y, group = recordings(6, 0.5, 4)
    x[:, 3] += 2 * y
    x[:, 5] = 1.5  # constant: no F, and never the largest
    got = permutation_test(x, y, group, np.random.default_rng(7), 40)
    rng = np.random.default_rng(7)
    f = stats.f_oneway(*(x[y == c, :5] for c in range(4)), axis=0).statistic
    count = np.zeros(5)
    for _ in range(40):
        shuffled = rng.permutation(y[::3])[group]
        count += stats.f_oneway(*(x[shuffled == c, :5] for c in range(4)), axis=0).statistic.max() >= f
    assert got.familywise.tolist() == [*((1 + count) / 41).tolist(), 1.0]
    assert got.raw.tolist() == permutation_pvalues(x, y, group, np.random.default_rng(7), 40).tolist()
    assert (got.familywise >= got.raw).all()


def test_familywise_error_is_held():
    found = 0
    for seed in range(40):
        x, y, group = recordings(30, 0.5, seed, per_class=5, clips=2)
        x *= 10.0 ** np.arange(-15, 15)  # maps of any size count alike
        found += (permutation_test(x, y, group, np.random.default_rng(seed), 59).familywise <= 0.05).any()
    assert found <= stats.binom.ppf(0.999, 40, 0.05)


def test_criterion_has_f_as_score_and_its_own_number_of_permutations():
    x, y, group = recordings(6, 0.5, 1)
    x[:, 0] += 3 * y
    got = permutation_f(x, y, group, np.random.default_rng(3))
    anova = CRITERIA["anova"].function(x, y, group, np.random.default_rng(3))
    assert got.score.tolist() == anova.score.tolist()
    assert got.effect.tolist() == anova.effect.tolist()
    assert (
        got.pvalue.tolist()
        == permutation_pvalues(x, y, group, np.random.default_rng(3), PERMUTATIONS).tolist()
    )
    assert got.pvalue[0] == 1 / (1 + PERMUTATIONS)


def test_p_stays_uniform_where_clips_of_a_recording_are_alike_and_that_of_anova_does_not():
    x, y, group = recordings(400, 0.6, 2)
    rng = np.random.default_rng(2)
    p = permutation_pvalues(x, y, group, rng, 199)
    # p takes 200 values; spread evenly below its value each is continuous, and uniform under the null.
    assert stats.kstest(p - rng.random(400) / 200, "uniform").pvalue > 0.01
    naive = CRITERIA["anova"].function(x, y, group, rng).pvalue
    assert (naive < 0.05).mean() > 0.2


def test_a_tie_by_rounding_counts_as_at_least_as_large():
    # Two recordings, one per class: every permutation is the same split or its mirror image.
    x = np.array([[0.1, 3.0], [0.2, 1.0], [0.7, 2.0], [0.4, 9.0]])
    p = permutation_pvalues(x, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), np.random.default_rng(0), 50)
    assert p.tolist() == [1, 1]


def test_parts_of_a_recording_that_are_of_two_classes_are_recordings_of_their_own():
    x, y, group = recordings(2, 0.5, 3)
    mixed, apart = 2 * group, 2 * group
    mixed[-1], apart[-1] = 0, 1  # the next recording after 0
    got, expected = (permutation_f(x, y, of, np.random.default_rng(0)) for of in (mixed, apart))
    np.testing.assert_array_equal(got.pvalue, expected.pvalue)
