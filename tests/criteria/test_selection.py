import numpy as np
import pytest
from scipy import stats

from dha_utils.core.errors import ParameterError
from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.base import criterion
from dha_utils.criteria.selection import apply_rule, keep_best, mean_jaccard, n_to_keep, score_maps, select
from dha_utils.networks.registry import outline


def test_keeps_the_maps_that_tell_classes_apart(make_responses):
    selection = select(make_responses(), "anova", keep=4 / 12)
    assert selection.masks["relu6"].tolist() == [True] * 4 + [False] * 8
    assert selection.masks["relu7"].sum() == n_to_keep(4 / 12, 20) == 7
    assert selection.masks["relu7"][:4].all()
    assert selection.n_kept == 11
    assert selection.ignored == pytest.approx(1 - 11 / 32)


def test_alpha_is_one_family_over_all_taps(make_responses):
    responses = make_responses()
    selection = select(responses, "anova", alpha=0.05)
    groups = [responses.matrix().astype(float)[responses.y == k] for k in range(4)]
    adjusted = stats.false_discovery_control(stats.f_oneway(*groups, axis=0).pvalue)
    np.testing.assert_allclose(np.concatenate(list(selection.adjusted.values())), adjusted)
    np.testing.assert_array_equal(np.concatenate(list(selection.masks.values())), adjusted <= 0.05)


def test_no_tap_is_ever_left_empty(make_responses):
    noise = make_responses(n_good=0)
    selection = select(noise, "anova", alpha=1e-9)
    assert [mask.sum() for mask in selection.masks.values()] == [1, 1]
    for tap, mask in selection.masks.items():
        assert mask[selection.scores[tap].score.argmax()]
    assert all(mask.sum() == 1 for mask in select(noise, "anova", keep=0.001).masks.values())


@pytest.mark.parametrize(
    ("keep", "n_maps", "expected"), [(0.11, 16, 2), (0.5, 3, 2), (1.0, 7, 7), (1e-9, 5, 1)]
)
def test_fraction_is_rounded_half_up(keep, n_maps, expected):
    assert n_to_keep(keep, n_maps) == expected


def test_ties_go_to_the_lower_channel():
    assert keep_best(np.array([1.0, 2.0, 2.0, 2.0]), 2).tolist() == [False, True, True, False]


def test_own_rule():
    scores = {
        "a": MapScores(np.array([1.0, 3.0, 2.0]), n_keep=2),
        "b": MapScores(np.array([1.0, 3.0]), n_keep=0),
    }
    selection = apply_rule("made up", scores, own_rule=True)
    assert [mask.tolist() for mask in selection.masks.values()] == [[False, True, True], [False, True]]
    with pytest.raises(ParameterError, match="no stopping rule of its own"):
        apply_rule("made up", {"a": MapScores(np.ones(3))}, own_rule=True)


def test_complement_keeps_the_ignored_maps(make_responses):
    selection = select(make_responses(), "anova", keep=0.25)
    other = selection.complement()
    assert all((other.masks[tap] == ~mask).all() for tap, mask in selection.masks.items())
    everything = select(make_responses(), "anova", keep=1.0).complement()
    assert [mask.sum() for mask in everything.masks.values()] == [1, 1]


def test_permuted_channels_keep_sizes_and_overlap(make_responses):
    responses = make_responses({"bn5": 40, "relu5": 40, "bn6": 60, "relu6": 60})
    selection = select(responses, "anova", keep=0.2)
    permuted = selection.permute_channels((0, 1), outline().layer_of)
    assert permuted.n_kept == selection.n_kept
    for a, b in (("bn5", "relu5"), ("bn6", "relu6")):
        assert permuted.masks[a].sum() == selection.masks[a].sum()
        assert (permuted.masks[a] & permuted.masks[b]).sum() == (
            selection.masks[a] & selection.masks[b]
        ).sum()
        assert (permuted.masks[a] != selection.masks[a]).any()
    again, other = (
        selection.permute_channels((0, 1), outline().layer_of),
        selection.permute_channels((0, 2), outline().layer_of),
    )
    assert (again.masks["bn5"] == permuted.masks["bn5"]).all()
    assert (other.masks["bn5"] != permuted.masks["bn5"]).any()


def test_random_depends_on_the_seed_alone(make_responses):
    a, b, c = (
        select(make_responses(seed=s), "random", keep=0.3, seed=k) for s, k in ((0, 1), (5, 1), (0, 2))
    )
    assert all((a.masks[tap] == b.masks[tap]).all() for tap in a.masks)
    assert any((a.masks[tap] != c.masks[tap]).any() for tap in a.masks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "anvoa", "keep": 0.1}, r"unknown criterion 'anvoa' \(did you mean 'anova'\?\)"),
        ({}, "give either keep, alpha or own_rule"),
        ({"keep": 0.1, "alpha": 0.1}, "give either keep, alpha or own_rule"),
        ({"keep": 0.0}, r"keep is 0.0, expected a fraction in \(0, 1\]"),
        ({"keep": 1.5}, "keep is 1.5"),
        ({"alpha": 1.0}, r"alpha is 1.0, expected a level in \(0, 1\)"),
        ({"criterion": "random", "alpha": 0.05}, "'random' has no p-values"),
    ],
)
def test_bad_options(make_responses, options, message):
    with pytest.raises(ParameterError, match=message):
        select(make_responses(), **options)


def test_wrong_kind_of_data(make_responses):
    with pytest.raises(ParameterError, match="'anova' is computed from responses, got dict"):
        score_maps({"relu6": np.zeros((3, 2, 5))}, "anova", y=np.zeros(3))


def test_mean_jaccard():
    a, b = np.array([True, True, False]), np.array([False, True, True])
    assert mean_jaccard([a, a]) == 1
    assert mean_jaccard([a, b]) == pytest.approx(1 / 3)
    assert mean_jaccard([a, a, b]) == pytest.approx((1 + 2 / 3) / 3)


def test_names_are_unique():
    with pytest.raises(RuntimeError, match="'anova' is registered twice"):
        criterion("anova", family="", summary="", reference="")(CRITERIA["anova"].function)
