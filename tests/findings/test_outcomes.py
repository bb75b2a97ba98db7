import json
import re
import subprocess

import pytest

from dha_utils.core.paths import repository
from dha_utils.evaluation.inference import Interval
from dha_utils.findings.outcomes import (
    BETTER,
    CLAIMS,
    DOES_NOT_HOLD,
    EQUIVALENT_TO_RANDOM,
    HOLDS,
    NOT_MEASURED,
    NOT_TESTABLE,
    UNDECIDED,
    WORSE,
    claim_rows,
    loss_outcome,
    outcome_rows,
    random_outcome,
)
from dha_utils.paper import PROTOCOL


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        (Interval(0.0, -0.01, 0.01), HOLDS),
        (Interval(-0.02, -0.029, 0.0), HOLDS),
        (Interval(-0.02, -0.03, 0.0), UNDECIDED),
        (Interval(-0.05, -0.08, -0.02), UNDECIDED),  # the estimate alone decides nothing
        (Interval(-0.05, -0.08, -0.03), DOES_NOT_HOLD),
    ],
)
def test_a_loss(change, outcome):
    assert loss_outcome(change) == outcome


@pytest.mark.parametrize(
    ("difference", "outcome"),
    [
        (Interval(0.02, 0.001, 0.04), BETTER),
        (Interval(0.005, 0.001, 0.009), BETTER),
        (Interval(-0.02, -0.04, -0.001), WORSE),
        (Interval(0.0, -0.01, 0.01), EQUIVALENT_TO_RANDOM),
        (Interval(0.0, -0.011, 0.01), UNDECIDED),
    ],
)
def test_a_comparison_with_random_maps(difference, outcome):
    assert random_outcome(difference) == outcome


def made_up(**changes):
    """Return results files in which every claim holds that can, with some numbers changed: dotted key -> value."""
    ends = {"low": -0.02, "high": 0.01}
    compared = {
        "difference": 0.02,
        "low": 0.01,
        "high": 0.03,
        "accuracy": 0.9,
        "random": 0.88,
        "draws": 100,
        "outcome": BETTER,
    }
    saved = {seconds: {"network": 0.2, "all": 0.19} for seconds in ("5", "30")}
    network = {"5": {"network": 0.171, "all": None}, "30": {"network": 0.16, "all": None}}
    at = {"medium_adjusted": 0.9, "medium_refuted": 0.01, "margin_reaching": 0.25}
    results = {
        "ensemble": {
            "cost": {"ignored": 0.89, "estimate": -0.005, **ends}
            | {f"relative_{end}": value for end, value in {"estimate": -0.0055, **ends}.items()},
            "gains": [{"tap": "best", "single": 0.7, "change": 0.01, **ends}],
        },
        "computation": {"savings": {"ignoring": saved, "removing_union": saved, "psnet": network}},
        "curves": {"random": {"1": {"keep": 0.01, **compared}, "11": {"keep": 0.11, **compared}}},
        "tests": {"margin": 0.25, "equivalence": {"welch": at, "pooled": dict(at)}},
        "compensation": {
            "claim": {"anova": {"what": "ANOVA's filters", "macs": 0.82, "change": -0.01, **ends}}
        },
    }
    for key, value in changes.items():
        *path, last = key.split("__")
        place = results
        for step in path:
            place = place[step]
        place[last] = value
    return results


def outcomes(**changes):
    return {row["claim"]: row["outcome"] for row in claim_rows(outcome_rows(made_up(**changes).get, "esc10"))}


def test_every_claim_has_a_row_and_names_its_data():
    rows = outcome_rows(made_up().get, "esc10")
    assert {row["claim"] for row in rows} == set(CLAIMS)
    assert outcomes() == dict.fromkeys(CLAIMS, "holds on ESC-10") | {"ensemble": NOT_TESTABLE}
    assert outcome_rows(made_up().get, "path/to/my-sounds")[0]["on"] == "my-sounds"
    notebooks = {path.stem for path in (repository() / "notebooks").glob("*.ipynb")}
    assert {row["evidence"] for row in rows} <= notebooks
    assert len({(row["claim"], row["part"]) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("changes", "claim", "outcome"),
    [
        ({"ensemble__cost__low": -0.04}, "cost", "undecided on ESC-10"),
        ({"ensemble__cost__ignored": 0.75}, "cost", NOT_TESTABLE),  # another fraction than the paper's
        ({"curves__random__11__outcome": UNDECIDED}, "selection", "undecided on ESC-10"),
        ({"curves__random__11__outcome": EQUIVALENT_TO_RANDOM}, "selection", "does not hold on ESC-10"),
        ({"tests__equivalence__welch__medium_adjusted": 0.02}, "alike", "undecided on ESC-10"),
        (
            {"computation__savings__ignoring__5": {"network": 0.05, "all": 0.053}},
            "computation",
            "does not hold on ESC-10",
        ),
        ({"compensation__claim__anova__high": -0.03}, "pruning", "undecided on ESC-10"),
    ],
)
def test_outcomes_follow_the_numbers(changes, claim, outcome):
    if claim == "pruning":
        changes |= {"compensation__claim__anova__low": -0.08, "compensation__claim__anova__high": -0.02}
    assert outcomes(**changes)[claim] == outcome


def test_maps_shown_to_differ_refute_that_they_are_alike():
    few = {
        "tests__equivalence__welch__medium_adjusted": 0.02,
        "tests__equivalence__welch__medium_refuted": 0.7,
    }
    assert outcomes(**few)["alike"] == "does not hold on ESC-10"


def test_the_gain_of_the_ensemble_is_testable_on_dcase2016_where_there_is_room():
    gains = {"tap": "best", "single": 0.7, "change": 0.25, "low": 0.22, "high": 0.28}
    (row,) = [
        row
        for row in outcome_rows(made_up(ensemble__gains=[gains]).get, "dcase2016")
        if row["claim"] == "ensemble"
    ]
    assert row["outcome"] == HOLDS
    gains |= {"single": 0.9}
    (row,) = [
        row
        for row in outcome_rows(made_up(ensemble__gains=[gains]).get, "dcase2016")
        if row["claim"] == "ensemble"
    ]
    assert row["outcome"] == NOT_TESTABLE  # 117.8 %
    assert "117.8" in row["measured"]


def test_the_commit_of_the_protocol_is_the_one_that_added_it():
    command = ["git", "log", "--diff-filter=A", "--format=%H %cs", "--", "book/protocol.md"]
    try:
        said = subprocess.run(
            command, cwd=repository(), capture_output=True, text=True, check=True
        ).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no history of this repository is at hand")
    if not said:
        pytest.skip("the history does not reach back to the protocol")
    assert said[-2].startswith(PROTOCOL["commit"])
    assert said[-1] == PROTOCOL["date"]


def test_the_page_of_outcomes_leads_to_all_evidence():
    """By links that JupyterLab follows and the book rewrites: to notebooks, in what a cell shows as Markdown."""
    page = json.loads((repository() / "notebooks" / "17_outcomes.ipynb").read_text(encoding="utf-8"))
    (said,) = (
        text for text in map("".join, (c["source"] for c in page["cells"])) if "The evidence is on" in text
    )
    assert {claim.evidence for claim in CLAIMS.values()} == set(re.findall(r"\]\((\d\d_\w+)\.ipynb\)", said))


def test_what_is_not_run_is_not_measured():
    asked = []

    def read(name):
        asked.append(name)
        raise AssertionError(name)

    everything = [claim.evidence for claim in CLAIMS.values()]
    rows = outcome_rows(read, "esc50", without=everything)
    assert not asked
    assert {row["outcome"] for row in rows} <= {NOT_MEASURED, NOT_TESTABLE}
    assert {row["outcome"] for row in claim_rows(rows)} == {NOT_MEASURED, NOT_TESTABLE}
