"""Figures class by class, legible with fifty of them; the same conventions as `dha_utils.figures.maps`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from dha_utils.figures.maps import COLOURS, readable


def class_changes(table: pd.DataFrame) -> Figure:
    """Draw the accuracy of every class before and after; a line in colour where the interval of the change excludes 0.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.per_class.class_changes` gives it; fractions.
    """
    figure = Figure(figsize=(5.6, 0.21 * len(table) + 1.3), layout="constrained")
    axis = figure.subplots()
    y = np.arange(len(table))
    sure = (table["low"] > 0) | (table["high"] < 0)
    colours = np.where(sure, COLOURS.as_hex()[3], "0.6")
    axis.hlines(y, table["full"], table["accuracy"], color=colours, lw=2)
    axis.plot(table["full"], y, "o", ms=5, mfc="white", mec="0.2", label="all maps")
    axis.plot(table["accuracy"], y, "o", ms=5, color=COLOURS[0], label="some ignored")
    axis.set_yticks(y, [readable(label) for label in table["label"]], fontsize=9)
    axis.set_ylim(len(table) - 0.5, -0.5)
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.set_xlabel("accuracy", fontsize=10)
    figure.legend(loc="outside upper center", ncol=2, fontsize=9, frameon=False)
    return figure


def confusion(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw which classes are taken for which: share of a row's clips, classes that are confused beside one another.

    Parameters
    ----------
    matrix : ndarray, shape (classes, classes)
        True class in the rows, as `dha_utils.findings.per_class.confusion` gives it.
    classes : sequence of str
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    alike = (shares + shares.T) / 2
    np.fill_diagonal(alike, 1)
    tree = linkage(squareform(1 - alike, checks=False), "average", optimal_ordering=True)
    order = leaves_list(tree)
    labels = [readable(classes[i]) for i in order]
    wrong = np.ma.masked_equal(shares - np.diag(np.diag(shares)), 0)[np.ix_(order, order)]
    side = 0.17 * len(labels) + 3
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axis = figure.subplots()
    # Right ones, which most are, would hide the others: the diagonal is grey.
    axis.imshow(np.ma.masked_equal(np.eye(len(labels)), 0), cmap="Greys", vmin=0, vmax=4)
    image = axis.imshow(100 * wrong, cmap="cividis_r", vmin=0)
    axis.set_xticks(range(len(labels)), labels, rotation=90, fontsize=9)
    axis.set_yticks(range(len(labels)), labels, fontsize=9)
    axis.set(xlabel="taken for", ylabel="true class")
    axis.grid(color="0.92", lw=0.4)
    figure.colorbar(image, ax=axis, label="% of the clips of a class", shrink=0.7)
    return figure
