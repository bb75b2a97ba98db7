import numpy as np
import pytest

from dha_utils.inference import Interval
from dha_utils.trials import SMALL
from dha_utils.verdicts import (
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    better_than_random,
    first_verdicts,
    further_verdicts,
    non_inferiority,
    pruning_verdict,
)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (Interval(0.0, -0.01, 0.01), REPRODUCED),
        (Interval(-0.02, -0.029, 0.0), REPRODUCED),
        (Interval(-0.02, -0.03, 0.0), NOT_TESTABLE),
        (Interval(-0.03, -0.05, 0.0), NOT_REPRODUCED),
    ],
)
def test_non_inferiority(change, verdict):
    assert non_inferiority(change) == verdict


def test_better_than_random():
    random = np.linspace(0.7, 0.89, 20)
    assert better_than_random(0.9, random) == REPRODUCED  # 1 of 21 by chance
    assert better_than_random(0.88, random) == NOT_REPRODUCED
    assert better_than_random(0.9, random[:10]) == NOT_REPRODUCED  # ten seeds cannot show it


def computation(saved):
    rows = [{"all_5": saved, "network_5": saved}] + [{"all_5": 0.2, "network_5": 0.2}] * 4
    return {"savings": rows}


def made_up(kept_right, best_right, ignored=0.89, saved=0.01):
    true = np.zeros(1000, int)
    predictions = {
        "true": true,
        "full": {"22050": np.where(np.arange(1000) >= 100, 0, 1)},
        "best_tap": {"22050": np.where(np.arange(1000) >= best_right, 0, 1)},
        "ignoring": {"ANOVA, by rank": np.where(np.arange(1000) >= kept_right, 0, 1)},
    }
    ensemble = {
        "rate": 22050,
        "rates": {"22050": {"best_tap": "pool5"}},
        "random": {"15 taps": {"accuracies": [0.8] * 20}},
    }
    redundancy = {"ignored_by_rank": ignored, "ignored_by_alpha": 0.25}
    rows = first_verdicts(ensemble, redundancy, predictions, computation(saved), np.arange(1000))
    return {row["key"]: row for row in rows}


def test_rows_follow_the_numbers():
    rows = made_up(
        kept_right=105, best_right=200, saved=0.19
    )  # 89.5 % of the clips right with the kept maps, 80 % by the best tap
    assert {key: row["verdict"] for key, row in rows.items()} == {
        "cost": REPRODUCED,
        "ignored": NOT_REPRODUCED,
        "statistics": REPRODUCED,
        "computation": REPRODUCED,
        "ensemble": REPRODUCED,
    }
    assert rows["cost"]["estimate"] == pytest.approx(0.895 - 0.9)
    assert "0 of 20 random selections" in rows["statistics"]["measured"]


def test_rows_of_a_disappointment():
    rows = made_up(kept_right=250, best_right=90)
    assert {key: row["verdict"] for key, row in rows.items()} == {
        "cost": NOT_REPRODUCED,
        "ignored": NOT_REPRODUCED,
        "statistics": NOT_REPRODUCED,
        "computation": NOT_REPRODUCED,
        "ensemble": NOT_REPRODUCED,
    }


def further(alike, better, best_right):
    true = np.zeros(1000, int)
    predictions = {
        "true": true,
        "full": {"22050": np.where(np.arange(1000) >= 100, 0, 1)},
        "best_tap": {"22050": np.where(np.arange(1000) >= best_right, 0, 1)},
    }
    ensemble = {"rate": 22050, "rates": {"22050": {"best_tap": "pool5"}}}
    tests = {"alike_raw": alike, "alike_adjusted": alike}
    criteria = {"criteria": [{}] * 20, "better_than_random": better, "worse_than_random": 1}
    rows = further_verdicts(tests, criteria, predictions, ensemble, np.arange(1000))
    return {row["key"]: row for row in rows}


def test_further_rows():
    bad = further(alike=0.01, better=1, best_right=100)
    assert {row["verdict"] for row in bad.values()} == {NOT_REPRODUCED}
    good = further(alike=0.9, better=5, best_right=200)
    assert {row["verdict"] for row in good.values()} == {REPRODUCED}
    assert "wins 100 clips" in good["complementary"]["measured"]
    assert "5 of 20 criteria" in good["criteria"]["measured"]


def test_another_fraction_does_not_test_the_claim():
    change = made_up(kept_right=105, best_right=200, ignored=0.75)["cost"]
    assert change["verdict"] == NOT_TESTABLE


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ((-0.05, -0.08, -0.02), NOT_REPRODUCED),
        ((0.0, -0.02, 0.02), REPRODUCED),
        ((-0.01, -0.04, 0.02), NOT_TESTABLE),
    ],
)
def test_pruning_is_judged_by_the_filters_of_anova(change, verdict):
    common = {"size": SMALL, "compensation": "refitted", "macs": 0.35}
    anova = common | {"criterion": "anova"} | dict(zip(("change", "low", "high"), change, strict=True))
    other = common | {"criterion": "explained_variance", "change": 0.01, "low": 0.0, "high": 0.02}
    elsewhere = anova | {"size": "0.9", "change": 0.5}
    trials = [anova, other, elsewhere]
    row = pruning_verdict({"trials": trials, "random_small_refitted": 0.89, "full": 0.91})
    assert row["verdict"] == verdict
    assert row["estimate"] == change[0]
    assert "65.0" in row["measured"]
