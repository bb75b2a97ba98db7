from types import SimpleNamespace

import numpy as np
import pytest
from miniatures import made_up_cells

from dha_utils.findings.certainty import (
    control_table,
    design_table,
    inference_table,
    lead_table,
    rounding_table,
)


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


def test_control_table():
    cells = made_up_cells()[:3]
    table = control_table({"a": cells[:1], "b": cells[1:]}, "all").set_index("control")
    assert table.loc["b", "runs"] == 2
    assert table.loc["a", "mean"] == pytest.approx(56 / 60)
    ahead = lead_table({"a": cells[:1], "b": cells[1:]}, np.arange(60))
    assert np.isnan(ahead.loc[0, "difference"])
    assert ahead.loc[1, "difference"] == pytest.approx(56 / 60 - ahead.loc[1, "mean"])


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


def test_no_cells_move_by_no_rounding():
    assert rounding_table([]).empty
