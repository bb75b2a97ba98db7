"""Figures: one function per figure, each takes tables or arrays and returns a matplotlib Figure.

Accuracies come in as fractions and are drawn in per cent. Text is drawn as text, so that figures can be searched.
"""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dha_utils.audio.views import HOP
from dha_utils.responses.table import Responses

COLOURS = sns.color_palette("colorblind")


def set_style() -> None:
    """Set the style of all figures of the book; called once per notebook."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", rc={"svg.fonttype": "none"})
    mpl.rcParams["figure.constrained_layout.use"] = True


def readable(label: str) -> str:
    r"""Return a class label as it is written on an axis.

    >>> readable("crackling_fire"), readable("under $5 or $6")
    ('crackling fire', 'under \\$5 or \\$6')
    """
    return label.replace("_", " ").replace("$", r"\$")  # between two of them Matplotlib would read a formula


def spectrograms(examples: Mapping[str, np.ndarray], rate: int) -> Figure:
    """Draw one log-mel spectrogram (64, frames) in dB per class; `rate` in Hz gives the time axis."""
    columns = min(5, len(examples))
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(2.3 * columns, 1.9 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    top = max(float(spectrogram.max()) for spectrogram in examples.values())
    for axis in axes.flat[len(examples) :]:
        axis.set_visible(False)
    for axis, (label, spectrogram) in zip(axes.flat, examples.items(), strict=False):
        extent = (0, spectrogram.shape[1] * HOP / rate, 0, len(spectrogram))
        drawn = spectrogram.astype(np.float32)
        image = axis.imshow(
            drawn, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - 80, vmax=top
        )
        axis.set_title(readable(label), fontsize=11)
        axis.grid(False)
    figure.supxlabel("time (s)", fontsize=11)
    figure.supylabel("mel band", fontsize=11)
    figure.colorbar(image, ax=axes, label="level (dB)", shrink=0.8)
    return figure


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
    figure = Figure(figsize=(10, 0.32 * len(means) + 1.4), layout="constrained")
    axis = figure.subplots()
    limit = limit or float(np.quantile(np.abs(means), 0.995))
    image = axis.imshow(
        means[:, order], aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
    )
    axis.set_yticks(range(len(means)), [readable(label) for label in responses.classes])
    axis.set_xlabel(f"{means.shape[1]} maps of {tap}, by the class they answer to most")
    axis.grid(False)
    figure.colorbar(image, ax=axis, label="mean response (sd)")
    return figure


def effect_sizes(effects: pd.DataFrame) -> Figure:
    r"""Draw the distribution of effect sizes over maps, tap by tap; columns ``tap`` and ``eta2``."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axis = figure.subplots()
    sns.violinplot(
        effects, x="tap", y="eta2", hue="tap", palette="crest", legend=False, inner="quart", cut=0, ax=axis
    )
    axis.set(
        xlabel="tap, from input to output",
        ylabel=r"$\eta^2$ (share of variance between classes)",
        ylim=(0, 1),
    )
    axis.tick_params(axis="x", rotation=40)
    return figure


def shares(table: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """Draw columns of `table` (fractions, one row per tap) as grouped bars; `columns` maps name -> legend."""
    long = table.melt(id_vars="tap", value_vars=list(columns), var_name="which", value_name="share")
    long["which"] = long["which"].map(columns)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    axis = figure.subplots()
    sns.barplot(long, x="tap", y="share", hue="which", ax=axis)
    axis.set(xlabel="tap, from input to output", ylabel="share of maps", ylim=(0, 1))
    axis.tick_params(axis="x", rotation=40)
    sns.move_legend(
        axis, "lower center", bbox_to_anchor=(0.5, 1), ncol=len(columns), title=None, frameon=False
    )
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
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
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axis = figure.subplots()
    for colour, (form, rows) in zip(COLOURS, curve.groupby("form", sort=False), strict=False):
        axis.plot(rows["margin"], rows["raw"], "o-", color=colour, label=f"{form}, raw p")
        axis.plot(rows["margin"], rows["adjusted"], "o--", color=colour, alpha=0.6, label=f"{form}, adjusted")
    axis.axhline(share, color="0.3", linestyle=":", label=f"{100 * share:.0f} % of the maps")
    axis.axvline(margin, color="0.6", linewidth=1, label=f"f = {margin:g}")
    axis.set(xlabel="margin f: differences below it count as alike", ylabel="maps shown alike", ylim=(0, 1))
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="lower right", frameon=True)
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
        How many of the first recordings are named.
    """
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axis = figure.subplots()
    axis.axhline(all_clips, color="0.5", linewidth=1, label="all recordings")
    axis.plot(np.arange(1, len(table) + 1), table["all"], "o", markersize=4, label="one recording left out")
    for place, row in table.head(named).iterrows():
        recording = row["recording"].replace("$", r"\$")
        text = f"{recording} ({readable(row['label'])})"
        axis.annotate(text, (place + 1, row["all"]), (8, -3), textcoords="offset points", fontsize=10)
    axis.set(xlabel="recordings, in order of the share", ylabel="maps without difference")
    axis.set_ylim(bottom=0)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(loc="lower right")
    return figure


def carried_variance(table: pd.DataFrame) -> Figure:
    """Draw how much of the variance of each tap every clip carries, one dot each; columns ``tap`` and ``share``.

    Of dots that would lie on one another, as most do of thousands of clips, one is drawn.
    """
    table = table[~table.assign(share=table["share"].round(3)).duplicated(["tap", "share"])]
    figure = Figure(figsize=(10, 4), layout="constrained")
    axis = figure.subplots()
    sns.stripplot(table, x="tap", y="share", hue="tap", palette="crest", legend=False, jitter=False, ax=axis)
    axis.set(xlabel="tap, from input to output", ylabel="share of the tap's variance", ylim=(0, 1))
    axis.tick_params(axis="x", rotation=40)
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def pair_counts(pairs: pd.DataFrame, n_classes: int) -> Figure:
    """Draw how many pairs of classes the maps of each tap tell apart; columns ``tap`` and ``pairs``."""
    most = n_classes * (n_classes - 1) // 2
    figure = Figure(figsize=(10, 4), layout="constrained")
    axis = figure.subplots()
    sns.violinplot(
        pairs, x="tap", y="pairs", hue="tap", palette="crest", legend=False, inner="quart", cut=0, ax=axis
    )
    axis.set(xlabel="tap, from input to output", ylabel=f"class pairs told apart (of {most})", ylim=(0, most))
    axis.tick_params(axis="x", rotation=40)
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
    figure = Figure(figsize=(2.2 * columns, 1.35 * blocks * height + 0.5), layout="constrained")
    axes = figure.subplots(blocks * height, columns, sharex=True, squeeze=False)
    top = max(float(spectrogram.max()) for spectrogram in spectrograms.values())
    peak = np.max([np.abs(maps.astype(np.float32)).max(axis=1) for maps in examples.values()], axis=0)
    peak = np.where(peak > 0, peak, 1)[:, None]
    style = {"aspect": "auto", "interpolation": "nearest"}
    for axis in axes.flat:
        axis.set(yticks=[])
        axis.grid(False)
    for number in range(len(examples), blocks * columns):
        for axis in axes[number // columns * height :][:height, number % columns]:
            axis.set_visible(False)
    for number, (label, maps) in enumerate(examples.items()):
        panels = axes[number // columns * height :][:height, number % columns]
        drawn = spectrograms[label].astype(np.float32)
        box = (0, duration, 0, 1)
        panels[0].imshow(drawn, origin="lower", extent=box, cmap="magma", vmin=top - 80, vmax=top, **style)
        panels[0].set_title(readable(label), fontsize=11)
        for axis, channels in zip(panels[1:], groups.values(), strict=True):
            values = (maps.astype(np.float32) / peak)[channels]
            image = axis.imshow(
                values, extent=box, cmap="viridis", vmin=min(0, values.min()), vmax=1, **style
            )
        if number % columns == 0:
            for axis, name in zip(panels, ("sound", *groups), strict=True):
                axis.set_ylabel(name, fontsize=10)
    figure.supxlabel("time (s)", fontsize=11)
    figure.colorbar(image, ax=axes, label="response (share of the map's peak)", shrink=0.5)
    return figure
