import numpy as np
import pytest
from scipy import stats

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import equivalence_pvalues
from dha_utils.criteria.selection import select
from dha_utils.findings import survey
from dha_utils.responses.table import Responses


@pytest.fixture
def responses(make_responses):
    responses = make_responses({"relu6": 30, "relu7": 50}, n_good=10, per_class=25)
    responses.arrays["relu7"][:, -1] = 2.0
    return responses


def test_significance(responses):
    table = survey.significance_table(responses, 0.05, permutations=199).set_index("test")
    assert list(table.index) == list(survey.TESTS)
    for test in ("anova", "welch", "kruskal"):
        assert table.loc[test, "bh"] == pytest.approx(20 / 80, abs=0.05)
        assert table.loc[test, "by"] <= table.loc[test, "bh"]
    assert table["undefined"].tolist() == [1 / 80] * 5
    np.testing.assert_allclose(table["of_defined"], table["bh"] * 80 / 79)
    # Holm has nothing to say of so few permutations, and only the permutation test has permutations.
    assert table["holm"].isna().tolist() == [False] * 4 + [True]
    assert table["westfall_young"].isna().tolist() == [True] * 4 + [False]
    assert table.loc["permutation_f", "westfall_young"] == pytest.approx(20 / 80, abs=0.05)


def test_no_difference_by_fold_is_what_a_selection_by_level_leaves_out(responses):
    table = survey.no_difference_by_fold(responses, 0.05)
    assert table["fold"].tolist() == responses.test_folds
    for row, training in zip(table.itertuples(), survey.training_folds(responses), strict=True):
        assert row.anova == pytest.approx(select(training, "anova", alpha=0.05).ignored)
        assert row.ranks == pytest.approx(select(training, "kruskal", alpha=0.05).ignored)
        at_unit_length = select(survey.unit_length(training), "anova", alpha=0.05)
        assert row.unit_length == pytest.approx(at_unit_length.ignored)


def test_one_wild_clip_hides_differences_from_anova_and_not_from_ranks(make_responses):
    responses = make_responses({"bn7": 40}, n_good=40, strength=1.0, per_class=25)
    clip = int(np.flatnonzero(responses.folds == 2)[0])
    responses.arrays["bn7"][clip] = 500
    table = survey.no_difference_by_fold(responses, 0.05).set_index("fold")
    assert table.loc[2, "anova"] < 0.2  # the fold that is trained without it
    assert (table.drop(index=2)["anova"] == 1).all()
    assert (table["ranks"] < 0.2).all()
    # Over unit length it is one profile among others, though not an ordinary one.
    assert (table["unit_length"] < 1).all()


def test_unit_length(responses):
    scaled = survey.unit_length(responses)
    np.testing.assert_allclose(np.linalg.norm(scaled["relu7"], axis=1), 1, rtol=1e-6)
    assert survey.unit_length_overlap(scaled, 0.2) == {"relu6": 1, "relu7": 1}
    # What tells the classes apart is how loud their clips are: all maps say it, at unit length none does.
    rng = np.random.default_rng(0)
    noise = {tap: rng.uniform(1, 2, x.shape) for tap, x in responses.arrays.items()}
    loud = {tap: (x * (1 + responses.y[:, None])).astype(np.float32) for tap, x in noise.items()}
    overlap = survey.unit_length_overlap(type(responses)(loud, responses.table), 0.2)
    assert overlap["relu7"] < 0.5


def test_calibration(responses):
    table = survey.calibration_table(responses, seeds=4).set_index(["test", "shuffled"])
    assert len(table) == 10
    assert table["false_alarms"].between(0.0, 0.2).all()
    assert (table["shuffles"] == 4).all()
    shares = []
    for seed in range(4):
        p = (
            CRITERIA["anova"]
            .function(
                responses.matrix(), survey.shuffle_by_clip(responses, seed).y, responses.recordings, None
            )
            .pvalue[:-1]
        )
        shares.append((p <= 0.05).mean())
    assert table.loc[("anova", "by clip"), "false_alarms"] == pytest.approx(np.mean(shares))
    assert table.loc[("anova", "by clip"), "sd"] == pytest.approx(np.std(shares, ddof=1))
    assert survey.calibration_table(responses, seeds=1)["sd"].isna().all()


def test_shuffles(make_responses):
    responses = make_responses(per_class=16)
    labels = np.repeat([f"class{i}" for i in range(4)], 2)[np.arange(64) % 8]
    pure = type(responses)(responses.arrays, responses.table.assign(label=labels), responses.provenance)
    shuffled = survey.shuffle_by_recording(pure, 1)
    assert (shuffled.table["label"] != labels).any()
    assert (shuffled.table.groupby("recording")["label"].nunique() == 1).all()
    assert len(set(survey.shuffle_by_clip(pure, 1).recordings)) == 64


@pytest.fixture
def half_alike(make_responses):
    """Three maps that differ between classes, three that do not, and one that is constant."""
    responses = make_responses({"relu6": 7}, n_good=3, per_class=400)
    responses["relu6"][:, 3:6] = np.random.default_rng(0).normal(size=(1600, 3))
    responses["relu6"][:, 6] = 0.3
    return responses


def test_equivalence(half_alike):
    table = survey.equivalence_table(half_alike, 0.05)
    assert table["raw"].tolist() == table["adjusted"].tolist() == [pytest.approx(4 / 7)]
    assert table["constant"].tolist() == [pytest.approx(1 / 7)]


def test_equivalence_over_margins(half_alike):
    curve = survey.equivalence_curve(half_alike, 0.05)
    assert len(curve) == 3 * len(survey.MARGINS)
    for _, rows in curve.groupby("form"):
        assert (np.diff(rows["raw"]) >= 0).all()
        assert (rows["adjusted"] <= rows["raw"]).all()
        at_margin = rows.set_index("margin")["raw"]
        assert at_margin[0.25] == pytest.approx(4 / 7)
    fold = survey.training_folds(half_alike)
    by_hand = np.mean([(equivalence_pvalues(t.matrix(), t.y, 0.1, "pooled") <= 0.05).mean() for t in fold])
    pooled = curve[(curve["form"] == "pooled") & (curve["margin"] == 0.1)]
    assert pooled["raw"].tolist() == [pytest.approx(by_hand)]


def test_what_is_shown_to_differ(half_alike):
    assert survey.different_shares(half_alike, 0.05) == {
        form: pytest.approx(3 / 7) for form in ("welch", "pooled", "ranks")
    }


def test_the_margin_at_which_so_many_are_alike(half_alike):
    curve = survey.equivalence_curve(half_alike, 0.05)
    different = dict.fromkeys(("welch", "pooled", "ranks"), 0.4)
    table = survey.equivalence_by_form(curve, different, 0.5).set_index("form")
    assert list(table.index) == list(different)
    assert 0.1 <= table.loc["welch", "margin_reaching"] <= 0.25
    assert (table["medium_refuted"] == 0.4).all()
    assert (table["medium_raw"] <= table["two_raw"]).all()
    assert (table["medium_adjusted"] <= table["medium_raw"]).all()
    assert np.isnan(survey.equivalence_by_form(curve, different, 0.99)["margin_reaching"][0])


def test_power_of_the_equivalence_test(half_alike, make_responses):
    power = survey.equivalence_power(half_alike, 0.05, seeds=3).set_index(["shuffled", "form"])
    assert len(power) == 6
    assert (power["alike"] > 0.9).all()  # 1280 clips show it
    few = survey.equivalence_power(make_responses(per_class=10), 0.05, seeds=3)
    assert (few["alike"] < 0.5).all()
    assert (few["shuffles"] == 3).all()


def test_pair_counts(make_responses):
    responses = make_responses({"relu6": 4}, n_good=1, per_class=40, strength=0)
    x = responses["relu6"]
    x[responses.y == 0, 0] += 20
    pairs = survey.pair_counts(responses)
    assert pairs["pairs"].tolist()[0] == 3  # class 0 against each of the other three
    training = survey.training_folds(responses)[0]
    groups = [training["relu6"][training.y == k, 1] for k in range(4)]
    expected = sum((stats.tukey_hsd(*groups, equal_var=False).pvalue[np.triu_indices(4, 1)]) < 0.05)
    assert pairs["pairs"].tolist()[1] == expected


def test_what_the_responses_of_a_tap_are_like(responses):
    table = survey.zero_table(responses.take(np.arange(4))).set_index("tap")
    for tap, row in table.iterrows():
        x = responses[tap][:4]
        assert (row["maps"], row["mean"]) == (x.shape[1], x.mean(dtype=float))
        assert row["silent maps"] / row["maps"] <= row["zero"] == np.mean(x == 0)


def test_what_selections_keep(responses):
    selections = [select(fold, "anova", keep=0.2) for fold in survey.training_folds(responses)]
    kept = survey.kept_table(selections, 0.05).set_index("tap")
    effects = survey.effect_table(selections)
    assert len(effects) == len(selections) * kept["maps"].sum()
    assert kept["eta2"].to_dict() == effects.groupby("tap")["eta2"].median().to_dict()
    assert kept["kept"].sum() == selections[0].n_kept
    by_alpha = [select(fold, "anova", alpha=0.05) for fold in survey.training_folds(responses)]
    found = np.mean([[mask.mean() for mask in s.masks.values()] for s in by_alpha], axis=0)
    assert kept["significant"].tolist() == pytest.approx(found, abs=1 / kept["maps"].min())


def test_first_and_last(responses):
    selection = select(responses, "anova", keep=0.2)
    groups = survey.first_and_last(selection, "relu7", most=4)
    scores = selection.scores["relu7"].score
    assert groups["kept"].shape == groups["ignored"].shape == (4,)
    assert scores[groups["kept"]].tolist() == sorted(scores, reverse=True)[:4]
    assert groups["ignored"][-1] == 49  # the constant map
    assert not selection.masks["relu7"][groups["ignored"]].any()
    assert survey.first_and_last(selection, "relu6", most=99)["kept"].shape == (6,)
    assert survey.first_and_last(selection, "relu6")["ignored"].shape == (6,)


def test_peak_class_mean(responses):
    good = survey.peak_class_mean(responses, "relu7", np.arange(10))
    assert good > 1 > 0.4 > survey.peak_class_mean(responses, "relu7", np.arange(10, 49))
    assert survey.peak_class_mean(responses, "relu7", np.array([49])) == 0


def test_halves_share_no_recording_and_have_all_classes(make_responses):
    responses = make_responses()
    first, second = survey.disjoint_halves(responses)
    assert len(first) + len(second) == len(responses)
    assert not {*first.recordings} & {*second.recordings}
    assert first.classes == second.classes == responses.classes


def test_stability_over_folds_and_over_halves(make_responses):
    table = survey.stability_table(make_responses({"relu6": 40}, n_good=10), 0.25).set_index("criterion")
    assert table.loc["anova", "estimate"] == 1
    assert table.loc["anova", "disjoint"] == 1
    assert table.loc["random", "disjoint"] < 0.5


def test_no_halves_of_a_class_with_one_recording(make_responses):
    responses = make_responses({"relu6": 20})
    one = responses.table["label"] == "class0"
    table = responses.table.assign(recording=responses.table["recording"].where(~one, "single"))
    stability = survey.stability_table(Responses(responses.arrays, table), 0.25).set_index("criterion")
    assert np.isnan(stability.loc["anova", "disjoint"])
    assert np.isfinite(stability.loc["anova", "estimate"])
