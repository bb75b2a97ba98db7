"""Figures of feature maps: one function per figure, each takes tables or arrays and returns a matplotlib Figure.

Accuracies come in as fractions and are drawn in per cent. Text is drawn as text, so that figures can be searched.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dha_utils.audio.views import HOP
from dha_utils.figures.style import COLOURS, LINE, WIDTH, apart, label_lines, name_taps, percent, readable
from dha_utils.responses.table import Responses

KILOHERTZ = (0.5, 1, 2, 4, 8)
"""Frequencies that a spectrogram names."""


def spectrograms(examples: Mapping[str, np.ndarray], rate: int) -> Figure:
    """Draw one log-mel spectrogram (64, frames) in dB per class; `rate` in Hz gives the time axis."""
    columns = min(5, len(examples))
    rows = -(-len(examples) // columns)
    named = {label: readable(label, 16) for label in examples}
    lines = max(text.count("\n") for text in named.values())
    figure = Figure(figsize=(WIDTH, (1.5 + lines * LINE) * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    top = max(float(spectrogram.max()) for spectrogram in examples.values())
    frequencies = [kilohertz for kilohertz in KILOHERTZ if 1000 * kilohertz < rate / 2]
    for axis in axes.flat[len(examples) :]:
        axis.set_visible(False)
    for axis, (label, spectrogram) in zip(axes.flat, examples.items(), strict=False):
        extent = (0, spectrogram.shape[1] * HOP / rate, 0, len(spectrogram))
        drawn = spectrogram.astype(np.float32)
        style = {"cmap": "magma", "vmin": top - 80, "vmax": top, "interpolation_stage": "data"}
        image = axis.imshow(drawn, origin="lower", aspect="auto", extent=extent, **style)
        axis.set_title(named[label])
        axis.set_yticks(_band(frequencies, len(spectrogram), rate), [f"{f:g}" for f in frequencies])
        axis.xaxis.set_major_locator(MaxNLocator(3, integer=True, prune="upper"))
        axis.grid(False)
    figure.supxlabel("time (s)")
    figure.supylabel("frequency (kHz)")
    figure.colorbar(image, ax=axes, label="level (dB)", shrink=0.8, aspect=30, fraction=0.05)
    return figure


def _band(kilohertz: Sequence[float], bands: int, rate: float) -> np.ndarray:
    """Return where frequencies lie among mel bands (Slaney's scale) up to half the rate; band 0 goes from 0 to 1."""
    high = np.array([*kilohertz, rate / 2000])
    mels = np.where(high < 1, 15 * high, 15 + 27 * np.log(high) / np.log(6.4))
    return mels[:-1] / mels[-1] * (bands + 1) - 0.5


def class_means(
    responses: Responses, tap: str, maps: np.ndarray | None = None, limit: float | None = None
) -> Figure:
    """Draw the mean response of every map of a tap to every class, in standard deviations of the map over clips.

    Maps (columns) are ordered by the class that they answer to most; `maps` are the channels to draw, by default all;
    colours end at `limit` standard deviations, by default at nearly the largest mean.
    """
    x = responses[tap].astype(float)
    x = x if maps is None else x[:, maps]
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    means = np.stack([x[responses.y == label].mean(axis=0) for label in range(len(responses.classes))])
    order = np.lexsort((-means.max(axis=0), means.argmax(axis=0)))
    figure = Figure(figsize=(WIDTH, 0.24 * len(means) + 1.4), layout="constrained")
    axis = figure.subplots()
    limit = limit or float(np.quantile(np.abs(means), 0.995))
    image = axis.imshow(
        means[:, order], aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
    )
    axis.set_yticks(range(len(means)), [readable(label) for label in responses.classes])
    axis.set_xlabel(f"{means.shape[1]} maps of {tap}, by the class they answer to most")
    axis.grid(False)
    figure.colorbar(image, ax=axis, label="mean response (sd)", fraction=0.05)
    return figure


def _violins(table: pd.DataFrame, column: str, most: float) -> tuple[Figure, Axes]:
    """Return the distributions of a column over the maps of each tap; lines inside are quartiles."""
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    axis = figure.subplots()
    sns.violinplot(
        table, x="tap", y=column, hue="tap", palette="crest", legend=False, inner="quart", cut=0, ax=axis
    )
    axis.set_ylim(0, most)
    name_taps(axis, list(dict.fromkeys(table["tap"])))
    return figure, axis


def effect_sizes(effects: pd.DataFrame) -> Figure:
    """Draw the distribution of effect sizes over maps, tap by tap; columns ``tap`` and ``eta2``."""
    figure, axis = _violins(effects, "eta2", 1)
    axis.set_ylabel("η² (share of variance between classes)")
    return figure


def margin_curves(curve: pd.DataFrame, margin: float, share: float) -> Figure:
    """Draw the share of maps shown to respond alike over the margin f.

    Parameters
    ----------
    curve : DataFrame
        Columns form, margin, raw and adjusted, as `dha_utils.findings.equivalence.equivalence_curve` gives it.
    margin : float
        The margin that the text speaks of: a vertical line.
    share : float
        The share of maps that is said to be redundant: a horizontal line.
    """
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axis = figure.subplots()
    ends = []
    for colour, mark, (form, rows) in zip(COLOURS, "os^", curve.groupby("form", sort=False), strict=False):
        axis.plot(rows["margin"], rows["raw"], f"{mark}-", color=colour)
        axis.plot(rows["margin"], rows["adjusted"], f"{mark}--", color=colour, mfc="white")
        ends.append((rows["raw"].iloc[-1], form, colour))
    axis.plot([], [], "o-", color="0.4", label="raw p")
    axis.plot([], [], "o--", color="0.4", mfc="white", label="adjusted for the number of maps")
    axis.axhline(share, color="0.3", linestyle=":")
    axis.axvline(margin, color="0.6", linewidth=1)
    axis.set(
        xlabel="margin f: differences below it count as alike", ylabel="maps shown alike", ylim=(0, 1.02)
    )
    percent(axis.yaxis)
    left, right = axis.get_xlim()
    axis.text(left + 0.02 * (right - left), share - 0.02, f"{100 * share:.0f} % of the maps", va="top")
    axis.annotate(
        f"f = {margin:g}", (margin, 1.01), xycoords=("data", "axes fraction"), va="bottom", ha="center"
    )
    label_lines(axis, ends, 3.6)
    axis.legend(loc="lower right")
    return figure


def without_each_recording(table: pd.DataFrame, all_clips: float, named: int) -> Figure:
    """Draw the share of maps without difference with each recording left out, one dot each, sorted.

    Parameters
    ----------
    table : DataFrame
        Columns recording, label and all, the smallest share first.
    all_clips : float
        The share with all recordings: a line.
    named : int
        How many of the first recordings are named at most: those without which the share is clearly smaller.
    """
    height = 3.8
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axis = figure.subplots()
    axis.axhline(all_clips, color=COLOURS[1], linewidth=1.5)
    axis.plot(np.arange(1, len(table) + 1), table["all"], "o", markersize=4)
    axis.set(
        xlabel="recordings, each a dot, in order of the share without it", ylabel="maps without difference"
    )
    axis.set_ylim(0, 1.15 * max(all_clips, table["all"].max()))
    percent(axis.yaxis)
    first = table[table["all"] < 0.9 * all_clips].head(named)
    gap = axis.get_ylim()[1] * LINE / (height - 1)
    for place, row, y in zip(first.index, first.itertuples(), apart(first["all"], gap), strict=True):
        text = f"without {readable(row.recording)} ({readable(row.label)}): {row.all:.1%}"
        axis.annotate(text, (place + 1 + 0.015 * len(table), y), va="center")
    said = (0.99 * len(table), all_clips)
    axis.annotate(f"all recordings: {all_clips:.1%}", said, (0, 6), textcoords="offset points", ha="right")
    return figure


def carried_variance(table: pd.DataFrame) -> Figure:
    """Draw how much of the variance of each tap every clip carries, one dot each; columns ``tap`` and ``share``.

    Of dots that would lie on one another, as most do of thousands of clips, one is drawn.
    """
    table = table[~table.assign(share=table["share"].round(3)).duplicated(["tap", "share"])]
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    sns.stripplot(table, x="tap", y="share", hue="tap", palette="crest", legend=False, jitter=False, ax=axis)
    axis.set(ylabel="share of the tap's variance", ylim=(0, 1))
    percent(axis.yaxis)
    name_taps(axis, list(dict.fromkeys(table["tap"])))
    return figure


def pair_counts(pairs: pd.DataFrame, n_classes: int) -> Figure:
    """Draw how many pairs of classes the maps of each tap tell apart; columns ``tap`` and ``pairs``."""
    most = n_classes * (n_classes - 1) // 2
    figure, axis = _violins(pairs, "pairs", most)
    axis.set_ylabel(f"class pairs told apart (of {most})")
    return figure


def example_maps(
    examples: Mapping[str, np.ndarray],
    spectrograms: Mapping[str, np.ndarray],
    groups: Mapping[str, np.ndarray],
    duration: float,
) -> Figure:
    """Draw maps over time under the spectrogram of the clip that they answer to, one column per class.

    Parameters
    ----------
    examples : dict of str to ndarray, shape (C, T)
        Label -> maps of one tap; each map is scaled to its largest absolute value over all clips drawn.
    spectrograms : dict of str to ndarray, shape (64, frames)
        Label -> log-mel spectrogram in dB.
    groups : dict of str to ndarray of int
        Name of a row of panels -> channels drawn in it, one line each.
    duration : float
        Seconds per clip.
    """
    columns = min(5, len(examples))
    blocks = -(-len(examples) // columns)
    height = 1 + len(groups)
    named = {label: readable(label, 16) for label in examples}
    title = (1 + max(text.count("\n") for text in named.values())) * LINE + 0.1
    block = 1.1 * height
    size = (WIDTH, (block + title) * blocks + 0.6)
    # Laid out by hand: to find out where hundreds of axes do not touch takes Matplotlib ten seconds.
    figure = Figure(figsize=size, layout="none")
    margins = {
        "left": 0.35 / WIDTH,
        "right": 1 - 1 / WIDTH,
        "bottom": 0.6 / size[1],
        "top": 1 - title / size[1],
    }
    grid = figure.add_gridspec(blocks, columns, **margins, hspace=title / block, wspace=0.06)
    top = max(float(spectrogram.max()) for spectrogram in spectrograms.values())
    peak = np.max([np.abs(maps.astype(np.float32)).max(axis=1) for maps in examples.values()], axis=0)
    peak = np.where(peak > 0, peak, 1)[:, None]
    style = {"aspect": "auto", "interpolation": "nearest", "extent": (0, duration, 0, 1)}
    for number, (label, maps) in enumerate(examples.items()):
        panels = grid[divmod(number, columns)].subgridspec(height, 1, hspace=0.06).subplots()
        drawn = spectrograms[label].astype(np.float32)
        panels[0].imshow(drawn, origin="lower", cmap="magma", vmin=top - 80, vmax=top, **style)
        panels[0].set_title(named[label])
        for axis, channels in zip(panels[1:], groups.values(), strict=True):
            values = (maps.astype(np.float32) / peak)[channels]
            image = axis.imshow(values, cmap="viridis", vmin=min(0, values.min()), vmax=1, **style)
        for axis in panels:
            axis.set(yticks=[], xticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)  # of hundreds of axes they are a tenth of the page's size
        if number + columns >= len(examples):  # nothing below it
            panels[-1].xaxis.set_major_locator(MaxNLocator(3, integer=True, prune="upper"))
        if number % columns == 0:
            for axis, name in zip(panels, ("sound", *groups), strict=True):
                axis.set_ylabel(name)
    figure.supxlabel("time (s)", y=0.05 / size[1], va="bottom")
    scale = figure.add_axes(
        (1 - 0.8 / WIDTH, 0.5 - min(0.25, 2.5 / size[1]), 0.15 / WIDTH, min(0.5, 5 / size[1]))
    )
    figure.colorbar(image, cax=scale, label="response (share of the map's peak)")
    return figure
