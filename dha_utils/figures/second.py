"""Figures of the second network; conventions as in `dha_utils.figures.style`."""

import pandas as pd
from matplotlib.figure import Figure

from dha_utils.figures.ensemble import percent_axis
from dha_utils.figures.style import COLOURS, WIDTH, label_lines, percent


def kept_curve(table: pd.DataFrame, full: float) -> Figure:
    """Draw accuracy against the fraction of maps kept, ANOVA's with its interval and the range of random ones.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.random_maps.random_table` gives it.
    full : float
        Accuracy with all maps.
    """
    figure = Figure(figsize=(WIDTH, 4), layout="constrained")
    axis = figure.subplots()
    axis.axhline(full, color=COLOURS[2], lw=2)
    axis.fill_between(
        table["keep"], table["lowest"], table["highest"], color="0.85", label="random maps: range"
    )
    axis.plot(table["keep"], table["random"], color="0.4", label="random maps: mean")
    errors = [table["difference"] - table["low"], table["high"] - table["difference"]]
    axis.errorbar(
        table["keep"], table["accuracy"], errors, fmt="o-", lw=1.5, color=COLOURS[0],
        label="ANOVA, with the interval of its difference to the mean",
    )  # fmt: skip
    percent_axis(axis, table["keep"])
    percent(axis.yaxis)
    axis.set(xlabel="maps kept per tap", ylabel="accuracy of the ensemble")
    label_lines(axis, [(full, "all maps", COLOURS[2])], 3.4)
    axis.legend(loc="lower right")
    return figure


def pitch_accuracies(table: pd.DataFrame) -> Figure:
    """Draw raw pitch accuracy of networks, one below the other, with intervals of the difference to the full one.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.second_network.pitch_table` gives it, the full network first.
    """
    figure = Figure(figsize=(WIDTH, 0.8 + 0.46 * len(table)), layout="constrained")
    figure.set_label("Bars: 95 % intervals of the difference to the full network.")
    axis = figure.subplots()
    names = [f"{row.way}\n{100 * row.macs:.3g} % of the computation" for row in table.itertuples()]
    errors = [table["change"] - table["low"], table["high"] - table["change"]]
    axis.axvline(table["accuracy"].iloc[0], color=COLOURS[2], lw=2)
    axis.errorbar(table["accuracy"], range(len(table)), xerr=errors, fmt="o", color=COLOURS[0], capsize=3)
    axis.set_yticks(range(len(table)), names)
    axis.set_ylim(len(table) - 0.5, -0.5)
    percent(axis.xaxis)
    axis.set(xlabel="raw pitch accuracy", xlim=(0, 1))
    return figure
