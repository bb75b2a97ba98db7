"""Figures class by class, legible with fifty of them; conventions as in `dha_utils.figures.style`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from dha_utils.figures.style import COLOURS, WIDTH, percent, readable


def class_changes(table: pd.DataFrame) -> Figure:
    """Draw the accuracy of every class before and after, with the interval of the change around the latter.

    A line in colour where that interval excludes 0.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.per_class.class_changes` gives it; fractions.
    """
    figure = Figure(figsize=(6.4, 0.23 * len(table) + 1.2), layout="constrained")
    axis = figure.subplots()
    y = np.arange(len(table))
    sure = (table["low"] > 0) | (table["high"] < 0)
    colours = np.where(sure, COLOURS.as_hex()[3], "0.7")
    low, high = ((table["full"] + table[end]).clip(0, 1) for end in ("low", "high"))
    axis.hlines(y, low, high, color="0.5", lw=1, label="95 % interval")
    axis.hlines(y, table["full"], table["accuracy"], color=colours, lw=2)
    axis.plot(table["full"], y, "o", ms=5, mfc="white", mec="0.2", label="all maps")
    axis.plot(table["accuracy"], y, "o", ms=5, color=COLOURS[0], label="some ignored")
    axis.set_yticks(y, [readable(label) for label in table["label"]])
    axis.set_ylim(len(table) - 0.5, -0.5)
    percent(axis.xaxis)
    axis.set_xlabel("accuracy")
    figure.legend(loc="outside upper center", ncol=3)
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str], most: int = 24) -> Figure:
    """Draw which classes are taken for which: share of a row's clips, classes that are confused beside one another.

    Of more than `most` classes those are drawn that are confused most.

    Parameters
    ----------
    matrix : ndarray, shape (classes, classes)
        True class in the rows, as `dha_utils.findings.per_class.confusion` gives it.
    classes : sequence of str
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    alike = (shares + shares.T) / 2
    np.fill_diagonal(alike, 0)
    drawn = np.sort(np.argsort(-alike.sum(axis=1), kind="stable")[:most])
    shares, alike = (values[np.ix_(drawn, drawn)] for values in (shares, alike))
    np.fill_diagonal(alike, 1)
    tree = linkage(squareform(1 - alike, checks=False), "average", optimal_ordering=True)
    order = leaves_list(tree)
    labels = [readable(classes[drawn[i]]) for i in order]
    wrong = np.ma.masked_equal(shares - np.diag(np.diag(shares)), 0)[np.ix_(order, order)]
    side = 0.25 * len(labels) + 2.4
    figure = Figure(figsize=(min(side + 0.8, WIDTH), side), layout="constrained")
    axis = figure.subplots()
    # Right ones, which most are, would hide the others: the diagonal is grey.
    axis.imshow(np.ma.masked_equal(np.eye(len(labels)), 0), cmap="Greys", vmin=0, vmax=4)
    image = axis.imshow(100 * wrong, cmap="cividis_r", vmin=0)
    axis.set_xticks(range(len(labels)), labels, rotation=90)
    axis.set_yticks(range(len(labels)), labels)
    some = f" ({len(labels)} classes of {len(classes)}, those confused most)"
    axis.set(xlabel="taken for" + some * (len(labels) < len(classes)), ylabel="true class")
    axis.grid(color="0.92", lw=0.4)
    figure.colorbar(image, ax=axis, label="% of the clips of a class; white: none", shrink=0.7)
    return figure
