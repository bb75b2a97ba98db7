import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.oneway import equivalence_oneway

from dha_utils.core.errors import DataError, ParameterError
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import (
    EQUIVALENCE_FORMS,
    EQUIVALENCE_MARGIN,
    eta_squared,
    kruskal_of_ranks,
    omega_squared,
    spread,
)
from dha_utils.criteria.groups import is_constant, moments, split_by_class, varies_within_classes

TESTS = ["anova", "welch", "alexander_govern", "kruskal"]
ORACLES = {
    "anova": stats.f_oneway,
    "welch": lambda *parts: stats.f_oneway(*parts, equal_var=False),
    "alexander_govern": stats.alexandergovern,
    "kruskal": stats.kruskal,
}


def score(name, x, y):
    return CRITERIA[name].function(x, y, np.arange(len(y)), np.random.default_rng(0))


def unbalanced(n_maps=12, seed=0):
    """Five classes of 6 to 18 clips with different spread; half the maps differ, half have ties at 0."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(5), [6, 9, 12, 15, 18])
    means = rng.normal(0, 1, (5, n_maps)) * (np.arange(n_maps) % 2)
    x = means[y] + rng.normal(size=(len(y), n_maps)) * (1 + y[:, None] / 2)
    x[:, n_maps // 2 :] = np.maximum(x[:, n_maps // 2 :] + 1, 0)
    return x.astype(np.float32), y


def test_of_maps_that_hardly_vary_there_is_no_warning():
    y = np.repeat([0, 1], 10)
    x = 1 + 1e-15 * np.random.default_rng(0).integers(0, 3, (20, 2))
    for name in TESTS:
        score(name, x, y)


@pytest.mark.parametrize("name", TESTS)
def test_statistic_and_p_are_scipys_map_by_map(name):
    x, y = unbalanced()
    got = score(name, x, y)
    for column in range(x.shape[1]):
        expected = ORACLES[name](*(x[y == c, column].astype(float) for c in range(5)))
        assert got.score[column] == pytest.approx(expected.statistic, rel=1e-9)
        assert got.pvalue[column] == pytest.approx(expected.pvalue, rel=1e-7)


def test_the_test_of_ranks_ranks_as_scipy_does():
    x, y = unbalanced()
    expected = score("kruskal", x, y)
    got = kruskal_of_ranks(stats.rankdata(x, axis=0), y, y, None)
    np.testing.assert_array_equal([got.score, got.pvalue], [expected.score, expected.pvalue])


def test_equivalence_is_statsmodels_map_by_map():
    x, y = unbalanced()
    got, pvalues = score("equivalence", x, y), spread(x, y).alike()
    for column in range(x.shape[1]):
        parts = [x[y == c, column].astype(float) for c in range(5)]
        expected = equivalence_oneway(parts, EQUIVALENCE_MARGIN**2)
        assert pvalues[column] == pytest.approx(expected.pvalue, rel=1e-7)
        assert got.effect[column] == pytest.approx(expected.effectsize, rel=1e-9)
        assert got.score[column] == pytest.approx(expected.statistic / expected.crit_f, rel=1e-7)
        assert (got.score[column] < 1) == (pvalues[column] < 0.05)
    assert got.pvalue is None


@pytest.mark.parametrize(("form", "use_var"), [("welch", "unequal"), ("pooled", "equal")])
def test_equivalence_at_many_margins_is_statsmodels_one_by_one(form, use_var):
    x, y = unbalanced()
    margins = np.array([0.1, 0.25, 0.5, 1.0])
    got = spread(x, y, form).alike(margins)
    assert got.shape == (4, 12)
    for column in range(x.shape[1]):
        parts = [x[y == c, column].astype(float) for c in range(5)]
        for row, margin in enumerate(margins):
            expected = equivalence_oneway(parts, margin**2, use_var=use_var)
            assert got[row, column] == pytest.approx(expected.pvalue, rel=1e-7)


@pytest.mark.parametrize("form", EQUIVALENCE_FORMS)
def test_equivalence_p_is_uniform_at_the_margin_and_small_for_like_classes(form):
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(10), 40)
    pattern = stats.zscore(
        np.arange(10.0)
    )  # f: the standard deviation of the class means over that within classes
    at_margin = rng.normal(size=(400, 1500)) + EQUIVALENCE_MARGIN * pattern[y][:, None]
    assert stats.kstest(spread(at_margin, y, form).alike(), "uniform").pvalue > 0.01
    assert stats.kstest(spread(at_margin, y, form).different(), "uniform").pvalue > 0.01
    alike = spread(rng.normal(size=(400, 1500)), y, form).alike()
    assert (alike < 0.05).mean() > 0.9


def test_the_form_on_ranks_is_the_pooled_one_of_ranks():
    x, y = unbalanced()
    ranks = np.stack([stats.rankdata(column) for column in x.T], axis=1)
    expected = spread(ranks, y, "pooled").alike(0.5)
    assert spread(x, y, "ranks").alike(0.5).tolist() == expected.tolist()


def test_one_wild_clip_makes_classes_alike_in_the_pooled_form_only():
    rng = np.random.default_rng(4)
    y = np.repeat(np.arange(10), 40)
    x = rng.normal(size=(400, 1)) + 0.7 * stats.zscore(np.arange(10.0))[y][:, None]
    x[3] = 100
    assert spread(x, y, "pooled").alike() < 0.05
    assert spread(x, y, "welch").alike() > 0.05
    assert spread(x, y, "ranks").alike() > 0.05


def test_p_values_of_equivalence_grow_as_the_margin_shrinks_also_where_the_tail_underflows():
    rng = np.random.default_rng(5)
    y = np.repeat(np.arange(10), 32)
    x = rng.normal(size=(320, 60)) + np.linspace(0, 3, 60) * stats.zscore(np.arange(10.0))[y][:, None]
    margins = np.linspace(0.1, 5, 40)
    for form in EQUIVALENCE_FORMS:
        p = spread(x, y, form).alike(margins)
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(p, axis=0) <= 1e-12).all()


def test_what_is_shown_alike_is_not_shown_different():
    x, y = unbalanced()
    for form in EQUIVALENCE_FORMS:
        alike, different = spread(x, y, form).alike(0.5), spread(x, y, form).different(0.5)
        np.testing.assert_allclose(alike + different, 1)
    x[:, 0] = 0.1  # constant: alike
    x[y == 1, 1] = 0.1  # undefined in the Welch form: neither
    assert spread(x, y).different()[:2].tolist() == [1, 1]
    assert spread(x, y).alike()[:2].tolist() == [0, 1]


def test_an_unknown_form_is_named():
    x, y = unbalanced()
    with pytest.raises(ParameterError, match=r"unknown form 'pool' \(did you mean 'pooled'\?\)"):
        spread(x, y, form="pool")


@pytest.mark.parametrize(
    ("name", "effect"),
    [("anova", 0.5), ("alexander_govern", 0.5), ("kruskal", None), ("welch", None)],
)
def test_effect_sizes_have_their_textbook_values(name, effect):
    # Two classes at -1 and 1 with deviations of 1: sums of squares 8 between, 8 within; F = 8 / (8 / 6) = 6.
    x, y = np.array([-2.0, 0, -2, 0, 0, 2, 0, 2])[:, None], np.repeat([0, 1], 4)
    got = score(name, x, y)
    if effect is None:
        effect = {"kruskal": got.score[0] / 7, "welch": (6 - 1) / (6 + 6 + 1)}[name]
    assert got.effect[0] == pytest.approx(effect)


def test_eta_and_omega_squared_at_their_ends():
    assert eta_squared(np.array([0.0, np.inf]), 2, 9).tolist() == [0, 1]
    assert omega_squared(np.array([1.0]), 2, 9).tolist() == [0]
    assert omega_squared(np.array([6.0]), 1, 6) == pytest.approx(5 / 13)


def test_the_rule_for_undefined_maps():
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1, 2], 7)
    x = rng.normal(size=(21, 4)).astype(np.float32)
    x[:, 0] = 0.1  # constant
    x[y == 1, 1] = 0.1  # silent for one class: its variance is 1e-34 by rounding, not 0
    x[:, 2] = y  # classes differ and nothing varies within them
    assert is_constant(x).tolist() == [True, False, False, False]
    assert varies_within_classes(x, y).tolist() == [False, False, False, True]
    assert moments(x, y).variance[1, 1] == 0
    undefined = {"anova": [0], "kruskal": [0], "welch": [0, 1, 2], "alexander_govern": [0, 1, 2]}
    for name, columns in undefined.items():
        got = score(name, x, y)
        assert np.flatnonzero(np.isneginf(got.score)).tolist() == columns, name
        assert got.pvalue[columns].tolist() == [1] * len(columns), name
        assert got.effect[columns].tolist() == [0] * len(columns), name
    perfect = score("anova", x, y)
    assert (perfect.score[2], perfect.pvalue[2], perfect.effect[2]) == (np.inf, 0, 1)
    # A constant map responds alike by construction; one that is silent for a class is undefined.
    assert spread(x, y).alike()[:3].tolist() == [0, 1, 1]
    pooled = spread(x, y, "pooled").alike()
    assert (pooled[0], pooled[2]) == (0, 1)  # classes that differ without any variance within are not alike
    assert spread(x[:, :1], y).alike(np.array([0.1, 2])).tolist() == [[0], [0]]
    assert np.isneginf(score("equivalence", x[:, :3], y).score).all()


@pytest.mark.parametrize("name", TESTS)
def test_labels_that_allow_no_test(name):
    x = np.random.default_rng(3).normal(size=(6, 2))
    with pytest.raises(DataError, match="needs at least 2 classes, got 1"):
        score(name, x, np.zeros(6, int))
    with pytest.raises(DataError, match="class 1 has 1 clips"):
        score(name, x, np.array([0, 0, 0, 0, 0, 1]))


def test_classes_are_split_in_order_and_in_double_precision():
    parts = split_by_class(np.arange(8, dtype=np.float32).reshape(4, 2), np.array([5, 2, 5, 2]))
    assert [part.tolist() for part in parts] == [[[2, 3], [6, 7]], [[0, 1], [4, 5]]]
    assert parts[0].dtype == np.float64
