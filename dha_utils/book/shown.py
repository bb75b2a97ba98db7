"""How a notebook shows a table: in JupyterLab and in the book alike."""

from functools import partial

import pandas as pd
from pandas.io.formats.style import Styler

from dha_utils.core.formats import format_value

COLUMNS = {
    "all_high": "to: +.2p",
    "all_low": "from: +.2p",
    "accuracy": "accuracy: .2%",
    "anova": "ANOVA: .2%",
    "as_good": "as good: .0%",
    "change": "change: +.2p",
    "difference": "difference: +.2p",
    "eta2": "median η²: .2f",
    "high": "to: +.2p",
    "highest": "highest: .2%",
    "ignored": "ignored: .1%",
    "jaccard": "Jaccard: .2f",
    "keep": "kept: .0%",
    "low": "from: +.2p",
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
}
"""Header and format of columns that many tables have; the format is that of numbers in prose (`dha_utils.core.formats`)."""

LONG = 40
"""Characters; where a column has longer text, its lines are wrapped."""


def show(table: pd.DataFrame, columns: str = "", *, every: str = "", **titles: str) -> Styler:
    """Return a table as a page shows it.

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
        name: (titles.get(name) or COLUMNS.get(name) or str(name).replace("_", " ")).partition(": ")[::2]
        for name in shown
    }
    formats = {
        name: partial(_format, spec=spec, every=every) for name, (_, spec) in parts.items() if spec or every
    }
    styler = shown.style.format(formats, na_rep="–")
    styler.relabel_index([header for header, _ in parts.values()], axis="columns")
    length = {
        name: max((len(x) for x in shown[name] if isinstance(x, str) and not x.startswith("<")), default=0)
        for name in shown
    }
    widest = max(length, key=length.get)
    if length[widest] > LONG:
        styler.set_properties(**{"text-align": "left", "vertical-align": "top", "white-space": "normal"})
        styler.set_properties(subset=[widest], **{"min-width": "16em"})
    return styler if not isinstance(table.index, pd.RangeIndex) else styler.hide()


def _format(value: object, spec: str, every: str) -> object:
    spec = spec or (every if isinstance(value, float) else "")
    return format_value(value, spec) if spec and isinstance(value, int | float) else value
