import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from dha_utils.core.errors import ParameterError
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.evaluation.inference import paired_difference
from dha_utils.evaluation.packing import pack_run, unpack_correct
from dha_utils.findings.accuracy import results_table
from dha_utils.findings.smaller import (
    LEAST_DRAWS,
    compensation_table,
    equal_table,
    frontier_table,
    gains,
    layer_widths,
    operating_point,
    random_accuracy,
    random_table,
    simultaneous_changes,
    smallest_table,
    smallest_within,
    timed,
    tuned_table,
    widths_table,
)
from dha_utils.pruning.compressor import MARK, PSNET_SIZE, Trial, parse_size
from dha_utils.studies import trials as studies
from dha_utils.studies.trials import (
    CLAIM,
    FEW,
    SMALL,
    bundled_trials,
    claimed,
    compensation_trials,
    equal_trials,
    frontier_trials,
    paper_trials,
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
    assert len(trials) == len(set(trials)) == 5 * 8 + 4 + 3 * 10 + 5 * FEW
    assert sum(t.criterion == "random" for t in frontier_trials(3)) == 3 * 6
    assert len(set(paper_trials())) == 6
    # What the claim is asked of is among what is computed.
    assert {trial for _, trial in CLAIM.values()} <= {*compensation_trials(0), *paper_trials()}
    # Random maps stand in the numbers of maps of what they are compared with.
    assert {t.widths for t in widths_trials(5) if t.criterion == "random"} == {"anova", "own"}
    assert [t.epochs for t in tuned_trials(5)] == [0, 5] * 3


def test_table_of_trials(make_responses):
    responses = make_responses({"relu6": 12, "relu7": 20})
    full = cross_validate(responses)
    cost = {"macs": 0.5, "parameters": 0.2}
    results = [asdict(Trial("l1", SMALL)) | pack_run(full) | cost]
    table = results_table(results, full, fusion="all")
    assert table.loc[0, ["change", "low", "high"]].tolist() == [0, 0, 0]
    assert table.loc[0, "accuracy"] == full.accuracy()


def result(criterion, right, seed=0, maps=((1, 2), (1, 2)), **more):
    """A result of a trial in which the clips `right` are classified correctly."""
    said = {"criterion": criterion, "size": "0.5", "compensation": "refitted", "seed": seed, "epochs": 0}
    said |= {"widths": "own", "layer_maps": [list(fold) for fold in maps], "clips": len(right)}
    return said | {"correct": {"all": np.packbits(right).tobytes().hex()}} | more


def test_random_table_compares_with_random_maps_of_the_same_numbers():
    rng = np.random.default_rng(0)
    recordings = np.arange(100) // 2
    draws = [result("random", rng.random(100) < 0.7, seed) for seed in range(LEAST_DRAWS)]
    other = [result("random", np.zeros(100, bool), seed, maps=((9, 9), (9, 9))) for seed in range(20)]
    better = result("anova", np.arange(100) < 95)
    alike = result("l1", rng.random(100) < 0.7)
    few = result("anova", np.ones(100, bool), maps=((3, 3), (3, 3)))
    tuned = result("anova", np.ones(100, bool), epochs=5)
    table = random_table([*draws, *other, better, alike, few, tuned], recordings).set_index("criterion")
    assert table.index.tolist() == ["anova", "l1"]
    mean = np.mean([unpack_correct(draw, "all").mean() for draw in draws])
    assert table.loc["anova", "difference"] == pytest.approx(0.95 - mean)
    assert table["outcome"].tolist() == ["better", "undecided"]
    assert (table["all_high"] - table["all_low"] >= table["high"] - table["low"] - 0.02).all()
    assert random_table([*draws[1:], better], recordings).empty


def test_simultaneous_changes_are_wider_than_single_ones(make_responses):
    full = cross_validate(make_responses({"relu6": 12, "relu7": 20}))
    rng = np.random.default_rng(1)
    results = [
        {
            "correct": {"all": np.packbits(rng.random(len(full.y)) < 0.8).tobytes().hex()},
            "clips": len(full.y),
        }
        for _ in range(8)
    ]
    together = simultaneous_changes(results, full, "all")
    for change, one in zip(together, results, strict=True):
        alone = paired_difference(full.correct(), unpack_correct(one, "all"), full.recordings)
        assert change.estimate == pytest.approx(alone.estimate)
        assert change.high - change.low > alone.high - alone.low


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


def test_widths_table_shows_explained_variance_in_both_columns():
    rows = [("explained_variance", SMALL, "refitted", 0, 0, 0.3, 0.9, 0.0, "own")]
    rows += [("l1", SMALL, "refitted", 0, 0, 0.3, 0.7, 0.0, "own")]
    rows += [("l1", SMALL, "refitted", 0, 0, 0.3, 0.8, 0.0, "explained_variance")]
    rows += [("random", SMALL, "refitted", s, 0, 0.3, 0.5 + 0.1 * s, 0.0, "anova") for s in (0, 1)]
    rows += [("l1", SMALL, "removed", 0, 0, 0.3, 0.1, 0.0, "own")]
    columns = ["criterion", "size", "compensation", "seed", "epochs", "macs", "accuracy", "change", "widths"]
    table = widths_table(pd.DataFrame(rows, columns=columns), SMALL)
    assert table.loc["explained_variance", ["own", "explained_variance"]].tolist() == [0.9, 0.9]
    assert table.loc["l1", ["own", "explained_variance"]].tolist() == [0.7, 0.8]
    assert table.loc["random", "anova"] == pytest.approx(0.55)
    assert np.isnan(table.loc["random", "own"])


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
    table["all_low"] = table["change"] - 0.015
    assert smallest_within(table, 0.03, "all_low")["macs"] == 0.5
    assert smallest_within(table, 0.001, "all_low") is None


def test_a_comparison_with_too_few_random_draws_is_an_empty_table():
    table = random_table([], np.arange(4))
    assert len(table) == 0
    assert {"size", "difference", "outcome"} <= set(table)


def test_a_frontier_has_intervals_that_hold_together_and_a_smallest_network(make_responses):
    full = cross_validate(make_responses({"relu6": 12, "relu7": 20}))
    right = full.correct()
    said = [
        result(criterion, right ^ (np.arange(len(right)) < wrong), accuracy={"all": 0.0}, macs=macs, parameters=macs)
        | {"size": size}
        for criterion, size, wrong, macs in (
            ("random", "0.3", 9, 0.3), ("explained_variance", "0.5", 1, 0.5), ("explained_variance", "0.3", 9, 0.3),
        )
    ]  # fmt: skip
    alone = results_table(said, full)
    table = frontier_table(alone, said, full)
    assert table.loc[0].equals(alone.loc[0])
    assert (table["high"] - table["low"])[1:].ge((alone["high"] - alone["low"])[1:]).all()
    smallest = smallest_table(table[1:], full.accuracy(), margins=(3, 50)).set_index(["margin", "by"])
    assert smallest.loc[("50", "shown"), "macs"] == 0.3
    assert smallest.loc[("3", "estimate"), "macs"] == 0.5
    assert operating_point(table)["size"] == "0.3"
    assert smallest_table(table[2:], 1.0, margins=(1,))["criterion"].tolist() == ["full network"] * 2


def test_gains_leave_random_maps_out():
    table = pd.DataFrame(
        {"removed": [0.5, 0.6, 0.1], "refitted": [0.9, 0.8, 0.9]}, index=["anova", "l1", "random"]
    )
    found = gains(table)
    assert found["refitted"] == {"low": pytest.approx(0.2), "high": pytest.approx(0.4)}
    assert found["choice"] == pytest.approx(0.1)


def test_gains_where_few_compensations_were_tried():
    table = pd.DataFrame({"refitted": [0.9, 0.8]}, index=["anova", "l1"])
    assert gains(table) == {"choice": pytest.approx(0.1)}
    rows = [("l1", SMALL, "refitted", 0, 0, 0.3, 0.9, 0.0), ("anova", SMALL, "removed", 0, 0, 0.3, 0.5, 0.0)]
    assert list(compensation_table(trials(rows), SMALL)) == ["removed", "refitted"]
    assert random_accuracy(trials(rows), SMALL) is None


def test_ways_to_choose_filters_at_equal_cost():
    rng = np.random.default_rng(0)
    recordings = np.arange(100)

    def of(criterion, size, right, seed=0):
        named = result(criterion, right, seed) | {"size": size}
        return named | {"accuracy": {"all": right.mean()}}

    results = [of("anova", "0.6", np.arange(100) < 95), of("anova", SMALL, np.arange(100) < 90)]
    results += [of("l1", "0.6", np.arange(100) < 80), of("l1", SMALL, np.arange(100) < 92)]
    results += [of("random", SMALL, rng.random(100) < 0.5, seed) for seed in range(20)]
    results += [of("random", "0.6", np.arange(100) < 60 + seed, seed) for seed in range(2)]
    for size in ("0.6", SMALL):
        results.append(of("explained_variance", size, np.ones(100, bool)) | {"compensation": MARK})
    table = equal_table(results, recordings)
    assert table["criterion"].tolist() == ["l1", "anova", MARK, "random"]
    assert table["needs"].tolist() == ["nothing", "labels", "data", "nothing"]
    assert list(table.columns[2:4]) == ["60 %", "35 %"]
    assert table["60 %"].tolist() == pytest.approx([0.8, 0.95, 1, 0.605])
    assert table["outcome"].tolist()[:2] == ["better", "better"]
    np.testing.assert_allclose(table["difference"][0], 0.92 - table["35 %"][3])
    assert table.loc[2:, ["difference", "outcome"]].isna().all(axis=None)
    assert equal_table([], recordings).empty


def test_trials_at_equal_cost_have_the_widths_of_explained_variance():
    asked = equal_trials(20)
    assert len(asked) == len(set(asked)) == 3 * (10 + 1) + 20 + 2 * FEW
    assert {t.widths for t in asked if t.criterion == "explained_variance"} == {"own"}
    assert {t.widths for t in asked if t.criterion != "explained_variance"} == {"explained_variance"}


def test_tables_of_times_and_of_fine_tuning():
    table = pd.DataFrame(
        {"criterion": ["explained_variance", "anova", "random"], "size": ["0.5", "0.5", "0.4"]}
    )
    timed_rows = timed(table, pd.DataFrame({"size": ["0.5"], "time": [0.6]}))
    assert timed_rows.to_dict("records") == [{"criterion": "explained_variance", "size": "0.5", "time": 0.6}]
    tuned = tuned_table(pd.DataFrame({"criterion": ["psnet"], "size": [PSNET_SIZE], "epochs": [5]}))
    assert tuned.loc[0, ["size", "name"]].tolist() == ["p-Snet's", "psnet, 5 epochs"]


def test_those_of_the_claim_are_few():
    asked = [trial for _, trial in CLAIM.values()]
    assert claimed([*compensation_trials(20), *paper_trials()]) == [
        trial for trial in [*compensation_trials(20), *paper_trials()] if trial in asked
    ]
    assert set(claimed([*compensation_trials(20), *paper_trials()])) == set(asked)


def test_those_that_are_bundled_are_read_whatever_sounds_they_were_made_of(
    make_responses, tmp_path, monkeypatch
):
    asked = [replace(trial, classifier="least_squares") for trial in paper_trials()]
    responses = make_responses()
    monkeypatch.setattr(studies, "committed_file", lambda kind, responses: tmp_path / f"{kind}.jsonl")
    assert bundled_trials(asked, responses) == []
    lines = [{"kind": "of other sounds"}, *(asdict(trial) | {"accuracy": 1} for trial in asked[3:1:-1])]
    (tmp_path / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert bundled_trials(asked, responses) == asked[2:4]
    assert bundled_trials(paper_trials(), responses) == []  # with another classifier


def test_layer_widths_are_those_of_the_first_fold():
    maps = [list(range(1, 8)), [9] * 7]
    results = [result(name, np.ones(8, bool), maps=maps) for name in ("l1", "anova", "random")]
    table = layer_widths(results, ["anova", "l1"])
    assert table.columns.tolist() == ["criterion", "size", *(f"conv{layer}" for layer in range(1, 8))]
    assert table.values.tolist() == [["anova", "0.5", *maps[0]], ["l1", "0.5", *maps[0]]]
    alone = result("anova", np.ones(8, bool), maps=maps, size="0.2")
    assert layer_widths([*results, alone], ["anova", "l1"])["size"].tolist() == [
        "0.5",
        "0.5",
    ]  # l1 has no other
