"""Figures of the second network; the same conventions as `dha_utils.figures.maps`."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dha_utils.figures.ensemble import percent_axis
from dha_utils.figures.maps import COLOURS

PITCH = {
    "tiny": (COLOURS[4], "*"),
    "unfitted": (COLOURS[1], "s"),
    "random": ("0.4", "x"),
    "explained_variance": (COLOURS[0], "o"),
    "trained": (COLOURS[3], "D"),
}
"""Colour and marker of the ways to make a smaller network (`dha_utils.findings.second_network.WAYS`)."""


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


def pitch_frontier(table: pd.DataFrame) -> Figure:
    """Draw raw pitch accuracy against computation, with the full network and the authors' tiny one as marks.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.second_network.pitch_table` gives it.
    """
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axis = figure.subplots()
    for selection, own in table.groupby("selection", sort=False):
        (way, *_), accuracy = own["way"], own["accuracy"]
        if selection == "full":
            axis.axhline(accuracy.item(), color=COLOURS[2], lw=2, label=way)
            continue
        colour, marker = PITCH[selection]
        errors = [own["change"] - own["low"], own["high"] - own["change"]]
        axis.errorbar(
            own["macs"], accuracy, errors, color=colour, marker=marker, ms=12 if marker == "*" else 6, lw=1.2,
            elinewidth=1, capsize=3, label=way,
        )  # fmt: skip
    percent_axis(axis, [0.02, 0.05, 0.1, 0.2])
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set(
        xlabel="multiply-accumulates, of the full network's", ylabel="raw pitch accuracy", ylim=(0, 1.02)
    )
    axis.legend(fontsize=9, loc="center right")
    return figure
