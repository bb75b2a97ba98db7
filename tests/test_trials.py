import numpy as np
import pandas as pd
import pytest

from dha_utils.errors import ParameterError
from dha_utils.evaluation import cross_validate
from dha_utils.sweeps import describe_cell
from dha_utils.trials import (
    PSNET_SIZE,
    SMALL,
    Trial,
    compensation_table,
    compensation_trials,
    frontier_trials,
    paper_trials,
    parse_size,
    smallest_within,
    trial_table,
    tuned_trials,
    widths_trials,
)


@pytest.mark.parametrize(
    "size", ["0", "1.2", "", "nan", "16-32", "17-32-41-56-88-235-59", "0-1-1-1-1-1-1", "a-b", "-3"]
)
def test_impossible_sizes(size):
    with pytest.raises(ParameterError, match=r"size is .*expected a fraction of the computation"):
        parse_size(size)


def test_psnet_is_a_size():
    assert list(parse_size(PSNET_SIZE).values()) == [16, 32, 41, 56, 88, 235, 59]


def test_lists_of_trials():
    trials = compensation_trials(10)
    assert len(trials) == len(set(trials)) == 5 * 8 + 4 + 3 * 10 + 5 * 3
    assert sum(t.criterion == "random" for t in frontier_trials(3)) == 3 * 12
    assert len(set(paper_trials())) == 6
    # Random maps stand in the numbers of maps of what they are compared with.
    assert {t.widths for t in widths_trials(5) if t.criterion == "random"} == {"anova", "own"}
    assert [t.epochs for t in tuned_trials(5)] == [0, 5] * 3


def test_table_of_trials(make_responses):
    responses = make_responses({"relu6": 12, "relu7": 20})
    full = cross_validate(responses, workers=1)
    cost = {"macs": 0.5, "parameters": 0.2}
    results = [describe_cell(Trial("l1", SMALL), full) | cost]
    table = trial_table(results, full, fusion="2 taps")
    assert table.loc[0, ["change", "low", "high"]].tolist() == [0, 0, 0]
    assert table.loc[0, "accuracy"] == full.accuracy()


def trials(rows):
    columns = ["criterion", "size", "compensation", "seed", "epochs", "macs", "accuracy", "change"]
    return pd.DataFrame(rows, columns=columns)


def test_compensation_table_averages_random_seeds():
    methods = ("removed", "recalibrated", "merged", "refitted")
    rows = [("random", SMALL, m, s, 0, 0.3, 0.5 + 0.1 * s, 0.0) for m in methods for s in (0, 1)]
    rows += [("l1", SMALL, m, 0, 0, 0.3, 0.9, 0.0) for m in methods]
    rows += [("l1", SMALL, "refitted", 0, 5, 0.3, 0.1, 0.0), ("l1", "0.9", "refitted", 0, 0, 0.3, 0.1, 0.0)]
    table = compensation_table(trials(rows), SMALL)
    assert table.index.tolist() == ["l1", "random"]
    np.testing.assert_allclose(table.loc["random"], 0.55)
    np.testing.assert_allclose(table.loc["l1"], 0.9)


def test_smallest_within_leaves_random_maps_out():
    table = trials(
        [
            ("l1", "0.5", "refitted", 0, 0, 0.5, 0.9, -0.01),
            ("l1", "0.2", "refitted", 0, 0, 0.2, 0.8, -0.03),
            ("l1", "0.1", "refitted", 0, 0, 0.1, 0.7, -0.04),
            ("random", "0.1", "refitted", 0, 0, 0.1, 0.9, 0.0),
        ]
    )
    assert smallest_within(table, 0.03)["macs"] == 0.2
