"""Figures of the sensitivity analysis; conventions as in `dha_utils.figures.style`."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dha_utils.figures.style import COLOURS
from dha_utils.paper import EQUIVALENT, MARGIN
from dha_utils.studies.specifications import CHOICES, PRIMARY

LOOKS = {
    "holds": (COLOURS[0], "o"),
    "better": (COLOURS[0], "o"),
    "equivalent": (COLOURS[4], "s"),
    "undecided": ("0.5", "D"),
    "does not hold": (COLOURS[3], "X"),
    "worse": (COLOURS[3], "X"),
}
"""Outcome -> colour and mark: told apart without colours too."""


ASKED = {
    "cost": ("change of accuracy, points", -MARGIN),
    "selection": ("ANOVA minus random, points", EQUIVALENT),
}
"""Claim -> what its estimates are, and its margin: where it is positive, it lies on both sides of 0."""


def specification_curve(table: pd.DataFrame, claim: str) -> Figure:
    """Draw the estimates of all specifications, sorted, with intervals; below each, marks that say what was chosen.

    Narrow, so that it can be read on a telephone. Margins are dashed; a dotted line leads down from the primary specification.

    Parameters
    ----------
    table : DataFrame
        As `dha_utils.findings.sensitivity.specification_table` gives it; fractions.
    claim : str
        One of `ASKED`.
    """
    table = table[table["claim"] == claim]
    label, margin = ASKED[claim]
    if table.empty:
        figure = Figure(figsize=(5.6, 0.6))
        figure.text(0.5, 0.5, "no results: they need the audio", ha="center", va="center")
        return figure
    x = np.arange(len(table))
    options = [
        (choice, option, name)
        for choice, named in CHOICES.items()
        if table[choice].nunique() > 1
        for option, name in named.items()
        if (table[choice] == option).any()
    ]
    figure = Figure(figsize=(5.9, 3.2 + 0.24 * len(options)), layout="constrained")
    figure.set_label("Bars: 95 % intervals. Dashed: margins. Dotted: the protocol's specification.")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.9, 0.24 * len(options)])
    above.axhline(0, color="0.4", lw=1)
    for level in {margin, -abs(margin)}:
        above.axhline(100 * level, color="0.4", lw=1, ls="--")
    for outcome, rows in table.reset_index(drop=True).groupby("outcome"):
        colour, mark = LOOKS[outcome]
        above.vlines(rows.index, 100 * rows["low"], 100 * rows["high"], color=colour, lw=1.2, alpha=0.6)
        text = f"{outcome} ({len(rows)})"
        above.plot(rows.index, 100 * rows["estimate"], mark, ms=4, color=colour, label=text)
    is_primary = (table[list(PRIMARY)] == pd.Series(PRIMARY)).all(axis=1).to_numpy()
    for axis in (above, below):
        for place in np.flatnonzero(is_primary):
            axis.axvline(place, color="0.2", lw=0.8, ls=":")
    above.set_ylabel(label)
    above.legend(loc="lower right", frameon=True)
    for place, (choice, option, _) in enumerate(options):
        chosen = (table[choice] == option).to_numpy()
        shade = "0.15" if list(CHOICES).index(choice) % 2 == 0 else COLOURS[0]
        below.plot(x[chosen], np.full(chosen.sum(), place), "|", ms=6, mew=1.4, color=shade)
        if place and options[place - 1][0] != choice:
            below.axhline(place - 0.5, color="0.6", lw=0.8)
    below.set_yticks(range(len(options)), [name for *_, name in options])
    below.set_ylim(len(options) - 0.5, -0.5)
    below.grid(False)
    below.set_xticks([])
    below.set_xlabel("specifications, sorted")
    return figure
