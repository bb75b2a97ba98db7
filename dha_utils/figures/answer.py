"""The figure of the first page: accuracy against the fraction of maps kept, as SVG that a page holds as it is.

It is written by hand, not drawn by matplotlib (`dha_utils.figures.svg`): every mark says its numbers under the pointer
(``<title>``). Blue is ANOVA, grey random maps, orange the loss that the paper allows. The numbers also stand below the axis.
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from dha_utils.core.formats import format_value as shown
from dha_utils.figures.svg import BLUE, GREY, ORANGE, picture
from dha_utils.figures.svg import text as _text

WIDTH, HEIGHT = 332, 318
LEFT, RIGHT, TOP, BOTTOM = 52, 314, 26, 232
"""The plot inside the picture, px; the rows of numbers stand below it."""

SYMBOLS = {"better": "▲", "worse": "▼"}
"""Of a lead whose interval excludes 0."""


def answer_figure(on: str, rows: Sequence[Mapping], full: float, margin: float, claimed: float) -> str:
    """Return the SVG of one data set.

    Parameters
    ----------
    on : str
        What people call the data set.
    rows : sequence of dict
        By fraction kept, increasing, as `dha_utils.findings.random_maps.random_table` gives them.
    full : float
        Accuracy with all maps.
    margin, claimed : float
        The loss that the paper allows: at the fraction `claimed` the accuracy of all maps less `margin`.

    Examples
    --------
    >>> row = {"keep": 0.1, "accuracy": 0.6, "random": 0.62, "lowest": 0.6, "highest": 0.64, "draws": 9}
    >>> row |= {"difference": -0.02, "low": -0.03, "high": -0.01, "outcome": "worse"}
    >>> "−2.0 points" in answer_figure("ESC-50", [row], 0.65, 0.03, 0.11)
    True
    """
    bottom = np.floor(20 * min(min(row["lowest"], row["accuracy"]) for row in rows) - 0.2) / 20
    top = np.ceil(20 * max([full, *(row["highest"] for row in rows)]) + 0.2) / 20
    first = np.log(rows[0]["keep"])

    def x(keep: float) -> float:
        return round(RIGHT + (LEFT + 14 - RIGHT) * np.log(keep) / first, 1)

    def y(accuracy: float) -> float:
        return round(BOTTOM + (TOP - BOTTOM) * (accuracy - bottom) / (top - bottom), 1)

    everything = [(row["keep"], row["accuracy"], row["random"]) for row in rows] + [(1.0, full, full)]
    parts = [_text(LEFT, 14, on, weight="bold", size=14), _text(RIGHT, 14, "accuracy, %", anchor="end")]
    for percent in range(round(100 * bottom), round(100 * top) + 1, 5 if top - bottom <= 0.35 else 10):
        level = y(percent / 100)
        parts.append(f'<path d="M{LEFT} {level}H{RIGHT}" stroke="{GREY}" stroke-opacity=".25"/>')
        parts.append(_text(LEFT - 6, level + 4, f"{percent}", anchor="end"))
    band = [f"{x(row['keep'])},{y(row['highest'])}" for row in rows]
    band += [f"{x(1)},{y(full)}", *(f"{x(row['keep'])},{y(row['lowest'])}" for row in reversed(rows))]
    parts.append(f'<polygon points="{" ".join(band)}" fill="{GREY}" fill-opacity=".3"/>')
    parts.append(
        _mark(
            f'<path d="M{LEFT} {y(full)}H{RIGHT}" stroke="currentColor" stroke-width="1.4"/>',
            f"{on}: all maps, accuracy {shown(full, '.2%')}",
        )
    )
    parts.append(_text(LEFT + 4, y(full) - 5, f"all maps: {shown(full, '.1%')}"))
    for values, colour, dash in ((2, GREY, "4 3"), (1, BLUE, "none")):
        line = " ".join(f"{x(point[0])},{y(point[values])}" for point in everything)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
    for row in rows:
        kept = f"{on}, {100 * row['keep']:g} % of the maps kept"
        here = x(row["keep"])
        parts.append(
            _mark(
                f'<rect x="{here - 3}" y="{y(row["random"]) - 3}" width="6" height="6" fill="{GREY}"/>',
                f"{kept}: random maps {shown(row['random'], '.2%')}, mean of {row['draws']} draws, "
                f"{shown(row['lowest'], '.2%')} to {shown(row['highest'], '.2%')}",
            )
        )
        parts.append(
            _mark(
                f'<circle cx="{here}" cy="{y(row["accuracy"])}" r="4.5" fill="{BLUE}"/>',
                f"{kept}: ANOVA {shown(row['accuracy'], '.2%')}, {shown(row['difference'], '+.1p')} points against random "
                f"maps [{shown(row['low'], '+.1p')}, {shown(row['high'], '+.1p')}]: {row['outcome']}",
            )
        )
    low = y(full - margin)
    parts.append(
        _mark(
            _floor(x(claimed), low),
            f"Allowed loss: {shown(1 - claimed, '.0%')} of the maps ignored, {100 * margin:g} points below all maps",
        )
    )
    parts += _key([row["draws"] for row in rows], margin)
    parts += _numbers(rows, full, x)
    label = f"{on}: accuracy against the fraction of maps kept, by ANOVA and at random; the numbers stand in the rows below."
    return picture(parts, HEIGHT, label, "answer", WIDTH)


def _mark(shape: str, title: str) -> str:
    return f"<g><title>{escape(title)}</title>{shape}</g>"


def _floor(x: float, y: float, half: int = 12) -> str:
    """Return a dash that is wider than a mark, so that neither hides the other."""
    return f'<path d="M{x} {y}m-{half} 0h{2 * half}" stroke="{ORANGE}" stroke-width="2.5"/>'


def _key(draws: Sequence[int], margin: float) -> list[str]:
    """Return what the marks are, in the corner that a rising curve leaves free."""
    left, top = LEFT + 98, BOTTOM - 64
    often = "–".join(str(n) for n in sorted({min(draws), max(draws)}))
    lines = (
        "ANOVA's maps",
        f"random: mean of {often} draws,",
        "lowest to highest",
        f"allowed loss: {100 * margin:g} points",
    )
    shapes = (
        f'<circle cx="{left}" cy="{top}" r="4.5" fill="{BLUE}"/>',
        f'<rect x="{left - 3}" y="{top + 13}" width="6" height="6" fill="{GREY}"/>',
        f'<rect x="{left - 6}" y="{top + 27}" width="12" height="10" fill="{GREY}" fill-opacity=".3"/>',
        _floor(left, top + 48, 8),
    )
    return [*shapes, *(_text(left + 11, top + 4 + 16 * place, line) for place, line in enumerate(lines))]


def _numbers(rows: Sequence[Mapping], full: float, x) -> list[str]:
    """Return the rows of numbers under the axis, each below its mark."""
    lines = {
        "kept, %": [f"{100 * row['keep']:g}" for row in rows] + ["100"],
        "ANOVA": [shown(row["accuracy"], ".1p") for row in rows] + [shown(full, ".1p")],
        "random": [shown(row["random"], ".1p") for row in rows] + [""],
        "lead": [shown(row["difference"], "+.1p") for row in rows] + [""],
        "": [SYMBOLS.get(row["outcome"], "") for row in rows] + [""],
    }
    parts = []
    for place, (name, values) in enumerate(lines.items()):
        level = BOTTOM + 18 + 16 * place
        parts.append(_text(0, level, name))
        weight = "bold" if name == "ANOVA" else "normal"
        for keep, value in zip([*(row["keep"] for row in rows), 1.0], values, strict=True):
            parts.append(_text(x(keep), level, value, "middle", weight))
    return parts
