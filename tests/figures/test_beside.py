import numpy as np
import pandas as pd
import pytest

from dha_utils.figures import changes, controls


def test_controls_stand_at_their_means_between_their_ends():
    rows = {"control": ["inside", "random maps"], "runs": [1, 20], "mean": [0.9, 0.88], "lowest": [0.9, 0.86]}
    figure = controls(pd.DataFrame(rows | {"highest": [0.9, 0.91]}), 0.92)
    (axis,) = figure.axes
    ranges, dots = axis.collections
    assert [segment[:, 0].tolist() for segment in ranges.get_segments()] == [[0.9, 0.9], [0.86, 0.91]]
    assert dots.get_offsets()[:, 0].tolist() == pytest.approx([0.9, 0.88])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["inside", "random maps,\n20 runs"]


def test_changes_have_their_intervals_and_the_names_of_people():
    rows = {"criterion": ["rank_full_corrected"], "change": [-0.02], "low": [-0.04], "high": [0.01]}
    (axis,) = changes(pd.DataFrame(rows)).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["full rank, mended"]
    (bar,) = axis.containers
    assert bar.lines[0].get_xdata().tolist() == pytest.approx([-2])
    assert np.ravel(bar.lines[2][0].get_segments()[0])[::2].tolist() == pytest.approx([-4, 1])
