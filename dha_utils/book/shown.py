"""How a notebook shows a table, and the numbers in its prose: in JupyterLab and in the book alike."""

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from dha_utils.core.formats import REFERENCE, ResultError, format_value, lookup
from dha_utils.core.paths import bundled, repository

DATASET = "esc10"
"""The data set of which the prose speaks; its numbers are the committed reference, whatever the notebook is run on."""

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


def quoted_folders() -> tuple[Path, Path]:
    """Return where the numbers of the prose are: the committed results of `DATASET`, then its bundled artifacts."""
    return repository() / "results" / "reference" / DATASET, bundled(DATASET)


def quote(text: str, folders: Sequence[Path]) -> str:
    """Return a text with the numbers that it refers to: ``{result}`FILE.json:KEY:FORMAT```, as on the pages of the book.

    Parameters
    ----------
    text : str
    folders : sequence of Path
        Where the files are; the first that has one counts.

    Raises
    ------
    ResultError
        If there is no such file or number, or the format does not fit.
    """

    def number(match: re.Match) -> str:
        parts = REFERENCE.fullmatch(match[1])
        if parts is None or not parts["key"]:
            raise ResultError(f"{match[0]}: write FILE.json:KEY or FILE.json:KEY:FORMAT")
        path = next(
            (folder / parts["file"] for folder in folders if (folder / parts["file"]).is_file()), None
        )
        if path is None:
            raise ResultError(
                f"{match[0]}: no such file in {folders[0]}; `dha check --write-reference` makes it"
            )
        try:
            return format_value(
                lookup(json.loads(path.read_text("utf-8")), parts["key"]), parts["format"] or ""
            )
        except ResultError as error:
            raise ResultError(f"{match[0]}: {error}") from error

    return re.sub(r"\{result\}`([^`]+)`", number, text)
