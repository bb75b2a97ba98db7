"""Figures of smaller networks; conventions as in `dha_utils.figures.style`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dha_utils.figures.style import COLOURS, WIDTH, label_lines, percent, title
from dha_utils.paper import SAVED
from dha_utils.pruning.compensation import COMPENSATIONS
from dha_utils.pruning.compressor import PSNET_SIZE
from dha_utils.studies.trials import SMALL

LOOKS = {
    "anova": (COLOURS[0], "o"),
    "explained_variance": (COLOURS[5], "s"),
    "next_layer": (COLOURS[4], "D"),
    "pivoted_qr_unpooled": (COLOURS[9], "^"),
    "l1": ("0.15", "v"),
    "psnet": (COLOURS[1], "P"),
}
"""Criterion -> its colour and mark, the same in all figures; 2 and 3 are the full network and the margin, grey random maps."""

MARKERS = "osD^vP"

COSTS = {"macs": "multiply-accumulates", "parameters": "parameters", "time": "wall-clock"}

CURVES = (0, 1, 5)
"""Colours of sizes."""


def layer_costs(costs: pd.DataFrame) -> Figure:
    """Draw the share of each layer in multiply-accumulates and in parameters; columns as `dha_utils.count_macs` gives them."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axis = figure.subplots()
    x = np.arange(len(costs))
    names = {"macs": "multiply-accumulates", "parameters": "parameters"}
    for number, (column, name) in enumerate(names.items()):
        share = costs[column] / costs[column].sum()
        axis.bar(x + 0.4 * number - 0.2, share, 0.4, color=COLOURS[number], label=name)
    axis.set_xticks(x, costs["layer"])
    percent(axis.yaxis)
    axis.set(xlabel="layer", ylabel="share of the network")
    axis.legend()
    return figure


def compensations(trials: pd.DataFrame, full: float) -> Figure:
    """Draw accuracies by selection and compensation, at p-Snet's size and `SMALL`, with the range of random maps.

    Parameters
    ----------
    trials : DataFrame
        As `dha_utils.results_table` gives it; fine-tuned ones are left out. Bars are the interval of the change.
    full : float
        Accuracy on the full network.
    """
    sizes = {PSNET_SIZE: "p-Snet's numbers of maps", SMALL: f"{float(SMALL):.0%} of the computation"}
    methods = list(COMPENSATIONS)
    trials = trials[trials["epochs"] == 0]
    figure = Figure(figsize=(WIDTH, 3.6 * len(sizes)), layout="constrained")
    figure.set_label("Bars: 95 % intervals of the change against the full network.")
    axes = figure.subplots(len(sizes), 1, sharey=True, squeeze=False)[:, 0]
    names = [name for name in trials["criterion"].unique() if name != "random"]
    places = np.arange(len(methods))
    for axis, (size, text) in zip(axes, sizes.items(), strict=True):
        part = trials[trials["size"] == size]
        random = part[part["criterion"] == "random"].groupby("compensation")["accuracy"]
        low, high, mean = (getattr(random, f)().reindex(methods) for f in ("min", "max", "mean"))
        axis.bar(places, high - low, 0.9, bottom=low, color="0.87", label="random maps: range")
        axis.hlines(mean, places - 0.45, places + 0.45, color="0.4", label="random maps: mean")
        axis.axhline(full, color=COLOURS[2], lw=2)
        for number, name in enumerate(names):
            rows = part[part["criterion"] == name].set_index("compensation").reindex(methods)
            x = places + 0.14 * (number - (len(names) - 1) / 2)
            errors = np.stack([rows["change"] - rows["low"], rows["high"] - rows["change"]])
            colour, marker = LOOKS[name]
            axis.errorbar(
                x, rows["accuracy"], errors, ls="", marker=marker, ms=6, elinewidth=0.8, label=title(name), color=colour
            )  # fmt: skip
        axis.set_xticks(places, methods)
        axis.set_xlim(-0.5, len(methods) - 0.5)
        axis.set_title(text)
        axis.set_ylabel("accuracy of the ensemble")
        percent(axis.yaxis)
    for axis in axes:
        label_lines(axis, [(full, "full\nnetwork", COLOURS[2])], 3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncol=3)
    return figure


def frontier(trials: pd.DataFrame, column: str, full: float, published: pd.Series | None = None) -> Figure:
    """Draw accuracy against a cost, as a fraction of the full network's; in ``macs`` with a line at the paper's saving.

    Parameters
    ----------
    trials : DataFrame
        Columns criterion, seed, accuracy, change, low, high and `column`; rows of ``random`` make the grey range.
    column : str
        The cost, one of `COSTS`.
    full : float
        Accuracy on the full network.
    published : Series, optional
        p-Snet's filters, which are marked: `column` and accuracy.
    """
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    figure.set_label("Bars: 95 % intervals of the change against the full network.")
    axis = figure.subplots()
    random = trials[trials["criterion"] == "random"]
    if len(random):
        by_size = random.groupby("size").agg(
            cost=(column, "mean"), low=("accuracy", "min"), high=("accuracy", "max")
        )
        by_size = by_size.sort_values("cost")
        axis.fill_between(
            by_size["cost"],
            by_size["low"],
            by_size["high"],
            color="0.85",
            label="random maps, refitted: range",
        )
    axis.axhline(full, color=COLOURS[2], lw=2)
    axis.axhline(full - 0.03, color=COLOURS[3], lw=1.2, ls="--")
    names = [name for name in trials["criterion"].unique() if name != "random"]
    for name in names:
        rows = trials[trials["criterion"] == name].sort_values(column)
        errors = np.stack([rows["change"] - rows["low"], rows["high"] - rows["change"]])
        colour, marker = LOOKS[name]
        axis.errorbar(
            rows[column], rows["accuracy"], errors, marker=marker, ms=5, lw=1.5, elinewidth=0.8, color=colour,
            label=f"{title(name)}, refitted",
        )  # fmt: skip
    if published is not None:
        axis.plot(
            published[column], published["accuracy"], "*", ms=13, color=LOOKS["psnet"][0], label="p-Snet's filters, as published"
        )  # fmt: skip
    if column == "macs":
        text = f"DHA: {100 * SAVED:.0f} % less computation"
        axis.axvline(1 - SAVED, color="0.4", lw=1.2, ls=":", label=text)
    percent(axis.xaxis, axis.yaxis)
    axis.set(
        xlabel=f"{COSTS[column]}, of the full network's", ylabel="accuracy of the ensemble", xlim=(0, 1.02)
    )
    ends = [(full, "full\nnetwork", COLOURS[2]), (full - 0.03, "3 points\nless", COLOURS[3])]
    label_lines(axis, ends, 4.2)
    axis.legend(loc="lower right", frameon=True)
    return figure


def speeds(times: pd.DataFrame) -> Figure:
    """Draw the time that networks take against their multiply-accumulates, both as fractions of the full network's."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.5", ls=":", label="time saved as multiplications are")
    axis.plot([0, 1], [0.3, 1], color="0.5", ls="--", label="time saved 0.7 times as much")
    axis.plot(times["macs"], times["time"], "o", color=COLOURS[0], label="measured")
    percent(axis.xaxis, axis.yaxis)
    axis.set(xlabel="multiply-accumulates", ylabel="wall-clock", xlim=(0, 1.05), ylim=(0, 1.05))
    axis.legend(loc="upper left")
    return figure


def equal_cost(table: pd.DataFrame, full: float) -> Figure:
    """Draw the accuracies of a `dha_utils.findings.smaller.equal_table`, one row per criterion; dotted, those of random maps.

    Parameters
    ----------
    table : DataFrame
    full : float
        Accuracy on the full network.
    """
    sizes = [name for name in table if name.endswith(" %")]
    chosen, random = (table[(table["criterion"] == "random") == is_random] for is_random in (False, True))
    figure = Figure(figsize=(WIDTH, 1.6 + 0.36 * len(chosen)), layout="constrained")
    axis = figure.subplots()
    places = np.arange(len(chosen))[::-1]
    axis.axvline(full, color=COLOURS[2], lw=2, label="full network")
    for number, size in enumerate(sizes):
        look = {"color": COLOURS[CURVES[number]]}
        axis.plot(chosen[size], places, MARKERS[number], ms=7, label=f"{size} of the multiplications", **look)
        for mean in random[size]:
            axis.axvline(mean, ls=":", **look)
    axis.set_yticks(
        places,
        [
            f"{title(name)} ({needs})"
            for name, needs in zip(chosen["criterion"], chosen["needs"], strict=True)
        ],
    )
    percent(axis.xaxis)
    axis.set(xlabel="accuracy of the ensemble; dotted: random filters", ylim=(-0.6, len(chosen) - 0.4))
    figure.legend(loc="outside upper center", ncol=2)
    return figure
