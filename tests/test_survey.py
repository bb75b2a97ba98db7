import numpy as np
import pytest
from scipy import stats

from dha_utils import survey
from dha_utils.selection import select


@pytest.fixture
def responses(make_responses):
    responses = make_responses({"relu6": 30, "relu7": 50}, n_good=10, per_class=25)
    responses.arrays["relu7"][:, -1] = 2.0
    return responses


def test_significance(responses):
    table = survey.significance_table(responses, 0.05).set_index("test")
    assert list(table.index) == list(survey.TESTS)
    for test in ("anova", "welch", "kruskal"):
        assert table.loc[test, "bh"] == pytest.approx(20 / 80, abs=0.05)
        assert table.loc[test, "by"] <= table.loc[test, "bh"]
    assert table["undefined"].tolist() == [1 / 80] * 5
    assert table.loc["permutation_f", "holm"] == 0


def test_calibration(responses):
    table = survey.calibration_table(responses, seeds=4).set_index(["test", "shuffled"])["false_alarms"]
    assert len(table) == 10
    assert table.between(0.0, 0.2).all()


def test_shuffles(make_responses):
    responses = make_responses(per_class=16)
    labels = np.repeat([f"class{i}" for i in range(4)], 2)[np.arange(64) % 8]
    pure = type(responses)(responses.arrays, responses.table.assign(label=labels), responses.provenance)
    shuffled = survey.shuffle_by_recording(pure, 1)
    assert (shuffled.table["label"] != labels).any()
    assert (shuffled.table.groupby("recording")["label"].nunique() == 1).all()
    assert len(set(survey.shuffle_by_clip(pure, 1).recordings)) == 64


def test_equivalence(make_responses):
    rng = np.random.default_rng(0)
    responses = make_responses({"relu6": 6}, n_good=3, per_class=400)
    alike = responses["relu6"]
    alike[:, 3:] = rng.normal(size=(1600, 3))
    table = survey.equivalence_table(responses, 0.05)
    assert table["raw"].tolist() == [0.5]
    assert table["adjusted"].tolist() == [0.5]


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


def test_first_and_last(responses):
    selection = select(responses, "anova", keep=0.2)
    groups = survey.first_and_last(selection, "relu7", most=4)
    scores = selection.scores["relu7"].score
    assert groups["kept"].shape == groups["ignored"].shape == (4,)
    assert scores[groups["kept"]].tolist() == sorted(scores, reverse=True)[:4]
    assert groups["ignored"][-1] == 49  # the constant map
    assert not selection.masks["relu7"][groups["ignored"]].any()
    assert survey.first_and_last(selection, "relu6", most=99)["kept"].shape == (6,)


def test_peak_class_mean(responses):
    good = survey.peak_class_mean(responses, "relu7", np.arange(10))
    assert good > 1 > 0.4 > survey.peak_class_mean(responses, "relu7", np.arange(10, 49))
    assert survey.peak_class_mean(responses, "relu7", np.array([49])) == 0
