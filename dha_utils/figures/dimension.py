"""Figures of effective dimension and of silence; conventions as in `dha_utils.figures.maps`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dha_utils.figures.maps import COLOURS, readable


def _name_taps(axis: Axes, taps: Sequence[str]) -> None:
    axis.set_xticks(range(len(taps)), taps, rotation=40)
    axis.set_xlabel("tap, from input to output")
    axis.set_xlim(-0.5, len(taps) - 0.5)


def dimensions(table: pd.DataFrame) -> Figure:
    """Draw the dimensions of `dha_utils.findings.dimension.dimension_table` above one another, tap by tap."""
    series = {
        "maps": ("maps", "s", "0.45"),
        "components for 99 %": ("pc99_rest", "v", COLOURS[0]),
        "components for 90 %": ("pc90_rest", "^", COLOURS[2]),
        "effective dimension": ("ratio_rest", "o", COLOURS[1]),
    }
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axis = figure.subplots()
    for label, (column, marker, colour) in series.items():
        axis.plot(range(len(table)), table[column], marker=marker, ms=7, lw=1, color=colour, label=label)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    axis.set_ylabel("dimensions")
    _name_taps(axis, table["tap"])
    figure.legend(loc="outside upper center", ncol=4, frameon=False, fontsize=11)
    return figure


def unexplained(table: pd.DataFrame) -> Figure:
    """Draw what `dha_utils.findings.explained.unexplained_table` says of random maps, ANOVA's and components, tap by tap."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axis = figure.subplots()
    x = np.arange(len(table))
    axis.vlines(x, table["random_low"], table["random_high"], color="0.6", lw=5)
    axis.plot(x, table["random"], "o", ms=7, color="0.3", label="random maps (bar: lowest to highest draw)")
    axis.plot(x, table["anova"], "D", ms=7, color=COLOURS[0], label="ANOVA's maps")
    axis.plot(x, table["pca"], "_", ms=14, mew=3, color=COLOURS[1], label="principal components")
    axis.set_ylabel("variance left unexplained")
    axis.set_ylim(0, None)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    _name_taps(axis, table["tap"])
    figure.legend(loc="outside upper center", ncol=3, frameon=False, fontsize=11)
    return figure


def similarity(matrix: pd.DataFrame) -> Figure:
    """Draw how alike pairs of taps see the same clips (`dha_utils.findings.alignment.cka_matrix`); blank where no number is."""
    size = max(4.0, 0.62 * len(matrix))
    figure = Figure(figsize=(size + 1.2, size), layout="constrained")
    axis = figure.subplots()
    sns.heatmap(
        matrix.to_numpy(), vmin=0, vmax=1, cmap="viridis", annot=True, fmt=".2f", annot_kws={"fontsize": 9}, square=True,
        xticklabels=list(matrix), yticklabels=list(matrix), cbar_kws={"label": "alignment (CKA)", "shrink": 0.8}, ax=axis,
    )  # fmt: skip
    axis.tick_params(axis="x", rotation=60)
    axis.tick_params(axis="y", rotation=0)
    return figure


def silence_by_class(shares: np.ndarray, clips: pd.DataFrame, classes: pd.DataFrame) -> Figure:
    """Draw the share of silence of every clip, one row per class; a line marks the mean.

    Parameters
    ----------
    shares : ndarray, shape (clips,)
    clips : DataFrame
        Column label, in the order of the shares.
    classes : DataFrame
        Column label, in the order from the top (`dha_utils.studies.silence.class_table`).
    """
    labels, order = clips["label"].to_numpy(), classes["label"]
    figure = Figure(figsize=(10, 0.45 * len(order) + 1.2), layout="constrained")
    axis = figure.subplots()
    rng = np.random.default_rng(0)
    for row, label in enumerate(order):
        own = shares[labels == label]
        jitter = rng.uniform(-0.25, 0.25, len(own))
        axis.plot(own, row + jitter, "o", ms=4.5, mew=0, alpha=0.5, color=COLOURS[0])
        axis.vlines(own.mean(), row - 0.38, row + 0.38, color=COLOURS[1], lw=3)
    axis.set_yticks(range(len(order)), [readable(label) for label in order])
    axis.invert_yaxis()
    axis.set_xlim(-0.02, 1.02)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("share of silent frames, each clip a dot, the mean a line")
    return figure


SILENCE = {
    "kept": ("maps that ANOVA keeps", "correlation with silence (median |r|)"),
    "all": ("all maps", "correlation with silence (median |r|)"),
    "overlap": ("", "overlap of the kept maps"),
}
"""Legend and axis of the columns of `dha_utils.studies.silence.tap_table`."""


def silence_by_tap(table: pd.DataFrame, *columns: str) -> Figure:
    """Draw columns of `dha_utils.studies.silence.tap_table` (each from 0 to 1, of one kind) tap by tap."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    axis = figure.subplots()
    styles = zip(("D", "o", "s"), (COLOURS[0], "0.45", COLOURS[1]), strict=True)
    for column, (marker, colour) in zip(columns, styles, strict=False):
        label, ylabel = SILENCE[column]
        axis.plot(range(len(table)), table[column], marker=marker, ms=7, lw=1.2, color=colour, label=label)
    axis.set_ylim(0, 1.02)
    axis.set_ylabel(ylabel)
    _name_taps(axis, table["tap"])
    if len(columns) > 1:
        figure.legend(loc="outside upper center", ncol=len(columns), frameon=False, fontsize=11)
    return figure
