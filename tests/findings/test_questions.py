import numpy as np
import pytest

from dha_utils.core.paths import repository
from dha_utils.findings.outcomes import BETTER, EQUIVALENT_TO_RANDOM, claim_rows
from dha_utils.findings.questions import QUESTIONS, asked_rows
from dha_utils.findings.random_maps import cost_of_any

NETWORK = "/home/me/my_network.py:build"


def answers(any_low=-0.01, low=0.01, outcome=BETTER):
    """Return the rows of made-up results of a network of one's own."""
    compared = {"accuracy": 0.9, "random": 0.88, "draws": 10, "difference": 0.02, "low": 0.01, "high": 0.03}
    results = {
        "ensemble": {
            "full": 0.9,
            "cost": {"ignored": 0.89, "estimate": 0.0, "low": -0.01, "high": 0.01},
            "any_maps": {"draws": 10, "lowest": 0.85, "change": -0.005, "low": any_low, "high": 0.01},
            "gains": [{"tap": "best", "single": 0.8, "change": 0.02, "low": low, "high": 0.03}],
        },
        "curves": {"random": {"11": {"keep": 0.11, "outcome": outcome, **compared}}},
        "dimension": {
            "maps": 48,
            "taps": {
                "relu1": {"tap": "relu1", "maps": 16, "pc90_rest": 3},
                "relu2": {"tap": "relu2", "maps": 32, "pc90_rest": 5},
            },
        },
        "redundancy": {"ignored_by_alpha": 0.25, "alpha": 0.05},
    }  # fmt: skip
    return claim_rows(asked_rows(results.get, "path/to/sounds", (), NETWORK))


def test_a_network_of_ones_own_is_asked_of_itself_alone():
    rows = answers()
    assert [row["claim"] for row in rows] == list(QUESTIONS)
    on = "on sounds (my_network.py:build)"
    said = ["yes", "yes", "observed", "observed", "yes"]
    assert [row["outcome"] for row in rows] == [f"{word} {on}" for word in said]
    text = " ".join(str(value) for row in rows for value in row.values())
    for of_others in ("SoundNet", "ESC", "DHA", "conv", "paper", "/home"):
        assert of_others not in text
    few, _, redundant, differ, _ = (row["measured"].replace("\N{NARROW NO-BREAK SPACE}", " ") for row in rows)
    assert few.startswith(
        "any 11.0 % of the maps (mean of 10 draws) instead of all: accuracy changes by −0.50 points"
    )
    assert redundant == "8 components hold 90 % of the variance of 48 maps in 2 taps"
    assert differ.startswith("25.0 % of the maps show no difference")
    notebooks = {path.stem for path in (repository() / "notebooks").glob("*.ipynb")}
    assert {row["evidence"] for row in rows} <= notebooks


@pytest.mark.parametrize(
    ("changes", "question", "answer"),
    [
        ({"any_low": -0.05}, "few", "undecided"),
        ({"outcome": EQUIVALENT_TO_RANDOM}, "chosen", "no"),
        ({"low": -0.01}, "sum", "undecided"),
    ],
)
def test_answers_follow_the_intervals(changes, question, answer):
    outcomes = {row["claim"]: row["outcome"].split()[0] for row in answers(**changes)}
    assert outcomes[question] == answer


def test_without_a_network_of_ones_own_the_claims_are_asked():
    everything = {path.stem for path in (repository() / "notebooks").glob("*.ipynb")}
    assert {row["source"].split(",")[0] for row in asked_rows({}.get, "esc10", everything, None)} == {
        "DHA",
        "EUSIPCO-18",
    }


def test_the_cost_of_any_maps_is_that_of_their_mean():
    full = np.repeat([True, False], [90, 10])
    right = [np.repeat([True, False], [n, 100 - n]) for n in (80, 84)]
    drawn = [{"correct": {"all": np.packbits(of).tobytes().hex()}, "clips": 100} for of in right]
    cost = cost_of_any(full, drawn, np.arange(100).astype(str))
    assert (cost["draws"], cost["lowest"], round(cost["change"], 6)) == (2, 0.8, -0.08)
    assert cost["low"] < -0.08 < cost["high"] < 0
