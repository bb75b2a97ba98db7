import numpy as np
import pytest
from sklearn.decomposition import PCA

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import equivalence_pvalues
from dha_utils.criteria.selection import select
from dha_utils.evaluation.inference import paired_difference
from dha_utils.findings import influence, survey


def anova(x, y):
    return CRITERIA["anova"].function(x, y, y, None)


@pytest.fixture
def responses(make_responses):
    """Maps that differ a little, one wild clip in most maps of relu7, a map that fires for that clip alone, a constant one."""
    responses = make_responses({"relu6": 12, "relu7": 30}, n_good=12, strength=0.7, per_class=20)
    wild = int(np.flatnonzero(responses.folds == 3)[0])
    responses["relu7"][wild, :25] = 300
    responses["relu7"][:, 28] = np.arange(len(responses)) == wild
    responses["relu7"][:, 29] = 0.1
    return responses


def wild_recording(responses):
    return responses.recordings[np.flatnonzero(responses["relu7"][:, 28])[0]]


def test_without_each_is_the_test_made_afresh(responses):
    x, y, recordings = responses.matrix(), responses.y, responses.recordings
    got = influence.anova_without_each(x, y, recordings)
    assert got.recordings.tolist() == np.unique(recordings).tolist()
    for name, f, pvalue in zip(got.recordings, got.f, got.pvalue, strict=True):
        left = recordings != name
        expected = anova(x[left], y[left])
        np.testing.assert_allclose(f, expected.score, rtol=1e-8)
        np.testing.assert_allclose(pvalue, expected.pvalue, rtol=1e-6)
    row = got.f[got.recordings.tolist().index(wild_recording(responses))]
    assert np.isneginf(row[[40, 41]]).all()  # constant without the clip, and constant anyhow
    assert np.isfinite(row[:40]).all()


def test_recordings_of_several_classes_and_of_any_length():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    recordings = rng.integers(0, 9, 60)
    x = rng.normal(size=(60, 5)) + 1000
    got = influence.anova_without_each(x, y, recordings)
    for name, f in zip(got.recordings, got.f, strict=True):
        np.testing.assert_allclose(f, anova(x[recordings != name], y[recordings != name]).score, rtol=1e-8)


def test_a_class_that_would_be_too_small_gives_no_number():
    y = np.array([0, 0, 0, 0, 1, 1, 1])
    recordings = np.array(["a", "a", "b", "b", "c", "c", "d"])
    got = influence.anova_without_each(np.random.default_rng(1).normal(size=(7, 2)), y, recordings)
    # Without c one clip of class 1 is left.
    assert np.isnan(got.pvalue).all(axis=1).tolist() == [False, False, True, False]


def test_classes_that_differ_without_variance_within_them():
    y = np.repeat([0, 1], 4)
    got = influence.anova_without_each(y[:, None].astype(float), y, np.arange(8))
    assert (got.f == np.inf).all()
    assert (got.pvalue == 0).all()


def test_shares_without_each_recording_are_those_of_a_selection_without_it(responses):
    table = influence.no_difference_without_each(responses, 0.05)
    assert table["recording"].tolist()[0] == wild_recording(responses)
    assert (np.diff(table["all"]) >= 0).all()
    for _, row in table.iloc[[0, 1, -1]].iterrows():
        folds = survey.training_folds(influence.leave_out(responses, [row["recording"]]))
        tests = [anova(t.matrix(), t.y) for t in folds]
        different = [survey.adjust(test.pvalue) <= 0.05 for test in tests]
        assert row["all"] == pytest.approx(1 - np.mean(different))
        assert row["relu6"] == pytest.approx(1 - np.mean([d[:12] for d in different]))
        assert row["relu7"] == pytest.approx(1 - np.mean([d[12:] for d in different]))
    everything = survey.no_difference_by_fold(responses, 0.05)["anova"].mean()
    assert table["all"].iloc[0] < everything - 0.15


def test_leaving_out_in_turn(responses):
    first, second = influence.leave_out_in_turn(responses, 0.05, 2)
    assert len(second) == len(first) - 1
    assert first["recording"][0] not in set(second["recording"])
    table = influence.without_table(
        responses, [first["recording"][0], second["recording"][0]], 0.05
    ).set_index("left_out")
    assert table["recording"].tolist() == ["", first["recording"][0], second["recording"][0]]
    assert table.loc[1, "no_difference"] == pytest.approx(first["all"][0])
    assert table.loc[2, "no_difference"] == pytest.approx(second["all"][0])
    assert table.loc[1, "eta2"] > table.loc[0, "eta2"]
    folds = survey.training_folds(responses)
    alike = [equivalence_pvalues(t.matrix(), t.y, form="pooled") <= 0.05 for t in folds]
    assert table.loc[0, "pooled"] == pytest.approx(np.mean(alike))
    found = influence.summary(0.5, first, table.reset_index())
    assert (found["no_difference"], found["without_one"]) == (0.5, table.loc[1, "no_difference"])
    assert found["others_least"] == first["all"][1]
    assert found["without_three"] is None  # two were left out


def test_leaving_out_ends_where_too_few_clips_are_left(make_responses):
    tables = influence.leave_out_in_turn(make_responses(per_class=5, folds=2), 0.05, 50)
    assert 0 < len(tables) < 50


def test_variance_shares_add_up(responses):
    shares = influence.variance_shares(responses["relu7"])
    np.testing.assert_allclose(shares.sum(axis=0)[:29], 1)
    assert (shares[:, 29] == 0).all()
    wild = int(np.flatnonzero(responses["relu7"][:, 28])[0])
    n = len(responses)
    assert shares[wild, 28] == pytest.approx(1 - 1 / n)  # one clip is 1, the others are 0
    carried = influence.carried_variance(responses)
    assert len(carried) == 2 * n
    np.testing.assert_allclose(carried.groupby("tap")["share"].sum(), 1)
    largest = carried.loc[carried["share"].idxmax()]
    assert (largest["tap"], largest["clip"]) == ("relu7", responses.table["clip"][wild])


def test_dominance(responses):
    table = influence.dominance_table(responses).set_index("tap")
    wild = int(np.flatnonzero(responses["relu7"][:, 28])[0])
    assert table.loc["relu7", "clip"] == responses.table["clip"][wild]
    assert table.loc["relu7", "dominated"] == 26
    x = responses["relu7"].astype(float)
    pca = PCA(svd_solver="full").fit(x)
    scores = pca.transform(x)[:, 0] ** 2
    assert table.loc["relu7", "component"] == pytest.approx(pca.explained_variance_ratio_[0])
    assert table.loc["relu7", "of_component"] == pytest.approx(scores[wild] / scores.sum())
    assert table.loc["relu7", "distance"] == pytest.approx(np.sqrt(len(x) - 1), rel=0.01)
    assert table.loc["relu6", "dominated"] == 0


def test_dominating_clips(responses):
    table = influence.dominating_clips(responses, "relu7", np.array([3, 28, 29, 26]))
    assert set(table["map"]) == {3, 28, 26}
    assert set(table["recording"][:2]) == {wild_recording(responses)}
    assert (np.diff(table["share"]) <= 0).all()
    assert table["share"][0] > 0.9 > 0.5 > table["share"][2]
    one = influence.carried_by_one(table)
    assert (one["clip"], one["recording"]) == (table["clip"][0], wild_recording(responses))
    assert one["dominated"] == 2
    assert (one["share_least"], one["share_most"]) == (table["share"][1], table["share"][0])
    nothing = influence.carried_by_one(influence.dominating_clips(responses, "relu7", np.array([29])))
    assert nothing["dominated"] == 0
    assert nothing["clip"] is None


def test_kept_overlap(responses):
    name = wild_recording(responses)
    overlap = influence.kept_overlap(responses, {"one": [name], "none": []}, 0.2)
    assert (overlap["none"] == 1).all()
    overlap = overlap["one"]
    assert overlap["relu6"] > 0.3
    pairs = [
        (
            select(training, "anova", keep=0.2),
            select(influence.leave_out(training, [name]), "anova", keep=0.2),
        )
        for training in survey.training_folds(responses)
    ]
    masks = [(a.masks["relu7"], b.masks["relu7"]) for a, b in pairs]
    expected = np.mean([(a & b).sum() / (a | b).sum() for a, b in masks])
    assert overlap["relu7"] == pytest.approx(expected)


def test_differences_without_each_recording():
    rng = np.random.default_rng(0)
    first, second = rng.random(40) < 0.8, rng.random(40) < 0.7
    recordings = np.repeat(np.arange(16), [1] * 8 + [4] * 8)
    table = influence.difference_without_each(first, second, recordings)
    assert (np.diff(table["change"]) >= 0).all()
    for row in table.itertuples():
        left = recordings != row.recording
        expected = paired_difference(first[left], second[left], recordings[left]).estimate
        assert row.change == pytest.approx(expected)
        assert row.clips == (~left).sum()
