from functools import partial

import numpy as np
import pandas as pd
import pytest

from dha_utils.evaluation import cross_validate_many
from dha_utils.inference import paired_difference
from dha_utils.selection import select
from dha_utils.tables import accuracy_table, comparison_table, curve_summary, design_table, inference_table


@pytest.fixture
def runs(make_responses):
    return cross_validate_many(make_responses(), {"all": None, "few": partial(select, keep=0.1)}, workers=1)


def test_accuracy_table(runs):
    table = accuracy_table(runs).set_index(["series", "tap"])
    assert len(table) == 6
    assert table.loc[("few", "relu7"), "accuracy"] == runs["few"].accuracy(["relu7"])
    assert (table["low"] < table["accuracy"]).all()


def test_comparison_table(runs):
    table = comparison_table(runs["all"], runs).set_index("selection")
    assert table.loc["all", ["ignored", "change_2", "low_2", "high_2"]].tolist() == [0, 0, 0, 0]
    expected = paired_difference(runs["all"].correct(), runs["few"].correct(), runs["all"].recordings)
    assert table.loc["few", ["change_2", "low_2", "high_2"]].tolist() == list(expected)
    assert table.loc["few", "accuracy_2"] == runs["few"].accuracy()
    assert table.loc["few", "ignored"] == runs["few"].ignored


def test_inference_table():
    rng = np.random.default_rng(0)
    first = rng.random(1000) < 0.9
    second = first & (rng.random(1000) < 0.99)
    table = inference_table(first, second, np.arange(1000) % 5, np.arange(1000), 0.03)
    points = 100 * (second.mean() - first.mean())
    assert table["value"].dropna().tolist() == pytest.approx([points, points])
    assert (table["low"].dropna() < points).all()
    assert table["question"][2] == f"McNemar: {(first & ~second).sum()} clips lost, 0 won"
    assert table["p"][3] < table["p"][4] < 0.025  # three per cent of the accuracy are less than three points


def test_design_table():
    recordings = np.repeat(np.arange(200), 2)
    first = np.repeat(np.arange(200) % 4 > 0, 2)
    second = first ^ (np.arange(400) % 40 == 0)
    by_recording = first ^ (recordings % 20 == 0)
    table = design_table(first, second, [second, by_recording, by_recording], recordings)
    assert table["effect"][0] == pytest.approx(2)
    assert table["worth"][0] == pytest.approx(200)
    assert table["effect"][2] < 1.1
    assert table["effect"].tolist()[3:] == pytest.approx([2, 2])


def test_curve_summary():
    rows = [("anova", 0.1, 0.8), ("l1", 0.1, 0.5), ("random", 0.1, 0.6), ("random", 0.1, 0.7)]
    rows += [("anova", 0.5, 0.9), ("l1", 0.5, 0.9), ("random", 0.5, 0.9), ("random", 0.5, 0.8)]
    first, second = curve_summary(pd.DataFrame(rows, columns=["criterion", "keep", "accuracy"])).to_dict(
        "records"
    )
    assert first["random_mean"] == pytest.approx(0.65)
    assert (first["anova"], first["low"], first["high"]) == (0.8, 0.6, 0.7)
    assert (first["criteria"], first["above"], first["below"]) == (2, 1, 1)
    assert (second["keep"], second["above"], second["below"]) == (0.5, 0, 0)
