"""What the page `explore` looks up, on records whose answer is known, and on what is bundled."""

import json

import numpy as np
import pandas as pd
import pytest

from dha_utils.book.fractions import CLASSIFIERS, bundled_fractions, clustered_interval, fractions_content
from dha_utils.book.parameters import BOOK
from dha_utils.core.paths import repository
from dha_utils.evaluation.inference import cluster_bootstrap
from dha_utils.responses.table import Responses

Y = np.repeat([0, 1], 4)


@pytest.fixture
def tested():
    names = [f"clip{number}" for number in range(8)]
    table = pd.DataFrame({"clip": names, "label": np.array(["dog", "rain"])[Y], "fold": [1, 2] * 4})
    table["recording"] = names
    return Responses({"pool1": np.zeros((8, 2), np.float32)}, table, {})


def record(criterion, keep, right, seed=0, control="", classifier="converging"):
    packed = np.packbits(np.array(right, bool)).tobytes().hex()
    return {
        "criterion": criterion, "keep": keep, "seed": seed, "control": control, "classifier": classifier,
        "accuracy": {"all": float(np.mean(right))}, "correct": {"all": packed}, "clips": 8,
    }  # fmt: skip


RECORDS = [
    record("anova", 1.0, [1, 1, 1, 1, 1, 1, 0, 0]),
    record("anova", 0.11, [1, 1, 1, 1, 1, 0, 0, 1]),
    record("anova", 0.02, [0, 0, 1, 1, 1, 0, 0, 0]),
    record("l1", 0.11, [1, 1, 1, 1, 0, 0, 0, 0]),
    record("random", 0.11, [1, 1, 1, 1, 1, 1, 0, 0]),
    record("random", 0.11, [1, 0, 1, 1, 0, 0, 0, 0], seed=1),
    record("anova", 0.11, [0] * 8, control="shuffled"),
    record("anova", 1.0, [1] * 8, classifier="released"),
]


def test_criteria_are_compared_with_all_maps_and_with_draws(tested):
    content = fractions_content("Eight", tested, RECORDS)
    assert (content["title"], content["classes"], content["y"]) == ("Eight", ["dog", "rain"], Y.tolist())
    (run,) = content["runs"]  # the released machines are known with all maps only
    assert run["classifier"] == CLASSIFIERS["converging"]
    assert run["full"] == "fc"
    anova, l1 = run["criteria"]
    assert (anova["name"], l1["name"]) == ("anova", "l1")
    assert list(anova["at"]) == ["0.02", "0.11"]
    assert anova["at"]["0.11"]["right"] == "f9"
    assert anova["at"]["0.11"]["change"] == 0
    assert anova["at"]["0.02"]["change"] == -3 / 8
    assert run["random"] == {
        "0.11": {"draws": 2, "lowest": 3 / 8, "highest": 6 / 8, "right": [2, 1, 2, 2, 1, 1, 0, 0]}
    }


def test_intervals_are_those_of_the_bootstrap_over_recordings():
    rng = np.random.default_rng(0)
    recordings = np.repeat(np.arange(150), 2).astype(str)
    values = np.repeat(rng.integers(-1, 2, 150), 2)  # the clips of a recording say the same
    drawn, formula = cluster_bootstrap(values, recordings), clustered_interval(values, recordings)
    assert formula.estimate == drawn.estimate == values.mean()
    assert formula.low == pytest.approx(drawn.low, abs=0.01)
    assert formula.high == pytest.approx(drawn.high, abs=0.01)


@pytest.mark.parametrize("dataset", BOOK)
def test_what_is_bundled_can_be_explored(dataset):
    content = bundled_fractions(dataset)
    for run in content["runs"]:
        assert run["criteria"][0]["name"] == "anova"
        for random in run["random"].values():
            assert len(random["right"]) == len(content["clips"])
    assert max(len(run["criteria"]) for run in content["runs"]) > 20


@pytest.mark.parametrize("dataset", BOOK)
def test_there_are_as_many_draws_as_on_the_pages(dataset):
    curves = json.loads((repository() / "results" / "reference" / dataset / "curves.json").read_text("utf-8"))
    for run in bundled_fractions(dataset)["runs"]:
        if run["classifier"] == CLASSIFIERS["converging"]:
            told = {f"{row['keep']:g}": row["draws"] for row in curves["random"].values()}
            assert {keep: drawn["draws"] for keep, drawn in run["random"].items()} == told
