import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dha_utils import plots


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.set_style()
        yield


def texts(figure):
    figure.canvas.draw()
    found = [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_visible()]
    return {text for text in found if text}


def test_spectrograms():
    examples = {f"class_{i}": np.full((64, 40), -60.0 - i, np.float16) for i in range(7)}
    figure = plots.spectrograms(examples, 22_050)
    assert {"class 0", "class 6", "time (s)", "mel band"} <= texts(figure)
    assert sum(axis.get_visible() for axis in figure.axes) == 8  # seven classes and the colour bar


def test_class_means_puts_maps_beside_their_class(make_responses):
    figure = plots.class_means(make_responses({"relu7": 20}, n_good=20), "relu7")
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (4, 20)
    assert (np.diff(image.argmax(axis=0)) >= 0).all()
    assert "the 20 maps of relu7, by the class they answer to most" in texts(figure)


def test_effect_sizes_and_shares():
    table = pd.DataFrame({"tap": ["a", "a", "b", "b"], "eta2": [0.1, 0.2, 0.3, 0.4]})
    assert {"a", "b"} <= texts(plots.effect_sizes(table))
    shares = pd.DataFrame({"tap": ["a", "b"], "x": [0.2, 0.4], "y": [0.1, 1.0]})
    figure = plots.shares(shares, {"x": "first", "y": "second"})
    assert {"first", "second", "share of maps", "100%"} <= texts(figure)


def test_tap_accuracies():
    table = pd.DataFrame(
        [
            {"tap": t, "series": s, "accuracy": 0.8, "low": 0.7, "high": 0.9}
            for s in ("22 kHz", "44 kHz")
            for t in "ab"
        ]
    )
    figure = plots.tap_accuracies(table, {"baseline": 0.5})
    assert {"a", "b", "22 kHz", "44 kHz", "baseline", "accuracy"} <= texts(figure)
    assert len(figure.axes[0].lines) >= 3


def test_cost_of_ignoring():
    figure = plots.cost_of_ignoring(0.9, {"ANOVA": 0.89}, np.array([0.88, 0.88, 0.9]))
    assert isinstance(figure, Figure)
    assert {"ANOVA", "random maps, 3 seeds", "all maps, less 3 points"} <= texts(figure)
