import pandas as pd

from dha_utils.figures.second import kept_curve, pitch_frontier


def test_the_curve_has_what_it_says():
    table = pd.DataFrame({"keep": [0.1, 0.5], "accuracy": [0.6, 0.7], "random": [0.5, 0.6]})
    table = table.assign(lowest=0.4, highest=0.65)
    (axis,) = kept_curve(table, 0.8).axes
    labels = axis.get_legend_handles_labels()[1]
    assert sorted(labels) == ["ANOVA", "all maps", "random maps: mean", "random maps: range"]


def test_the_frontier_marks_the_tiny_network():
    table = pd.DataFrame(
        {"macs": [0.02, 0.1], "accuracy": [0.6, 0.7], "change": [-0.3, -0.2], "low": -0.4, "high": 0.0}
    )
    table = table.assign(lowest=0.4, highest=0.65, unfitted=0.1, group_norm=0.5)
    table = table.assign(trained=[0.7, float("nan")], trained_change=-0.2, trained_low=-0.3, trained_high=0.0)
    (axis,) = pitch_frontier(table, {"full": 0.9, "macs": 0.03, "accuracy": 0.8}).axes
    (star,) = [line for line in axis.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.03, 0.8)
    assert [len(line.get_xdata()) for line in axis.lines if line.get_marker() == "D"] == [1]
