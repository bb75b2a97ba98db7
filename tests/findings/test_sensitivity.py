import numpy as np
import pytest
from miniatures import made_up_specifications

from dha_utils.evaluation.inference import paired_difference, paired_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.sensitivity import by_choice, specification_table, summarise

CELLS = made_up_specifications()
TABLE = specification_table({22_050: CELLS}, np.arange(60))


def test_a_row_for_every_way_to_ask():
    cost, selection = (TABLE[TABLE["claim"] == claim] for claim in ("cost", "selection"))
    assert len(cost) == 2 * 2 * 2 * 2
    assert len(selection) == 2 * 2 * 2  # no draws of the other classifier
    assert {*selection["classifier"]} == {"logistic"}
    assert cost["estimate"].is_monotonic_increasing


def test_estimates_and_outcomes_are_those_of_the_protocol():
    one = TABLE.set_index(["claim", "pooling", "classifier", "taps", "statistic"]).sort_index()
    full, kept = np.arange(60) < 57, np.arange(60) < 40
    row = one.loc["cost", "max", "converging", "released", "unit"]
    assert tuple(row[["estimate", "low", "high"]]) == paired_difference(full, kept, np.arange(60))
    assert row["outcome"] == "does not hold"
    draws = [
        unpack_correct(c)
        for c in CELLS
        if (c["pooling"], c["classifier"], c["maps"]) == ("mean", "logistic", "random")
    ]
    row = one.loc["selection", "mean", "logistic", "all", "unit"]
    assert tuple(row[["estimate", "low", "high"]]) == paired_random(kept, np.stack(draws), np.arange(60))
    assert (row["outcome"], row["draws"]) == ("worse", 4)
    assert one.loc["selection", "mean", "logistic", "all", "raw"]["outcome"] == "better"


def test_summary():
    summary = summarise(TABLE, "cost")
    assert summary["specifications"] == sum(summary["outcomes"].values()) == 16
    assert summary["least"] == pytest.approx(-17 / 60)
    assert summary["most"] == summary["primary"]["estimate"] == pytest.approx(-1 / 60)
    assert summarise(TABLE, "selection")["primary"] is None


def test_by_choice_averages_over_the_others():
    rows = by_choice(TABLE, "cost").set_index("option")
    assert "22 050 Hz" not in rows.index
    assert rows.loc["as they are", "estimate"] == pytest.approx(-1 / 60)
    assert rows.loc["unit length", "does not hold"] == 8
    assert rows.loc["mean", "estimate"] == pytest.approx(-9 / 60)


def test_no_results_are_no_error():
    empty = specification_table({22_050: []}, np.arange(60))
    assert summarise(empty, "cost") == {}
    assert len(by_choice(empty, "cost")) == 0
