import numpy as np
from miniatures import made_up_specifications
from test_figures import style, texts  # noqa: F401 - a fixture for every test

from dha_utils import figures
from dha_utils.findings.sensitivity import specification_table


def test_specification_curve():
    table = specification_table({22_050: made_up_specifications()}, np.arange(60), resamples=199)
    cost = table[table["claim"] == "cost"]
    figure = figures.specification_curve(table, "cost")
    said = texts(figure)
    assert {"SVM (primary)", "logistic", "largest value", "released 10", "unit length"} <= said
    assert "does not hold (8)" in said
    assert not {"22 050 Hz", "both"} & said  # nothing was chosen there
    dots = figure.axes[1]
    n_drawn = sum(len(line.get_xdata()) for line in dots.lines if line.get_marker() == "|")
    assert n_drawn == 4 * len(cost)
    assert figure.get_size_inches()[0] < 6


def test_without_results_the_figure_says_so():
    table = specification_table({22_050: []}, np.arange(60))
    assert len(table) == 0
    assert texts(figures.specification_curve(table, "selection")) == {"no results: they need the audio"}
