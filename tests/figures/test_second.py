import pandas as pd

from dha_utils.figures.second import kept_curve, pitch_frontier


def test_the_curve_has_what_it_says():
    table = pd.DataFrame({"keep": [0.1, 0.5], "accuracy": [0.6, 0.7], "random": [0.5, 0.6]})
    table = table.assign(lowest=0.4, highest=0.65)
    (axis,) = kept_curve(table, 0.8).axes
    labels = axis.get_legend_handles_labels()[1]
    assert sorted(labels) == ["ANOVA", "all maps", "random maps: mean", "random maps: range"]


def test_the_frontier_marks_both_networks_of_the_authors():
    table = pd.DataFrame(
        {
            "selection": ["full", "tiny", "random", "trained", "trained"],
            "way": ["whole", "theirs", "drawn", "ours", "ours"],
            "macs": [1, 0.03, 0.03, 0.1, 0.03],
            "accuracy": [0.9, 0.8, 0.5, 0.85, 0.8],
            "change": -0.1,
            "low": -0.2,
            "high": -0.05,
        }
    )
    (axis,) = pitch_frontier(table).axes
    (star,) = [line for line in axis.lines if line.get_marker() == "*"]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (0.03, 0.8)
    assert sorted(axis.get_legend_handles_labels()[1]) == ["drawn", "ours", "theirs", "whole"]
    assert [len(line.get_xdata()) for line in axis.lines if line.get_marker() == "D"] == [2]
