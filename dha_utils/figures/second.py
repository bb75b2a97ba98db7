"""Figures of the second network; the same conventions as `dha_utils.figures.maps`."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dha_utils.figures.ensemble import percent_axis
from dha_utils.figures.maps import COLOURS


def kept_curve(table: pd.DataFrame, full: float) -> Figure:
    """Draw accuracy against the fraction of maps kept, ANOVA's and the range of random ones.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.random_maps.random_table` gives it.
    full : float
        Accuracy with all maps.
    """
    figure = Figure(figsize=(8, 4), layout="constrained")
    axis = figure.subplots()
    axis.axhline(full, color=COLOURS[2], lw=2, label="all maps")
    axis.fill_between(
        table["keep"], table["lowest"], table["highest"], color="0.85", label="random maps: range"
    )
    axis.plot(table["keep"], table["random"], color="0.4", label="random maps: mean")
    axis.plot(table["keep"], table["accuracy"], "o-", color=COLOURS[0], label="ANOVA")
    percent_axis(axis, table["keep"])
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set(xlabel="maps kept per tap", ylabel="accuracy of the ensemble")
    axis.legend(frameon=False, fontsize=10, loc="lower right")
    return figure


def pitch_accuracies(table: pd.DataFrame) -> Figure:
    """Draw raw pitch accuracy of networks, one below the other, with intervals of the difference to the full one.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.second_network.pitch_table` gives it, the full network first.
    """
    figure = Figure(figsize=(8, 0.8 + 0.4 * len(table)), layout="constrained")
    axis = figure.subplots()
    names = [f"{row.way}\n{100 * row.macs:.3g} % of the computation" for row in table.itertuples()]
    errors = [table["change"] - table["low"], table["high"] - table["change"]]
    axis.axvline(table["accuracy"].iloc[0], color=COLOURS[2], lw=2)
    axis.errorbar(table["accuracy"], range(len(table)), xerr=errors, fmt="o", color=COLOURS[0], capsize=3)
    axis.set_yticks(range(len(table)), names, fontsize=9)
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set(xlabel="raw pitch accuracy", xlim=(0, 1))
    return figure
