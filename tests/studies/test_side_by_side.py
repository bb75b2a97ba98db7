import numpy as np
import pytest

from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.studies.side_by_side import (
    compare_responses,
    compare_selections,
    compare_sources,
    run_ensembles,
)


def test_tables_equal_naive_loops(both):
    ours, theirs = both
    rows = compare_responses(ours, theirs)
    assert [row["tap"] for row in rows] == list(ours.taps)
    for row in rows:
        a, b = ours[row["tap"]].astype(float), theirs[row["tap"]].astype(float)
        n_maps = a.shape[1]
        correlations = [np.corrcoef(a[:, c], b[:, c])[0, 1] for c in range(n_maps - 3)]
        assert row["constant"] == 3
        assert row["correlation"] == pytest.approx(np.median(correlations))
        spread = np.mean([a[:, c].var() for c in range(n_maps)])
        assert row["difference"] == pytest.approx(np.sqrt(np.mean((a - b) ** 2) / spread))


def test_the_same_responses_do_not_move(both):
    for row in compare_responses(both[0], both[0]):
        assert (row["correlation"], row["difference"], row["constant"]) == (pytest.approx(1), 0, 0)


@pytest.fixture
def runs(both):
    return run_ensembles(dict(zip(("input", "released"), both, strict=True)), keep=0.3)


def test_accuracies_are_those_of_the_ensemble(both, runs):
    rows = compare_selections(runs, "padding")
    assert [(row["classifier"], row["padding"]) for row in rows] == [
        ("converging", "input"),
        ("converging", "released"),
        ("released", "input"),
        ("released", "released"),
    ]
    full = cross_validate(both[1])
    kept = cross_validate(both[1], lambda part: select(part, "anova", keep=0.3))
    assert (rows[1]["full"], rows[1]["kept"]) == (full.accuracy(), kept.accuracy())
    assert rows[1]["change"] == pytest.approx(kept.accuracy() - full.accuracy())
    assert rows[1]["low"] <= rows[1]["change"] <= rows[1]["high"]


def test_what_the_second_costs_instead_of_the_first(runs):
    rows = compare_sources(runs)
    assert [(row["classifier"], row["maps"]) for row in rows] == [
        ("converging", "full"),
        ("converging", "kept"),
        ("released", "full"),
        ("released", "kept"),
    ]
    one, other = (runs["released", name]["kept"].accuracy() for name in ("input", "released"))
    assert (rows[3]["input"], rows[3]["released"]) == (one, other)
    assert rows[3]["change"] == pytest.approx(other - one)
    assert rows[3]["low"] <= rows[3]["change"] <= rows[3]["high"]
