import numpy as np
import pytest
from miniatures import made_up_cells

from dha_utils.evaluation.inference import paired_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.random_maps import (
    by_fraction,
    count_outcomes,
    criteria_table,
    describe_draws,
    random_table,
)


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


def test_the_spread_of_random_selections():
    random = [
        cell for cell in made_up_cells(draws=40) if (cell["criterion"], cell["keep"]) == ("random", 0.1)
    ]
    spread = describe_draws(random)
    assert spread["seeds"] == 40
    assert spread["low"] < spread["mean"] < spread["high"]
    assert spread["high"] - spread["low"] == pytest.approx(4 * spread["std"], rel=0.2)
