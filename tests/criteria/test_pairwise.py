from itertools import combinations

import numpy as np
import pytest
from scipy.stats import studentized_range, tukey_hsd

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.pairwise import LEVEL, critical_values, separated_pairs


def score(name, x, y):
    return CRITERIA[name].function(x, y, np.arange(len(y)), np.random.default_rng(0))


def heteroscedastic(n_maps=15, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), [5, 8, 12, 20])
    x = rng.normal(0, 1.2, (4, n_maps))[y] + rng.normal(size=(len(y), n_maps)) * (0.5 + y[:, None] / 2)
    return x, y


def test_separated_pairs_are_those_of_scipys_games_howell():
    x, y = heteroscedastic()
    got = separated_pairs(x, y)
    for column in range(x.shape[1]):
        expected = tukey_hsd(*(x[y == c, column] for c in range(4)), equal_var=False).pvalue <= LEVEL
        assert got[:, column].tolist() == [bool(expected[i, j]) for i, j in combinations(range(4), 2)]
    assert 0.2 < got.mean() < 0.8  # the comparison would say little otherwise


@pytest.mark.parametrize(("n_classes", "smallest", "largest"), [(10, 31, 62), (4, 4, 30), (3, 1, 40)])
def test_table_of_critical_values_is_scipys_quantile(n_classes, smallest, largest):
    df = np.linspace(smallest, largest, 4) * [1, 0.98, 1.01, 1]
    expected = studentized_range.ppf(1 - LEVEL, n_classes, df)
    tolerance = 1e-5 if smallest == 1 else 1e-9
    assert critical_values(df, n_classes, smallest, largest) == pytest.approx(expected, rel=tolerance)


def test_maps_are_ranked_by_pairs_first_and_by_f_among_equals():
    y = np.repeat([0, 1, 2], 30)
    noise = np.random.default_rng(1).normal(size=90)
    one_far = np.where(y == 2, 50, 0) + noise  # two pairs, enormous F
    all_apart = 2.0 * y + noise  # three pairs
    one_near = np.where(y == 2, 5, 0) + noise  # two pairs
    got = score("games_howell_pairs", np.column_stack([one_far, all_apart, one_near, noise]), y)
    assert np.floor(got.score).tolist() == [2, 3, 2, 0]
    assert np.argsort(-got.score).tolist() == [1, 0, 2, 3]
    assert got.effect.tolist() == pytest.approx([2 / 3, 1, 2 / 3, 0])


def test_under_no_difference_few_maps_separate_any_pair():
    x = np.random.default_rng(2).normal(size=(120, 1500))
    any_pair = separated_pairs(x, np.repeat(np.arange(6), 20)).any(axis=0).mean()
    assert any_pair < LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / 1500)
    assert any_pair > 0.02


def test_classes_without_variance():
    y = np.repeat([0, 1, 2], 6)
    x = np.zeros((18, 2))
    x[y == 2, 0] = [4, 5, 6, 4, 5, 6]  # silent for classes 0 and 1
    x[:, 1] = y  # constant within every class
    assert separated_pairs(x, y).T.tolist() == [[False, True, True], [True, True, True]]
    got = score("fisher_ratio", x, y)
    assert got.score[0] == pytest.approx(2 * 25 / 0.8 / 3)
    assert got.score[1] == np.inf


def test_fisher_ratio_is_the_mean_over_pairs():
    x, y = heteroscedastic(4)
    expected = np.zeros(4)
    for column in range(4):
        parts = [x[y == c, column] for c in range(4)]
        expected[column] = np.mean(
            [(a.mean() - b.mean()) ** 2 / (a.var(ddof=1) + b.var(ddof=1)) for a, b in combinations(parts, 2)]
        )
    got = score("fisher_ratio", x, y)
    assert got.score == pytest.approx(expected)
    assert got.effect.tolist() == got.score.tolist()
    assert got.pvalue is None
