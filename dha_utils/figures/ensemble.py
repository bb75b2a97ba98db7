"""Figures of accuracies: taps, selections, sweeps; conventions as in `dha_utils.figures.style`."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from dha_utils.criteria import CRITERIA
from dha_utils.figures.style import COLOURS, LINE, WIDTH, percent, readable, title
from dha_utils.paper import EQUIVALENT

SUMS = {"all": "all taps", "released": "the released ten"}
"""What sums over taps are called."""

MARKS = "osD^vP"


def tap_accuracies(table: pd.DataFrame, levels: Mapping[str, float]) -> Figure:
    """Draw accuracies per tap and of their sums with intervals, from the input down to the sums.

    Parameters
    ----------
    table : DataFrame
        Columns ``tap``, ``series`` (legend), ``accuracy``, ``low``, ``high``.
    levels : dict of str to float
        Vertical lines: text -> accuracy.
    """
    taps = list(dict.fromkeys(table["tap"]))
    groups = list(table.groupby("series", sort=False))
    figure = Figure(figsize=(7.2, 0.32 * len(taps) + 1.2), layout="constrained")
    figure.set_label("Bars: 95 % intervals (Wilson's).")
    axis = figure.subplots()
    for number, (series, part) in enumerate(groups):
        y = np.array([taps.index(tap) for tap in part["tap"]]) + 0.26 * (number - (len(groups) - 1) / 2)
        errors = np.stack([part["accuracy"] - part["low"], part["high"] - part["accuracy"]])
        axis.errorbar(
            part["accuracy"], y, xerr=errors, fmt=MARKS[number], ms=5, lw=1.3, color=COLOURS[number], label=series
        )  # fmt: skip
    for number, (text, level) in enumerate(levels.items()):
        axis.axvline(level, color="0.45", lw=1.2, ls=("--", ":", "-.")[number % 3], label=text)
    axis.set_yticks(range(len(taps)), [SUMS.get(tap, tap) for tap in taps])
    axis.set_ylim(len(taps) - 0.5, -0.5)
    percent(axis.xaxis)
    axis.set(xlabel="accuracy", ylabel="classifier: one tap, or the sum over taps", xlim=(None, 1))
    figure.legend(loc="outside upper center", ncol=2)
    return figure


def cost_of_ignoring(full: float, selected: pd.DataFrame, random: Sequence[float]) -> Figure:
    """Draw the accuracy of selections with the interval of their change, of random selections, and with all maps.

    Parameters
    ----------
    full : float
        Accuracy with all maps.
    selected : DataFrame
        Columns selection, accuracy, change, low, high (of the change against all maps).
    random : sequence of float
        Accuracies of the random selections.
    """
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    figure.set_label(
        "Bars: 95 % intervals of the change against all maps. Grey: the draws of random maps; the line is their mean."
    )
    axis = figure.subplots()
    rows = [*selected["selection"], f"random maps,\n{len(random)} draws"]
    values, counts = np.unique(random, return_counts=True)
    sizes = 300 * counts / counts.max()
    axis.scatter(values, np.full(len(values), len(rows) - 1), s=sizes, color="0.6", zorder=3)
    axis.scatter([np.mean(random)], [len(rows) - 1], marker="|", s=500, lw=2.5, color="black", zorder=4)
    errors = np.stack([selected["change"] - selected["low"], selected["high"] - selected["change"]])
    axis.errorbar(selected["accuracy"], range(len(selected)), xerr=errors, fmt="o", ms=8, color=COLOURS[0])
    axis.axvline(full, color=COLOURS[2], lw=2)
    axis.axvline(full - 0.03, color=COLOURS[3], lw=1.5, ls="--")
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    above = {"xycoords": ("data", "axes fraction"), "va": "bottom"}
    axis.annotate("all maps", (full, 1.02), color=COLOURS[2], ha="left", **above)
    axis.annotate("3 points less", (full - 0.03, 1.02), color=COLOURS[3], ha="right", **above)
    percent(axis.xaxis)
    axis.set_xlabel("accuracy of the ensemble")
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
    figure = Figure(figsize=(WIDTH, 0.26 * len(table) + 1), layout="constrained")
    figure.set_label(
        f"Bars: 95 % intervals that hold for all criteria together. Grey: within {100 * margin:g} point of random maps."
    )
    axis = figure.subplots()
    axis.axvspan(-100 * margin, 100 * margin, color="0.9")
    axis.axvline(0, color="0.4", lw=1.2)
    errors = 100 * np.stack([table["difference"] - table["low"], table["high"] - table["difference"]])
    axis.errorbar(
        100 * table["difference"], np.arange(len(table)), xerr=errors, fmt="o", ms=5, lw=1.4, color=COLOURS[0]
    )
    axis.set_yticks(range(len(table)), [title(name) for name in table["criterion"]])
    axis.set_xlabel("accuracy minus that of random maps, points")
    axis.margins(y=0.02)
    return figure


def overlap(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw the overlaps (n, n) of the maps kept by pairs of criteria, ordered so that those which agree are neighbours."""
    order = leaves_list(linkage(squareform(1 - matrix, checks=False), "average"))
    labels = [title(names[i]) for i in order]
    figure = Figure(figsize=(WIDTH, 0.22 * len(labels) + 2.4), layout="constrained")
    axis = figure.subplots()
    image = axis.imshow(matrix[np.ix_(order, order)], cmap="viridis", vmin=0, vmax=1, aspect="auto")
    axis.set_xticks(range(len(labels)), labels, rotation=90)
    axis.set_yticks(range(len(labels)), labels)
    axis.grid(False)
    figure.colorbar(image, ax=axis, label="overlap (Jaccard)", shrink=0.6, fraction=0.04)
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
    axis.set_xticks(ticks, [f"{100 * keep:g}%" for keep in ticks])
    axis.minorticks_off()


def curves(table: pd.DataFrame, full: float) -> Figure:
    """Draw accuracy against the fraction of maps kept, one small panel per criterion, family by family.

    Parameters
    ----------
    table : DataFrame
        Columns criterion, keep, accuracy, change, low, high (of the change); the rows of the criterion ``random`` make the
        band. The point at 1 is `full`.
    full : float
        Accuracy with all maps.
    """
    random = table[table["criterion"] == "random"].groupby("keep")["accuracy"]
    band = random.agg(["min", "max"])
    band.loc[1.0] = full  # where nothing is ignored there is nothing to select
    names = [name for name in table["criterion"].unique() if name != "random"]
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(CRITERIA[name].family, []).append(name)
    lowest = min(band["min"].min(), table["accuracy"].min()) - 0.01
    figure, places = _family_panels(families)
    figure.set_label(
        "Grey: the range of random maps; green: all maps. Bars: 95 % intervals of the change against all maps."
    )
    for name, place in places.items():
        axis = figure.add_axes(place)
        rows = table[table["criterion"] == name]
        axis.fill_between(band.index, band["min"], band["max"], color="0.82", lw=0)
        axis.axhline(full, color=COLOURS[2], lw=1.2)
        low, high = (rows["accuracy"] + rows[end] - rows["change"] for end in ("low", "high"))
        axis.vlines(rows["keep"], low, high, color=COLOURS[0], lw=1, alpha=0.6)
        line = with_all_maps(rows, full)
        axis.plot(line["keep"], line["accuracy"], "o-", ms=3.5, lw=1.4, color=COLOURS[0])
        axis.set_title(title(name), pad=3)
        axis.set_ylim(lowest, min(1.0, max(full, table["accuracy"].max()) + 0.03))
        percent_axis(axis, band.index, most=4)
        percent(axis.yaxis)
        axis.tick_params(labelleft=place[0] == min(left for left, *_ in places.values()))
    figure.supxlabel("maps kept per tap", y=0.004)
    figure.supylabel("accuracy of the ensemble", x=0.004)
    return figure


def _family_panels(families: Mapping[str, Sequence[str]]) -> tuple[Figure, dict[str, tuple]]:
    """Return a figure with a heading for each family, and the place of every member's panel below it, four in a row."""
    columns, left, gap, heading, row, panel, foot = 4, 0.85, 0.28, 0.32, 1.5, 0.95, 0.35
    width = (WIDTH - left - 0.25) / columns - gap
    heights = [heading + row * -(-len(members) // columns) for members in families.values()]
    height = sum(heights) + foot
    figure = Figure(figsize=(WIDTH, height), layout="none")
    places, top = {}, height
    for own, (family, members) in zip(heights, families.items(), strict=True):
        figure.text(0.3 / WIDTH, 1 - (height - top + 0.1) / height, family, weight="bold", va="top")
        for number, name in enumerate(members):
            x = left + (number % columns) * (width + gap)
            y = top - heading - 0.2 - panel - row * (number // columns)
            places[name] = (x / WIDTH, y / height, width / WIDTH, panel / height)
        top -= own
    return figure, places


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
    figure = Figure(figsize=(WIDTH, 2 * -(-len(full) // 5) + 0.8), layout="constrained")
    figure.set_label("Random maps: the mean of the draws.")
    looks = {"anova": (COLOURS[0], "o"), "random": ("0.45", "s")}
    for axis, (tap, accuracy) in zip(_panels(figure, len(full)), full.items(), strict=True):
        axis.axhline(accuracy, color=COLOURS[2], lw=1.3, label="all maps")
        for name, rows in means[means["tap"] == tap].groupby("criterion"):
            rows = with_all_maps(rows, accuracy)
            colour, mark = looks[name]
            axis.plot(
                rows["keep"], rows["accuracy"], f"{mark}-", ms=3.5, lw=1.2, color=colour, label=title(name)
            )
        axis.set_title(tap)
        percent_axis(axis, means["keep"], most=3)
        percent(axis.yaxis)
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncol=3)
    figure.supxlabel("maps kept")
    figure.supylabel("accuracy of the tap alone")
    return figure


def tap_differences(table: pd.DataFrame) -> Figure:
    """Draw how much more accurate each tap is with a criterion's maps than with random ones, per fraction kept.

    Parameters
    ----------
    table : DataFrame
        Columns tap, keep, difference, low, high, outcome, as `dha_utils.findings.random_maps.random_table` gives them; fractions.
    """
    looks = {"better": (COLOURS[0], "^"), "worse": (COLOURS[3], "v")}
    taps = list(dict.fromkeys(table["tap"]))
    figure = Figure(figsize=(WIDTH, 2 * -(-len(taps) // 5) + 0.8), layout="constrained")
    figure.set_label(
        "Bars: 95 % intervals. ▲ in blue: better than random maps; ▼ in orange: worse; grey: neither is shown."
    )
    for axis, tap in zip(_panels(figure, len(taps)), taps, strict=True):
        rows = table[table["tap"] == tap].sort_values("keep")
        axis.axhline(0, color="0.4", lw=1)
        for place, row in enumerate(rows.itertuples()):
            colour, mark = looks.get(row.outcome, ("0.6", "o"))
            axis.plot([place, place], [100 * row.low, 100 * row.high], color=colour, lw=2)
            axis.plot([place], [100 * row.difference], mark, ms=5, color=colour)
        axis.set_title(tap)
        axis.set_xticks(range(len(rows)), [f"{100 * keep:g}" for keep in rows["keep"]])
    figure.supxlabel("maps kept, %")
    figure.supylabel("accuracy minus that of random maps, points")
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
    names = [readable(row["part"], 40) for row in shown]
    height = (max((name.count("\n") for name in names), default=0) + 1) * LINE + 0.1
    figure = Figure(figsize=(WIDTH, height * len(shown) + 1), layout="constrained")
    figure.set_label("Bars: 95 % intervals. Dashed: the largest loss that counts as none.")
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
            color="0.2",
        )
    axis.set_yticks(range(len(shown)), names)
    axis.set_ylim(len(shown) - 0.4, -0.6)
    axis.set_xlabel("points of accuracy")
    return figure
