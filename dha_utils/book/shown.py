"""How a notebook shows a table: in JupyterLab and in the book alike."""

import re
from functools import partial
from html import escape

import pandas as pd
from pandas.io.formats.style import Styler

from dha_utils.book.names import named
from dha_utils.core.formats import format_value
from dha_utils.criteria.described import FORMULAS

COLUMNS = {
    "all_high": "to: +.2p",
    "all_low": "from: +.2p",
    "accuracy": "accuracy: .2%",
    "anova": "ANOVA: .2%",
    "as_good": "as good: .0%",
    "change": "change: +.2p",
    "difference": "difference: +.2p",
    "effect": "design effect: .2f",
    "eta2": "median η²: .2f",
    "high": "to: +.2p",
    "highest": "highest: .2%",
    "ignored": "ignored: .1%",
    "jaccard": "Jaccard: .2f",
    "keep": "kept: .0%",
    "low": "from: +.2p",
    "maps_kept": "kept before",
    "maps_kept_mended": "kept after",
    "lowest": "lowest: .2%",
    "macs": "MACs: .1%",
    "mean": "mean: .2%",
    "parameters": "parameters: .1%",
    "pc90": "90 %",
    "pc90_rest": "90 % ",
    "pc99": "99 %",
    "pc99_rest": "99 % ",
    "place": "size",
    "random": "random: .2%",
    "ratio": "effective dimension: .1f",
    "ratio_rest": "without dominant recordings: .1f",
    "to_tiny": "to tiny: +.2p",
    "worth": "independent clips: .0f",
}
"""Header and format of columns that many tables have; the format is that of numbers in prose (`dha_utils.core.formats`)."""

LONG = 40
"""Characters; a column with longer text is wide, however many others there are."""

PAGE = re.compile(r"\d\d_(\w+)")
"""The name of a notebook, which is a link to it."""


def show(table: pd.DataFrame, columns: str = "", *, every: str = "", **titles: str) -> Styler:
    """Return a table as a page shows it: things by the names that people have for them (`dha_utils.book.names`).

    What has another name in the program is ``<data value="NAME">``, so that a page can hand on the table with that.

    Parameters
    ----------
    table : DataFrame
        Its index is shown if it has one of its own.
    columns : str
        Names of the columns, separated by blanks; by default all.
    every : str
        Format of all numbers but whole ones, in columns that have no other.
    **titles : str
        Name of a column -> ``"header: format"`` or ``"header"``, where it is not as in `COLUMNS`; else its name is the header.

    Examples
    --------
    >>> table = pd.DataFrame({"tap": ["pool1"], "change": [-0.0123], "low": [float("nan")]})
    >>> print(show(table, "tap change low", tap="tap of the sum").to_string(delimiter="|"))
    tap of the sum|change|from
    pool1|−1.23|–
    <BLANKLINE>
    """
    shown = table[columns.split()] if columns else table
    parts = {
        name: (titles.get(name) or COLUMNS.get(name) or str(named(str(name)))).partition(": ")[::2]
        for name in shown
    }
    formats = {
        name: partial(_format, column=str(name), spec=spec, every=every) for name, (_, spec) in parts.items()
    }
    styler = shown.style.format(formats, na_rep="–").format_index(_format, axis="index")
    styler.relabel_index([header for header, _ in parts.values()], axis="columns")
    words = {
        place: max(len(x) for x in shown[name] if isinstance(x, str))
        for place, name in enumerate(shown)
        if any(isinstance(x, str) for x in shown[name])
    }
    rules = [
        {
            "selector": f".col{place}",
            "props": [("text-align", "left")] + [("min-width", "12em")] * (length > LONG),
        }
        for place, length in words.items()
    ]
    styler.set_table_styles(rules, overwrite=False)
    return styler if not isinstance(table.index, pd.RangeIndex) else styler.hide()


def _format(value: object, column: str = "", spec: str = "", every: str = "") -> object:
    """Return a value as a cell shows it, in HTML."""
    spec = spec or (every if isinstance(value, float) else "")
    if spec and isinstance(value, int | float):
        return format_value(value, spec)
    value = ", ".join(value) if isinstance(value, tuple | list) else value
    if not isinstance(value, str) or value.startswith("<"):
        return value
    if page := PAGE.fullmatch(value):
        return f'<a href="{value}.ipynb">{page[1].replace("_", " ")}</a>'
    text = named(value, column)
    cell = (
        escape(text, quote=False) if text == value else f'<data value="{escape(value)}">{escape(text)}</data>'
    )
    if column == "criterion" and value in FORMULAS:  # as the page of criteria has an entry for each
        return f'<a href="../book/criteria.md#criterion-{value.replace("_", "-")}">{cell}</a>'
    return cell
