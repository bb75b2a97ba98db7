from functools import partial

import pytest

from dha_utils.evaluation import cross_validate_many
from dha_utils.inference import paired_difference
from dha_utils.selection import select
from dha_utils.tables import accuracy_table, comparison_table


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
