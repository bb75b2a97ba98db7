import numpy as np
import pandas as pd
import pytest
from test_figures import style, texts  # noqa: F401 - a fixture for every test

from dha_utils import figures


def test_class_changes():
    labels = [f"class_{i}" for i in range(50)]
    table = pd.DataFrame({"label": labels, "full": 0.9, "accuracy": 0.8, "low": -0.2, "high": 0.0})
    table.loc[0, "high"] = -0.1
    figure = figures.class_changes(table)
    assert {"class 0", "class 49", "all maps", "some ignored"} <= texts(figure)
    interval, lines = figure.axes[0].collections
    assert interval.get_segments()[0][:, 0].tolist() == pytest.approx([0.7, 0.8])
    assert len(np.unique(lines.get_colors(), axis=0)) == 2


def test_confused_classes_stand_beside_one_another():
    n = 50
    matrix = 30 * np.eye(n, dtype=int)
    matrix[3, 40] = matrix[40, 3] = 10
    figure = figures.confusion(matrix, [f"class_{i}" for i in range(n)])
    assert "taken for (24 classes of 50, those confused most)" in texts(figure)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len({*labels}) == 24
    assert abs(labels.index("class 3") - labels.index("class 40")) == 1
    right, wrong = (image.get_array() for image in figure.axes[0].images)
    assert wrong.count() == 2
    assert np.isclose(wrong.max(), 25)
    assert right.count() == 24
