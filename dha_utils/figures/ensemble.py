"""Figures of accuracies: taps, selections, sweeps; the same conventions as `dha_utils.figures.maps`."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from dha_utils.criteria import CRITERIA
from dha_utils.figures.maps import COLOURS, readable
from dha_utils.paper import EQUIVALENT


def tap_accuracies(table: pd.DataFrame, levels: Mapping[str, float]) -> Figure:
    """Draw accuracies per tap and of their sums with intervals.

    Parameters
    ----------
    table : DataFrame
        Columns ``tap``, ``series`` (legend), ``accuracy``, ``low``, ``high``.
    levels : dict of str to float
        Horizontal lines: text -> accuracy.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axis = figure.subplots()
    taps = list(dict.fromkeys(table["tap"]))
    groups = list(table.groupby("series", sort=False))
    for number, (series, part) in enumerate(groups):
        x = np.array([taps.index(tap) for tap in part["tap"]]) + 0.22 * (number - (len(groups) - 1) / 2)
        errors = np.stack([part["accuracy"] - part["low"], part["high"] - part["accuracy"]])
        axis.errorbar(x, part["accuracy"], errors, fmt="o", ms=5, lw=1.3, color=COLOURS[number], label=series)
    for number, (text, level) in enumerate(levels.items()):
        axis.axhline(level, color="0.45", lw=1.2, ls=("--", ":", "-.")[number % 3], label=text)
    axis.set_xticks(range(len(taps)), taps, rotation=40, ha="right")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set(xlabel="classifier: one tap, or the sum over taps", ylabel="accuracy", ylim=(None, 1))
    axis.legend(loc="lower right", frameon=True, fontsize=10)
    return figure


def cost_of_ignoring(full: float, selected: Mapping[str, float], random: Sequence[float]) -> Figure:
    """Draw the accuracy of the full ensemble, of selections, and of random selections of the same size.

    Parameters
    ----------
    full : float
        Accuracy with all maps.
    selected : dict of str to float
        Text -> accuracy.
    random : sequence of float
        Accuracies of the random selections.
    """
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axis = figure.subplots()
    rows = [*selected, f"random maps, {len(random)} seeds"]
    values, counts = np.unique(random, return_counts=True)
    axis.scatter(values, np.full(len(values), len(rows) - 1), s=30 * counts, color="0.5", alpha=0.8, zorder=3)
    axis.scatter([np.mean(random)], [len(rows) - 1], marker="|", s=500, lw=2.5, color="black", zorder=4)
    axis.scatter(list(selected.values()), range(len(selected)), s=60, color=COLOURS[0], zorder=3)
    axis.axvline(full, color=COLOURS[2], lw=2, label="all maps")
    axis.axvline(full - 0.03, color=COLOURS[3], lw=1.5, ls="--", label="all maps, less 3 points")
    axis.set_yticks(range(len(rows)), rows)
    axis.invert_yaxis()
    axis.margins(y=0.2)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("accuracy of the ensemble")
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=10, frameon=False)
    return figure


def against_random(table: pd.DataFrame, margin: float = EQUIVALENT) -> Figure:
    """Draw how much more accurate criteria are than random maps, with intervals, the best on top.

    Parameters
    ----------
    table : DataFrame
        Columns criterion, difference, low, high, as `dha_utils.findings.random_maps.criteria_table` gives them; fractions.
    margin : float
        Differences up to it are shaded.
    """
    table = table.sort_values("difference", kind="stable")
    figure = Figure(figsize=(9, 0.3 * len(table) + 1.2), layout="constrained")
    axis = figure.subplots()
    axis.axvspan(-100 * margin, 100 * margin, color="0.9")
    axis.axvline(0, color="0.4", lw=1.2)
    errors = 100 * np.stack([table["difference"] - table["low"], table["high"] - table["difference"]])
    axis.errorbar(
        100 * table["difference"], np.arange(len(table)), xerr=errors, fmt="o", ms=5, lw=1.4, color=COLOURS[0]
    )
    axis.set_yticks(range(len(table)), [readable(name) for name in table["criterion"]])
    axis.set_xlabel("accuracy minus that of random maps, points")
    axis.margins(y=0.02)
    return figure


def overlap(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw the overlaps (n, n) of the maps kept by pairs of criteria, ordered so that those which agree are neighbours."""
    order = leaves_list(linkage(squareform(1 - matrix, checks=False), "average"))
    labels = [readable(names[i]) for i in order]
    figure = Figure(figsize=(9.5, 8), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(matrix[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1)
    axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=9)
    axis.set_yticks(range(len(labels)), labels, fontsize=9)
    axis.grid(False)
    figure.colorbar(image, ax=axis, label="overlap (Jaccard)", shrink=0.8)
    return figure


def with_all_maps(rows: pd.DataFrame, full: float) -> pd.DataFrame:
    """Return columns keep and accuracy of one criterion by `keep`, up to 1, where all keep all maps and reach `full`."""
    last = pd.DataFrame({"keep": [1.0], "accuracy": [full]})
    return pd.concat([rows.loc[rows["keep"] < 1, ["keep", "accuracy"]], last]).sort_values("keep")


def percent_axis(axis: Axes, keeps: Iterable[float], most: int = 7) -> None:
    """Make x a logarithmic axis of fractions up to 1, with at most about `most` ticks, which are among `keeps`."""
    keeps = sorted({*keeps, 1.0})
    apart = np.log(keeps[-1] / keeps[0]) / most
    ticks = [1.0]
    for keep in reversed(keeps[:-1]):
        if np.log(ticks[-1] / keep) >= apart:
            ticks.append(keep)
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{100 * keep:g}%" for keep in ticks], fontsize=9)
    axis.minorticks_off()


def curves(table: pd.DataFrame, full: float) -> Figure:
    """Draw accuracy against the fraction of maps kept, one panel per family of criteria.

    Parameters
    ----------
    table : DataFrame
        Columns criterion, keep, accuracy; the rows of the criterion ``random`` make the band. The point at 1 is `full`.
    full : float
        Accuracy with all maps.
    """
    random = table[table["criterion"] == "random"].groupby("keep")["accuracy"]
    band = random.agg(["min", "max"])
    band.loc[1.0] = full  # where nothing is ignored there is nothing to select
    names = [name for name in table["criterion"].unique() if name != "random"]
    families = {name: CRITERIA[name].family for name in names}
    panels = list(dict.fromkeys(families.values()))
    figure = Figure(figsize=(10, 3.6 * -(-len(panels) // 2)), layout="constrained")
    axes = figure.subplots(-(-len(panels) // 2), 2, sharex=True, sharey=True, squeeze=False).flat
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis, family in zip(axes, panels, strict=False):
        axis.fill_between(band.index, band["min"], band["max"], color="0.85")
        axis.axhline(full, color=COLOURS[2], lw=1.5)
        for number, name in enumerate(name for name in names if families[name] == family):
            rows = with_all_maps(table[table["criterion"] == name], full)
            style = {"color": COLOURS[number % len(COLOURS)], "ls": "-" if number < len(COLOURS) else "--"}
            axis.plot(
                rows["keep"], rows["accuracy"], marker="o", ms=3.5, lw=1.3, label=readable(name), **style
            )
        axis.set_title(family, fontsize=12)
        percent_axis(axis, band.index)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.legend(fontsize=8, loc="lower right")
    figure.supxlabel("fraction of maps kept per tap", fontsize=12)
    figure.supylabel("accuracy of the ensemble", fontsize=12)
    return figure


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Return a panel for each tap, five in a row."""
    axes = list(figure.subplots(-(-count // 5), 5, sharex=True, sharey=True, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return axes[:count]


def tap_curves(table: pd.DataFrame, full: Mapping[str, float]) -> Figure:
    """Draw the accuracy of each tap alone against the fraction kept.

    Parameters
    ----------
    table : DataFrame
        Columns tap, criterion, keep, accuracy; rows of one criterion and fraction are averaged.
    full : dict of str to float
        Tap -> accuracy with all its maps.
    """
    means = table.groupby(["tap", "criterion", "keep"], sort=False)["accuracy"].mean().reset_index()
    figure = Figure(figsize=(10, 6.5), layout="constrained")
    for axis, (tap, accuracy) in zip(_panels(figure, len(full)), full.items(), strict=True):
        axis.axhline(accuracy, color=COLOURS[2], lw=1.3, label="all maps")
        for colour, (name, rows) in zip(
            (COLOURS[0], "0.5"), means[means["tap"] == tap].groupby("criterion"), strict=False
        ):
            rows = with_all_maps(rows, accuracy)
            shown = {"random": "random", "anova": "ANOVA"}[name]
            axis.plot(rows["keep"], rows["accuracy"], marker="o", ms=3, lw=1.2, color=colour, label=shown)
        axis.set_title(tap, fontsize=10)
        percent_axis(axis, means["keep"], most=4)
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncol=3, frameon=False, fontsize=10)
    figure.supxlabel("fraction of maps kept", fontsize=12)
    figure.supylabel("accuracy of the tap alone", fontsize=12)
    return figure


def tap_differences(table: pd.DataFrame) -> Figure:
    """Draw how much more accurate each tap is with a criterion's maps than with random ones, per fraction kept.

    Parameters
    ----------
    table : DataFrame
        Columns tap, keep, difference, low, high, outcome, as `dha_utils.findings.random_maps.random_table` gives them; fractions.
    """
    shades = {"better": COLOURS[0], "worse": COLOURS[3]}
    figure = Figure(figsize=(10, 7), layout="constrained")
    taps = list(dict.fromkeys(table["tap"]))
    for axis, tap in zip(_panels(figure, len(taps)), taps, strict=True):
        rows = table[table["tap"] == tap].sort_values("keep")
        axis.axhline(0, color="0.4", lw=1)
        for place, row in enumerate(rows.itertuples()):
            colour = shades.get(row.outcome, "0.6")
            axis.plot([place, place], [100 * row.low, 100 * row.high], color=colour, lw=2)
            axis.plot([place], [100 * row.difference], "o", ms=4.5, color=colour)
        axis.set_title(tap, fontsize=11)
        axis.set_xticks(range(len(rows)), [f"{100 * keep:g}" for keep in rows["keep"]], fontsize=9)
    figure.supxlabel("maps kept, %", fontsize=12)
    figure.supylabel("accuracy minus that of random maps, points", fontsize=12)
    return figure


def forest(rows: Sequence[Mapping], margin: float) -> Figure:
    """Draw changes of accuracy with their intervals, one line each, the margin of a loss as a dashed line.

    Parameters
    ----------
    rows : sequence of dict
        With part, estimate, low, high (fractions) and outcome, as `dha_utils.findings.outcomes.outcome_rows` gives them; those
        without an interval are left out.
    margin : float
        Largest loss that counts as none.
    """
    shown = [row for row in rows if row["low"] is not None]
    colours = {"holds": COLOURS[2], "better": COLOURS[2], "does not hold": COLOURS[3], "worse": COLOURS[3]}
    marks = {"holds": "o", "better": "o", "does not hold": "X", "worse": "X"}
    figure = Figure(figsize=(10, 0.42 * len(shown) + 1.2), layout="constrained")
    axis = figure.subplots()
    axis.axvline(0, color="0.4", lw=1.2)
    axis.axvline(-100 * margin, color="0.4", lw=1.2, ls="--")
    for place, row in enumerate(shown):
        colour, mark = colours.get(row["outcome"], "0.5"), marks.get(row["outcome"], "D")
        axis.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colour, lw=2)
        axis.plot([100 * row["estimate"]], [place], mark, ms=7, color=colour)
        axis.annotate(
            row["outcome"],
            (1.01, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=11,
            color="0.2",
        )
    axis.set_yticks(range(len(shown)), [row["part"] for row in shown], fontsize=11)
    axis.invert_yaxis()
    axis.set_xlabel("points of accuracy")
    return figure
