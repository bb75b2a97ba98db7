"""Figures of the second network; the same conventions as `dha_utils.figures.maps`."""

from collections.abc import Mapping

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


def pitch_frontier(table: pd.DataFrame, tiny: Mapping[str, float]) -> Figure:
    """Draw raw pitch accuracy against computation, with the authors' tiny network as a mark.

    Parameters
    ----------
    table, tiny
        As `dha_utils.findings.second_network.pitch_table` and `dha_utils.findings.second_network.tiny_against` give them.
    """
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.axhline(tiny["full"], color=COLOURS[2], lw=2, label="full network")
    axis.axhline(tiny["full"] - 0.01, color=COLOURS[3], lw=1.2, ls="--", label="1 point less")
    axis.fill_between(
        table["macs"], table["lowest"], table["highest"], color="0.85", label="random maps, refitted: range"
    )
    errors = [table["change"] - table["low"], table["high"] - table["change"]]
    axis.errorbar(
        table["macs"], table["accuracy"], errors, fmt="o-", ms=5, lw=1.5, elinewidth=0.8, color=COLOURS[0],
        label="explained variance, refitted",
    )  # fmt: skip
    axis.plot(
        table["macs"], table["group_norm"], "^--", ms=5, lw=1, color=COLOURS[5], label="group norm, refitted"
    )
    trained = table.dropna(subset="trained")
    errors = [
        trained["trained_change"] - trained["trained_low"],
        trained["trained_high"] - trained["trained_change"],
    ]
    axis.errorbar(
        trained["macs"], trained["trained"], errors, fmt="D-", ms=5, lw=1.5, elinewidth=0.8, color=COLOURS[6],
        label="explained variance, refitted and trained",
    )  # fmt: skip
    axis.plot(
        table["macs"],
        table["unfitted"],
        "s:",
        ms=4,
        color=COLOURS[1],
        label="explained variance, not refitted",
    )
    axis.plot(tiny["macs"], tiny["accuracy"], "*", ms=14, color=COLOURS[4], label="the authors' tiny network")
    percent_axis(axis, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5])
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set(
        xlabel="multiply-accumulates, of the full network's", ylabel="raw pitch accuracy", ylim=(0, 1.02)
    )
    axis.legend(fontsize=9, loc="lower right")
    return figure
