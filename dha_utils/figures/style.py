"""What all figures have in common: sizes, colours, names as people say them, and labels that keep apart.

A figure is shown point for pixel (`dha_utils.studies.results`): what is drawn at 11 points is read at 11 pixels. So no text is
smaller than `TEXT`, and no figure wider than `WIDTH`, the column of a page in a window of 1280 pixels. What bars, shades and
colours are that no legend names is a figure's label (``Figure.set_label``): it ends the caption.
"""

from collections.abc import Sequence
from textwrap import fill

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.optimize import isotonic_regression

from dha_utils.criteria.described import TITLES

COLOURS = sns.color_palette("colorblind")

WIDTH = 9.15
"""Inches of 72 points; with the margin that is kept around what is drawn, 672 points."""

TEXT = 11
"""Points."""

LINE = 15 / 72
"""Inches from one line of text to the next."""


def set_style() -> None:
    """Set the style of all figures of the book, whatever a ``matplotlibrc`` says; called once per notebook."""
    mpl.style.use("default")
    sizes = ("font.size", "axes.labelsize", "axes.titlesize", "xtick.labelsize", "ytick.labelsize")
    sizes += ("legend.fontsize", "legend.title_fontsize", "figure.labelsize", "figure.titlesize")
    rc = dict.fromkeys(sizes, TEXT) | {"svg.fonttype": "none", "legend.frameon": False}
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", rc=rc)
    mpl.rcParams["figure.constrained_layout.use"] = True


def readable(label: str, width: int = 0) -> str:
    r"""Return a class label as it is written on an axis, in lines of at most `width` characters if that is given.

    >>> readable("crackling_fire"), readable("under $5 or $6"), readable("door_wood_creaks", 10)
    ('crackling fire', 'under \\$5 or \\$6', 'door wood\ncreaks')
    """
    text = label.replace("_", " ")
    # Between two dollar signs Matplotlib would read a formula.
    return (fill(text, width) if width else text).replace("$", r"\$")


def title(criterion: str) -> str:
    """Return what people call a criterion.

    >>> title("anova"), title("my_own")
    ('ANOVA', 'my own')
    """
    return TITLES.get(criterion) or readable(criterion)


def percent(*axes) -> None:
    """Show the fractions of linear axes, such as ``axis.yaxis``, in whole per cent."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def name_taps(axis: Axes, taps: Sequence[str]) -> None:
    """Name the taps under an axis, one place each; names that do not fit beside one another stand upright."""
    upright = max(map(len, taps)) * len(taps) > 90
    axis.set_xticks(range(len(taps)), taps, rotation=90 if upright else 0)
    axis.set_xlabel("tap, from input to output")
    axis.set_xlim(-0.6, len(taps) - 0.4)


def apart(places: Sequence[float], gap: float) -> np.ndarray:
    """Return places that are at least `gap` from one another, in the same order and as near to the given ones as that allows.

    >>> apart([0.0, 1.0, 1.1], 0.5).tolist()
    [0.0, 0.8, 1.3]
    """
    places = np.asarray(places, float)
    order = np.argsort(places, kind="stable")
    steps = gap * np.arange(len(places))
    moved = np.empty(len(places))
    moved[order] = isotonic_regression(places[order] - steps).x + steps
    return moved.round(6)


def label_lines(axis: Axes, labels: Sequence[tuple[float, str, object]], height: float) -> None:
    """Write beside the right edge what lines are called, each at the height of its end, and apart from one another.

    Parameters
    ----------
    axis : Axes
        Its limits are final.
    labels : sequence of (y, text, colour)
    height : float
        Of the axis, about, in inches.
    """
    scaled = axis.transScale + axis.transLimits
    ends = [scaled.transform((axis.get_xlim()[1], y))[1] for y, *_ in labels]
    lines = max(text.count("\n") + 1 for _, text, _ in labels)
    for place, (_, text, colour) in zip(apart(ends, lines * LINE / height), labels, strict=True):
        axis.annotate(text, (1.01, place), xycoords="axes fraction", va="center", color=colour)
