from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import cross_validate_many
from dha_utils.evaluation.inference import paired_difference, paired_random
from dha_utils.findings.tables import (
    accuracy_table,
    by_fraction,
    comparison_table,
    control_table,
    cost,
    count_outcomes,
    criteria_table,
    describe_draws,
    describe_predictions,
    describe_run,
    design_table,
    gain_table,
    inference_table,
    lead_table,
    random_table,
    rounding_table,
)
from dha_utils.studies.sweeps import unpack_correct


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


def test_inference_table():
    rng = np.random.default_rng(0)
    first = rng.random(1000) < 0.9
    second = first & (rng.random(1000) < 0.983)
    full = SimpleNamespace(correct=lambda: first, folds=np.arange(1000) % 5, recordings=np.arange(1000))
    table = inference_table(full, second, 0.03)
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


def made_up_cells(n_clips=60, draws=30):
    """Return cells at two fractions: a criterion that is right where random maps are not, and one that is as good as they are."""
    rng = np.random.default_rng(0)
    cells = []
    for keep, lead in ((0.1, 20), (0.5, 0)):
        random = rng.random((draws, n_clips)) < 0.6
        names = {"anova": np.arange(n_clips) < 36 + lead, "l1": random[0]}
        for criterion, seed, correct in (
            *((name, 0, correct) for name, correct in names.items()),
            *(("random", seed, correct) for seed, correct in enumerate(random)),
        ):
            cells.append(
                {
                    "criterion": criterion,
                    "keep": keep,
                    "seed": seed,
                    "control": "",
                    "classifier": "converging",
                }
                | {"not_converged": 0, "accuracy": {"all": float(correct.mean())}}
                | {"correct": {"all": np.packbits(correct).tobytes().hex()}, "clips": n_clips}
            )
    return cells


def test_random_table():
    cells = made_up_cells()
    table = random_table(cells, np.arange(60), "all").set_index("keep")
    draws = np.array(
        [unpack_correct(c, "all") for c in cells if c["criterion"] == "random" and c["keep"] == 0.1]
    )
    expected = paired_random(np.arange(60) < 56, draws, np.arange(60))
    assert table.loc[0.1, ["difference", "low", "high"]].tolist() == list(expected)
    assert table.loc[0.1, "random"] == pytest.approx(draws.mean())
    assert (table.loc[0.1, "draws"], table.loc[0.1, "as_good"]) == (30, 1 / 31)
    assert table["outcome"].tolist() == ["better", "undecided"]
    assert list(by_fraction(table.reset_index()).index) == ["10", "50"]


def test_criteria_table_and_its_counts():
    cells = [cell for cell in made_up_cells() if cell["keep"] == 0.1]
    table = criteria_table(cells, np.arange(60), "all")
    assert table["criterion"].tolist() == ["anova", "l1"]
    assert table["outcome"].tolist() == ["better", "undecided"]
    counts = count_outcomes(table)
    assert (counts["criteria"], counts["better"], counts["worse"], counts["undecided"]) == (2, 1, 0, 1)
    assert (counts["alone_better"], counts["alone_worse"]) == (1, 0)
    assert counts["holm_better"] == 0  # 2 times 1/31 is more than one in twenty


def test_rounding_table():
    cells = [
        cell | {"seed": seed, "control": control, "accuracy": {"all": accuracy}, "not_converged": stopped}
        for cell in made_up_cells()[:1]
        for seed, control, accuracy, stopped in (
            (0, "", 0.9, 0),
            (0, "perturbed", 0.88, 3),
            (1, "perturbed", 0.91, 5),
        )
    ]
    (row,) = rounding_table(cells, "all").to_dict("records")
    assert (row["accuracy"], row["lowest"], row["highest"], row["stopped"]) == (0.9, 0.88, 0.91, 4)


def test_cost_and_gain(runs):
    full, few = runs["all"], runs["few"]
    change = paired_difference(full.correct(), few.correct(), full.recordings)
    numbers = cost(full, few)
    assert (numbers["estimate"], numbers["low"]) == (change.estimate, change.low)
    assert numbers["relative_low"] == change.low / full.accuracy()
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


def test_the_spread_of_random_selections():
    random = [
        cell for cell in made_up_cells(draws=40) if (cell["criterion"], cell["keep"]) == ("random", 0.1)
    ]
    spread = describe_draws(random)
    assert spread["seeds"] == 40
    assert spread["low"] < spread["mean"] < spread["high"]
    assert spread["high"] - spread["low"] == pytest.approx(4 * spread["std"], rel=0.2)


def test_control_table():
    cells = made_up_cells()[:3]
    table = control_table({"a": cells[:1], "b": cells[1:]}, "all").set_index("control")
    assert table.loc["b", "runs"] == 2
    assert table.loc["a", "mean"] == pytest.approx(56 / 60)
    ahead = lead_table({"a": cells[:1], "b": cells[1:]}, np.arange(60))
    assert np.isnan(ahead.loc[0, "difference"])
    assert ahead.loc[1, "difference"] == pytest.approx(56 / 60 - ahead.loc[1, "mean"])
