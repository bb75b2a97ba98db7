import pandas as pd

from dha_utils.figures.second import kept_curve, pitch_accuracies


def test_the_curve_has_what_it_says():
    table = pd.DataFrame({"keep": [0.1, 0.5], "accuracy": [0.6, 0.7], "random": [0.5, 0.6]})
    table = table.assign(lowest=0.4, highest=0.65, difference=0.1, low=0.05, high=0.15)
    (axis,) = kept_curve(table, 0.8).axes
    labels = axis.get_legend_handles_labels()[1]
    anova = "ANOVA, with the interval of its difference to the mean"
    assert sorted(labels) == [anova, "random maps: mean", "random maps: range"]


def test_networks_stand_one_below_the_other_in_the_order_of_the_table():
    table = pd.DataFrame(
        {"way": ["whole", "theirs", "ours"], "macs": [1, 0.026, 0.1], "accuracy": [0.9, 0.8, 0.7]}
    )
    table = table.assign(change=-0.1, low=-0.2, high=-0.05)
    (axis,) = pitch_accuracies(table).axes
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names[1] == "theirs\n2.6 % of the computation"
    assert axis.yaxis_inverted()
    (points,) = [line for line in axis.lines if line.get_marker() == "o"]
    assert points.get_xdata().tolist() == [0.9, 0.8, 0.7]
