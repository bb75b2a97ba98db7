import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from dha_utils.core.errors import ParameterError
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.multiplicity import METHODS, adjust


def by_definition(p, method):
    """Adjusted p-values from the step-up and step-down definitions, one by one."""
    order, m = np.argsort(p), len(p)
    adjusted = np.empty(m)
    if method == "holm":
        largest = 0.0
        for rank, i in enumerate(order):
            largest = adjusted[i] = max(largest, min(1, (m - rank) * p[i]))
    else:
        factor = sum(1 / k for k in range(1, m + 1)) if method == "by" else 1
        smallest = 1.0
        for rank in range(m, 0, -1):
            smallest = adjusted[order[rank - 1]] = min(smallest, factor * m * p[order[rank - 1]] / rank)
    return adjusted


@pytest.mark.parametrize("method", ["bh", "by", "holm"])
def test_adjusted_values_are_those_of_statsmodels(method):
    p = np.r_[np.random.default_rng(1).random(40) ** 3, 1, 0, 0.01, 0.01]
    name = {"bh": "fdr_bh", "by": "fdr_by", "holm": "holm"}[method]
    assert adjust(p, method) == pytest.approx(multipletests(p, method=name)[1])


@pytest.mark.parametrize("method", METHODS)
def test_adjusted_values_follow_the_definitions(method):
    p = np.r_[np.random.default_rng(0).random(30) ** 3, 1, 1, 0, 0.01, 0.01]
    assert adjust(p, method) == pytest.approx(by_definition(p, method))


def simulate(method, repeats=150, level=0.1):
    """Proportion of false discoveries per repeat, and power: 100 anova tests of which 80 are true nulls."""
    proportions, power = [], []
    y = np.repeat(np.arange(4), 10)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(40, 100))
        x[:, :20] += rng.normal(0, 1.2, (4, 20))[y]
        found = adjust(CRITERIA["anova"].function(x, y, y, rng).pvalue, method) <= level
        proportions.append(found[20:].sum() / max(1, found.sum()))
        power.append(found[:20].mean())
    return np.array(proportions), np.mean(power)


def test_bh_holds_the_false_discovery_rate_at_its_nominal_level():
    proportions, power = simulate("bh")
    error = stats.sem(proportions)
    # With 80 % true nulls the rate of BH is exactly 0.8 of the level.
    assert abs(proportions.mean() - 0.08) < 3 * error
    assert error < 0.01
    assert power > 0.5


def test_by_is_stricter_than_bh():
    proportions, power = simulate("by")
    # Its rate is at most that of BH at the level over 1 + 1/2 + ... + 1/100 = 5.19.
    assert abs(proportions.mean() - 0.08 / 5.19) < 3 * stats.sem(proportions)
    assert power > 0.3


def test_holm_rarely_makes_any_false_discovery():
    proportions, power = simulate("holm")
    assert (proportions > 0).mean() < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 150)
    assert (proportions > 0).any()
    assert power > 0.3


def test_bad_input_is_named():
    with pytest.raises(ParameterError, match=r"unknown method 'hol' \(did you mean 'holm'\?\)"):
        adjust(np.array([0.5]), "hol")
    for value in (1.5, -0.1, np.nan):
        with pytest.raises(ParameterError, match=rf"p-value {value} is not in \[0, 1\]"):
            adjust(np.array([0.5, value]))
