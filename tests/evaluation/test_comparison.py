import numpy as np
import pytest
from scipy import stats

from dha_utils.evaluation.comparison import (
    design_effect,
    mcnemar,
    nadeau_bengio,
    non_inferiority_power,
    non_inferiority_test,
    power_table,
)


def test_mcnemar_is_the_binomial_test():
    rng = np.random.default_rng(0)
    first, second = rng.random(400) < 0.9, rng.random(400) < 0.85
    result = mcnemar(first, second)
    n = result.only_first + result.only_second
    assert result.only_first - result.only_second == first.sum() - second.sum()
    assert result.pvalue == pytest.approx(stats.binomtest(result.only_first, n).pvalue)
    assert mcnemar(first, first).pvalue == 1


def test_nadeau_bengio_without_overlap_is_the_t_interval():
    differences = np.array([0.01, 0.03, -0.02, 0.0, 0.02])
    plain = stats.ttest_1samp(differences, 0).confidence_interval()
    assert nadeau_bengio(differences, 0.0)[1:] == pytest.approx(tuple(plain))
    wide, narrow = nadeau_bengio(differences, 0.25), nadeau_bengio(differences, 0.0)
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(np.sqrt((0.2 + 0.25) / 0.2))


def test_power_of_the_published_designs():
    powers = [non_inferiority_power(n, 0.10, 0.03) for n in (390, 1170, 2000)]
    assert powers == pytest.approx([0.59, 0.95, 0.995], abs=0.006)


def test_power_of_data_sets():
    table = power_table({"a": 390, "b": 1170}, {"found": 0.0, "cautious": 0.1}, 0.03)
    assert list(table) == ["data set", "clips", "cautious"]
    assert table["cautious"].tolist() == [non_inferiority_power(n, 0.1, 0.03, 0.025) for n in (390, 1170)]


def test_power_by_simulation():
    rng = np.random.default_rng(0)
    n, discordant, shown = 400, 0.1, 0
    for _ in range(400):
        outcome = rng.choice([-1, 0, 1], size=n, p=[discordant / 2, 1 - discordant, discordant / 2])
        lower = outcome.mean() - 1.645 * outcome.std() / np.sqrt(n)
        shown += lower > -0.03
    assert shown / 400 == pytest.approx(non_inferiority_power(n, discordant, 0.03), abs=0.06)


def test_non_inferiority():
    first = np.arange(1000) < 900
    second = first ^ (np.arange(1000) % 50 == 0)  # 18 clips lost, 2 won
    result = non_inferiority_test(first, second, np.arange(1000), 0.03)
    assert result.difference.estimate == pytest.approx(-0.016)
    error = np.std(second.astype(int) - first) / np.sqrt(1000)
    # A loss is skewed, so the normal p-value is too small; and none is smaller than the samples can tell.
    normal = stats.norm.sf((0.03 - 0.016) / error)
    assert normal < result.pvalue < 10 * normal
    near = non_inferiority_test(first, second, np.arange(1000), 0.022)
    assert near.pvalue == pytest.approx(stats.norm.sf((0.022 - 0.016) / error), rel=0.25)
    assert (near.pvalue < 0.025) == (near.difference.low > -0.022)
    assert non_inferiority_test(first, first, np.arange(1000), 0.03).pvalue == 1e-4
    assert non_inferiority_test(first, second, np.arange(1000), 0.01).pvalue > 0.5


def test_design_effect():
    rng = np.random.default_rng(0)
    correct = rng.random(500) < 0.8
    assert design_effect(correct, np.arange(500)) == pytest.approx(1)
    assert design_effect(np.repeat(correct, 4), np.repeat(np.arange(500), 4)) == pytest.approx(4)
    assert design_effect(np.ones(5, bool), np.arange(5)) == 1


def test_what_both_get_wrong_cancels_in_the_difference():
    recordings = np.repeat(np.arange(200), 2)
    first = np.repeat(np.arange(200) % 4 > 0, 2)  # whole recordings are wrong
    second = first ^ (np.arange(400) % 40 == 0)  # and single clips change
    assert design_effect(second, recordings) > 1.7
    assert design_effect(second.astype(int) - first, recordings) < 1.1
