from functools import partial

import numpy as np
import pytest

from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import cross_validate_many
from dha_utils.evaluation.inference import paired_difference
from dha_utils.evaluation.packing import pack_run
from dha_utils.findings.accuracy import (
    accuracy_table,
    comparison_table,
    cost_table,
    describe_predictions,
    describe_run,
    gain_table,
)


@pytest.fixture
def runs(make_responses):
    return cross_validate_many(make_responses(), {"all": None, "few": partial(select, keep=0.1)})


def test_accuracy_table(runs):
    table = accuracy_table(runs).set_index(["series", "tap"])
    assert len(table) == 6
    assert table.loc[("few", "relu7"), "accuracy"] == runs["few"].accuracy(["relu7"])
    assert (table["low"] < table["accuracy"]).all()


def test_comparison_table(runs):
    table = comparison_table(runs["all"], runs).set_index("selection")
    assert table.loc["all", ["ignored", "change_all", "low_all", "high_all"]].tolist() == [0, 0, 0, 0]
    expected = paired_difference(runs["all"].correct(), runs["few"].correct(), runs["all"].recordings)
    assert table.loc["few", ["change_all", "low_all", "high_all"]].tolist() == list(expected)
    assert table.loc["few", "accuracy_all"] == runs["few"].accuracy()
    assert table.loc["few", "ignored"] == runs["few"].ignored


def test_cost_and_gain(runs):
    full, few = runs["all"], runs["few"]
    change = paired_difference(full.correct(), few.correct(), full.recordings)
    cells = [{"keep": 0.5} | pack_run(few), {"keep": 1.0} | pack_run(full)]
    (numbers,) = cost_table({"converging": cells}, full.recordings).to_dict("records")
    assert (numbers["estimate"], numbers["low"]) == (change.estimate, change.low)
    assert numbers["relative_low"] == change.low / full.accuracy()
    assert numbers["classifier"] == "converging"
    assert numbers["accuracy"] == few.accuracy()
    chosen = dict.fromkeys(np.unique(full.folds), "relu7")
    gains = gain_table(full, chosen)
    assert gains["tap"].tolist() == [f"best of the table ({full.best_tap})", "chosen on the other folds"]
    assert gains["single"].tolist() == [full.accuracy([full.best_tap]), full.accuracy(["relu7"])]
    assert gains["change"][1] == pytest.approx(full.accuracy() - full.accuracy(["relu7"]))
    assert gain_table(full, {}).equals(gains[:1])


def test_what_a_results_file_says_of_a_run(make_responses, runs):
    numbers = describe_run(runs["all"])
    assert (
        numbers["taps"][numbers["best_tap"]] == numbers["best"]["accuracy"] == max(numbers["taps"].values())
    )
    assert np.mean(numbers["all"]["folds"]) == pytest.approx(numbers["all"]["accuracy"])
    predicted = describe_predictions(make_responses(), {22050: runs["all"]}, runs)
    right = np.array(predicted["full"][22050]) == predicted["true"]
    assert right.mean() == runs["all"].accuracy()
    assert predicted["ignoring"]["all"].tolist() == predicted["full"][22050].tolist()
