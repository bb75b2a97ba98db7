"""Figures of effective dimension and of silence; conventions as in `dha_utils.figures.style`."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from dha_utils.figures.style import COLOURS, TEXT, WIDTH, label_lines, name_taps, percent, readable


def dimensions(table: pd.DataFrame) -> Figure:
    """Draw the dimensions of `dha_utils.findings.dimension.dimension_table` above one another, tap by tap."""
    series = {
        "maps": ("maps", "s", "0.45"),
        "components\nfor 99 %": ("pc99_rest", "v", COLOURS[0]),
        "components\nfor 90 %": ("pc90_rest", "^", COLOURS[2]),
        "effective\ndimension": ("ratio_rest", "o", COLOURS[1]),
    }
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axis = figure.subplots()
    for column, marker, colour in series.values():
        axis.plot(range(len(table)), table[column], marker=marker, ms=7, lw=1, color=colour)
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(lambda value, position: f"{value:g}")
    axis.set_ylabel("dimensions")
    name_taps(axis, table["tap"])
    ends = [(table[column].iloc[-1], label, colour) for label, (column, _, colour) in series.items()]
    label_lines(axis, ends, 4)
    return figure


def unexplained(table: pd.DataFrame) -> Figure:
    """Draw what `dha_utils.findings.explained.unexplained_table` says of random maps, ANOVA's and components, tap by tap."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axis = figure.subplots()
    x = np.arange(len(table))
    axis.vlines(x, table["random_low"], table["random_high"], color="0.6", lw=5)
    axis.plot(x, table["random"], "o", ms=7, color="0.3", label="random maps (bar: lowest to highest draw)")
    axis.plot(x, table["anova"], "D", ms=7, color=COLOURS[0], label="ANOVA's maps")
    axis.plot(x, table["pca"], "_", ms=14, mew=3, color=COLOURS[1], label="principal components")
    axis.set_ylabel("variance left unexplained")
    axis.set_ylim(0, None)
    percent(axis.yaxis)
    name_taps(axis, table["tap"])
    figure.legend(loc="outside upper center", ncol=3)
    return figure


def similarity(matrix: pd.DataFrame) -> Figure:
    """Draw how alike pairs of taps see the same clips (`dha_utils.findings.alignment.cka_matrix`); blank where no number is."""
    fits = len(matrix) <= 16  # a number into every cell
    size = min(WIDTH - 0.7, max(4.0, 0.53 * len(matrix) + 0.3))
    figure = Figure(figsize=(size + 0.7, size + 0.4), layout="constrained")
    axis = figure.subplots()
    sns.heatmap(
        matrix.to_numpy(), vmin=0, vmax=1, cmap="viridis", annot=fits, fmt=".2f", annot_kws={"fontsize": TEXT}, square=True,
        xticklabels=list(matrix), yticklabels=list(matrix), cbar=not fits, ax=axis,
    )  # fmt: skip
    axis.set_xlabel("alignment (CKA) of two taps")
    axis.tick_params(axis="x", rotation=90)
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
    figure = Figure(figsize=(WIDTH, 0.3 * len(order) + 1), layout="constrained")
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
    percent(axis.xaxis)
    axis.set_xlabel("share of silent frames, each clip a dot, the mean a line")
    return figure


SILENCE = {
    "kept": ("maps that\nANOVA keeps", "correlation with silence (median |r|)"),
    "all": ("all maps", "correlation with silence (median |r|)"),
    "overlap": ("", "overlap of the kept maps"),
}
"""What lines and axis are called, of the columns of `dha_utils.studies.silence.tap_table`."""


def silence_by_tap(table: pd.DataFrame, *columns: str) -> Figure:
    """Draw columns of `dha_utils.studies.silence.tap_table` (each from 0 to 1, of one kind) tap by tap."""
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axis = figure.subplots()
    styles = zip(("D", "o", "s"), (COLOURS[0], "0.45", COLOURS[1]), strict=True)
    ends = []
    for column, (marker, colour) in zip(columns, styles, strict=False):
        label, ylabel = SILENCE[column]
        axis.plot(range(len(table)), table[column], marker=marker, ms=7, lw=1.2, color=colour)
        ends.append((table[column].iloc[-1], label, colour))
    axis.set_ylim(0, 1.02)
    axis.set_ylabel(ylabel)
    name_taps(axis, table["tap"])
    label_lines(axis, ends, 3.2)
    return figure
