import numpy as np
import pytest
from scipy import stats

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.selection import select
from dha_utils.findings import differences, kept_maps, shuffles


def test_significance(responses):
    table = differences.significance_table(responses, 0.05, permutations=199).set_index("test")
    assert list(table.index) == list(differences.TESTS)
    for test in ("anova", "welch", "kruskal"):
        assert table.loc[test, "bh"] == pytest.approx(20 / 80, abs=0.05)
        assert table.loc[test, "by"] <= table.loc[test, "bh"]
    assert table["undefined"].tolist() == [1 / 80] * 5
    np.testing.assert_allclose(table["of_defined"], table["bh"] * 80 / 79)
    # Holm has nothing to say of so few permutations, and only the permutation test has permutations.
    assert table["holm"].isna().tolist() == [False] * 4 + [True]
    assert table["westfall_young"].isna().tolist() == [True] * 4 + [False]
    assert table.loc["permutation_f", "westfall_young"] == pytest.approx(20 / 80, abs=0.05)


def test_no_difference_table_is_what_a_selection_by_level_leaves_out(responses):
    table = differences.no_difference_table(responses, 0.05)
    assert table["fold"].tolist() == responses.test_folds
    for row, training in zip(table.itertuples(), responses.training_folds(), strict=True):
        assert row.anova == pytest.approx(select(training, "anova", alpha=0.05).ignored)
        assert row.ranks == pytest.approx(select(training, "kruskal", alpha=0.05).ignored)
        at_unit_length = select(differences.unit_length(training), "anova", alpha=0.05)
        assert row.unit_length == pytest.approx(at_unit_length.ignored)


def test_one_wild_clip_hides_differences_from_anova_and_not_from_ranks(make_responses):
    responses = make_responses({"bn7": 40}, n_good=40, strength=1.0, per_class=25)
    clip = int(np.flatnonzero(responses.folds == 2)[0])
    responses.arrays["bn7"][clip] = 500
    table = differences.no_difference_table(responses, 0.05).set_index("fold")
    assert table.loc[2, "anova"] < 0.2  # the fold that is trained without it
    assert (table.drop(index=2)["anova"] == 1).all()
    assert (table["ranks"] < 0.2).all()
    # Over unit length it is one profile among others, though not an ordinary one.
    assert (table["unit_length"] < 1).all()


def test_unit_length(responses):
    scaled = differences.unit_length(responses)
    np.testing.assert_allclose(np.linalg.norm(scaled["relu7"], axis=1), 1, rtol=1e-6)
    assert kept_maps.unit_length_overlap(scaled, 0.2) == {"relu6": 1, "relu7": 1}
    # What tells the classes apart is how loud their clips are: all maps say it, at unit length none does.
    rng = np.random.default_rng(0)
    noise = {tap: rng.uniform(1, 2, x.shape) for tap, x in responses.arrays.items()}
    loud = {tap: (x * (1 + responses.y[:, None])).astype(np.float32) for tap, x in noise.items()}
    overlap = kept_maps.unit_length_overlap(type(responses)(loud, responses.table), 0.2)
    assert overlap["relu7"] < 0.5


def test_calibration(responses):
    table = differences.calibration_table(responses, seeds=4).set_index(["test", "shuffled"])
    assert len(table) == 10
    assert table["false_alarms"].between(0.0, 0.2).all()
    assert (table["shuffles"] == 4).all()
    shares = []
    for seed in range(4):
        p = (
            CRITERIA["anova"]
            .function(
                responses.matrix(), shuffles.shuffle_by_clip(responses, seed).y, responses.recordings, None
            )
            .pvalue[:-1]
        )
        shares.append((p <= 0.05).mean())
    assert table.loc[("anova", "by clip"), "false_alarms"] == pytest.approx(np.mean(shares))
    assert table.loc[("anova", "by clip"), "sd"] == pytest.approx(np.std(shares, ddof=1))
    assert table["standard_error"].tolist() == pytest.approx((table["sd"] / 2).tolist())
    assert differences.calibration_table(responses, seeds=1)["sd"].isna().all()


def test_pair_counts(make_responses):
    responses = make_responses({"relu6": 4}, n_good=1, per_class=40, strength=0)
    x = responses["relu6"]
    x[responses.y == 0, 0] += 20
    pairs = differences.pair_counts(responses)
    assert pairs["pairs"].tolist()[0] == 3  # class 0 against each of the other three
    training = responses.training_folds()[0]
    groups = [training["relu6"][training.y == k, 1] for k in range(4)]
    expected = sum((stats.tukey_hsd(*groups, equal_var=False).pvalue[np.triu_indices(4, 1)]) < 0.05)
    assert pairs["pairs"].tolist()[1] == expected
