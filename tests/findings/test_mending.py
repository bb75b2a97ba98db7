import numpy as np
import pandas as pd
import pytest

from dha_utils.criteria.released import MENDED, METHODS
from dha_utils.findings.mending import classifier_record, mending_gains, own_rule_range, released_costs

RECORDINGS = np.arange(40) // 2


def cell(criterion, correct, keep=0.11, **more):
    accuracy = {"relu6": 0.5, "relu7": 0.75, "all": float(np.mean(correct))}
    packed = np.packbits(correct).tobytes().hex()
    return {
        "criterion": criterion, "keep": keep, "accuracy": accuracy, "correct": {"all": packed}, "clips": len(correct)
    } | more  # fmt: skip


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    names = [f"{method}_{variant}" for method in METHODS for variant in MENDED]
    return [cell("anova", rng.random(40) < 0.9, keep=1.0)] + [cell(n, rng.random(40) < 0.8) for n in names]


def right(results, name):
    (result,) = (r for r in results if r["criterion"] == name)
    return np.unpackbits(np.frombuffer(bytes.fromhex(result["correct"]["all"]), np.uint8), count=40)


def test_range_of_the_own_rules():
    own = pd.DataFrame(
        {"method": ["a", "b", "c"], "released": [0.30, 0.14, 0.08], "corrected": [0.2, 0.4, 0.3]}
    )
    found = own_rule_range(own, 0.12)
    assert found["released"] == {
        "nearest": "b", "kept": 0.14, "least": 0.08, "most": 0.30, "least_ignored": 0.70, "most_ignored": 0.92,
        "inside": "inside",
    }  # fmt: skip
    assert (found["corrected"]["nearest"], found["corrected"]["inside"]) == ("a", "outside")


def test_costs_and_gains_are_differences_of_accuracies(results):
    costs = released_costs(results, RECORDINGS, "all").set_index("criterion")
    assert list(costs.index) == [f"{method}_{variant}" for method in METHODS for variant in MENDED]
    for name, row in costs.iterrows():
        assert row["accuracy"] == right(results, name).mean()
        assert row["change"] == pytest.approx(row["accuracy"] - right(results, "anova").mean())
        assert row["low"] <= row["change"] <= row["high"]
    gains = mending_gains(results, RECORDINGS, "all").set_index("method")
    for method in METHODS:
        corrected, released = (
            costs.loc[f"{method}_{variant}", "accuracy"] for variant in ("corrected", "as_released")
        )
        assert gains.loc[method, "change"] == pytest.approx(corrected - released)


def test_record_of_the_classifiers():
    cells = [
        cell("anova", np.ones(40, bool), 1.0, classifier=name, not_converged=k) for k, name in enumerate("ab")
    ]
    record = classifier_record(cells, {"all": ["relu6", "relu7"]})
    assert record.to_dict(orient="records") == [
        {"classifier": name, "all": 1.0, "best_tap": "relu7", "best": 0.75, "not_converged": k}
        for k, name in enumerate("ab")
    ]
