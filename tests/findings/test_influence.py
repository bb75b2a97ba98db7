import numpy as np
import pytest

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import spread
from dha_utils.criteria.multiplicity import adjust
from dha_utils.criteria.selection import select
from dha_utils.evaluation.inference import paired_difference
from dha_utils.findings import differences, influence


def anova(x, y):
    return CRITERIA["anova"].function(x, y, y, None)


def wild_recording(responses):
    return responses.recordings[np.flatnonzero(responses["relu7"][:, 28])[0]]


def test_without_each_is_the_test_made_afresh(dominated):
    x, y, recordings = dominated.matrix(), dominated.y, dominated.recordings
    got = influence.anova_without_each(x, y, recordings)
    assert got.recordings.tolist() == np.unique(recordings).tolist()
    found = zip(got.recordings, got.f, got.pvalues(), got.different(0.05), strict=True)
    for name, f, pvalue, different in found:
        left = recordings != name
        expected = anova(x[left], y[left])
        np.testing.assert_allclose(f, expected.score, rtol=1e-8)
        np.testing.assert_allclose(pvalue, expected.pvalue, rtol=1e-6)
        assert different.tolist() == (adjust(expected.pvalue) <= 0.05).tolist()
    assert not got.different(1e-12)[0].any()
    row = got.f[got.recordings.tolist().index(wild_recording(dominated))]
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
    assert np.isnan(got.pvalues()).all(axis=1).tolist() == [False, False, True, False]
    assert not got.different(0.9)[2].any()


def test_classes_that_differ_without_variance_within_them():
    y = np.repeat([0, 1], 4)
    got = influence.anova_without_each(y[:, None].astype(float), y, np.arange(8))
    assert (got.f == np.inf).all()
    assert (got.pvalues() == 0).all()
    assert got.different(0.05).all()


def test_shares_without_each_recording_are_those_of_a_selection_without_it(dominated):
    table = influence.no_difference_without_each(dominated, 0.05)
    assert table["recording"].tolist()[0] == wild_recording(dominated)
    assert (np.diff(table["all"]) >= 0).all()
    for _, row in table.iloc[[0, 1, -1]].iterrows():
        folds = influence.leave_out(dominated, [row["recording"]]).training_folds()
        tests = [anova(t.matrix(), t.y) for t in folds]
        different = [adjust(test.pvalue) <= 0.05 for test in tests]
        assert row["all"] == pytest.approx(1 - np.mean(different))
        assert row["relu6"] == pytest.approx(1 - np.mean([d[:12] for d in different]))
        assert row["relu7"] == pytest.approx(1 - np.mean([d[12:] for d in different]))
    everything = differences.no_difference_table(dominated, 0.05)["anova"].mean()
    assert table["all"].iloc[0] < everything - 0.15


def test_leaving_out_in_turn(dominated):
    first, second = influence.leave_out_in_turn(dominated, 0.05, 2)
    assert len(second) == len(first) - 1
    assert first["recording"][0] not in set(second["recording"])
    table = influence.without_table(
        dominated, [first["recording"][0], second["recording"][0]], 0.05
    ).set_index("left_out")
    assert table["recording"].tolist() == ["", first["recording"][0], second["recording"][0]]
    assert table.loc[1, "no_difference"] == pytest.approx(first["all"][0])
    assert table.loc[2, "no_difference"] == pytest.approx(second["all"][0])
    assert table.loc[1, "eta2"] > table.loc[0, "eta2"]
    folds = dominated.training_folds()
    alike = [spread(t.matrix(), t.y, "pooled").alike() <= 0.05 for t in folds]
    assert table.loc[0, "pooled"] == pytest.approx(np.mean(alike))
    found = influence.summary(first, table.reset_index())
    assert (found["no_difference"], found["without_one"]) == tuple(table.loc[:1, "no_difference"])
    assert found["others_least"] == first["all"][1]
    assert found["without_three"] is None  # two were left out


def test_leaving_out_ends_where_too_few_clips_are_left(make_responses):
    tables = influence.leave_out_in_turn(make_responses(per_class=5, folds=2), 0.05, 50)
    assert 0 < len(tables) < 50


def test_kept_overlap(dominated):
    name = wild_recording(dominated)
    overlap = influence.kept_overlap(dominated, {"one": [name], "none": []}, 0.2)
    assert (overlap["none"] == 1).all()
    overlap = overlap["one"]
    assert overlap["relu6"] > 0.3
    pairs = [
        (
            select(training, "anova", keep=0.2),
            select(influence.leave_out(training, [name]), "anova", keep=0.2),
        )
        for training in dominated.training_folds()
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
