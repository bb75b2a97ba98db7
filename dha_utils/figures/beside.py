"""Selections beside one another, as accuracies or as changes of it; conventions as in `dha_utils.figures.style`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dha_utils.figures.style import COLOURS, WIDTH, percent, title
from dha_utils.paper import MARGIN


def controls(table: pd.DataFrame, full: float) -> Figure:
    """Draw the accuracy of controls, those that were run several times with their range and mean.

    Parameters
    ----------
    table : DataFrame
        Columns control, runs, mean, lowest, highest, as `dha_utils.findings.certainty.control_table` gives them; fractions.
    full : float
        Accuracy with all maps.
    """
    figure = Figure(figsize=(WIDTH, 0.4 * len(table) + 1), layout="constrained")
    figure.set_label("Grey bars: from the lowest to the highest of several runs; dots: their mean.")
    axis = figure.subplots()
    axis.axvline(full, color=COLOURS[2], lw=2)
    axis.annotate("all maps", (full, 1.02), xycoords=("data", "axes fraction"), va="bottom", color=COLOURS[2])
    places = np.arange(len(table))
    axis.hlines(places, table["lowest"], table["highest"], color="0.6", lw=5)
    colours = [COLOURS[0] if runs == 1 else "0.2" for runs in table["runs"]]
    axis.scatter(table["mean"], places, s=55, color=colours, zorder=3)
    several = [
        f"{name},\n{runs} runs" if runs > 1 else name for name, runs in table[["control", "runs"]].values
    ]
    axis.set_yticks(places, several)
    axis.set_ylim(len(table) - 0.5, -0.5)
    percent(axis.xaxis)
    axis.set_xlabel("accuracy of the ensemble")
    return figure


def changes(table: pd.DataFrame, margin: float = MARGIN) -> Figure:
    """Draw the change of accuracy with the maps of each criterion, with its interval.

    Parameters
    ----------
    table : DataFrame
        Columns criterion, change, low, high; fractions.
    margin : float
        The loss that is dashed.
    """
    figure = Figure(figsize=(WIDTH, 0.3 * len(table) + 1), layout="constrained")
    figure.set_label("Bars: 95 % intervals.")
    axis = figure.subplots()
    axis.axvline(0, color=COLOURS[2], lw=2)
    axis.axvline(-100 * margin, color=COLOURS[3], lw=1.5, ls="--")
    above = {"xycoords": ("data", "axes fraction"), "va": "bottom"}
    axis.annotate("all maps", (0, 1.02), color=COLOURS[2], **above)
    axis.annotate(
        f"{100 * margin:g} points less", (-100 * margin, 1.02), color=COLOURS[3], ha="right", **above
    )
    places = np.arange(len(table))
    errors = 100 * np.stack([table["change"] - table["low"], table["high"] - table["change"]])
    axis.errorbar(100 * table["change"], places, xerr=errors, fmt="o", ms=6, lw=1.6, color=COLOURS[0])
    axis.set_yticks(places, [title(name) for name in table["criterion"]])
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.set_xlabel("change of accuracy, points")
    return figure
