"""Where a notebook writes what it found: ``results/DATASET/``, JSON for numbers and SVG for figures.

The same inputs give the same bytes: keys keep the order in which the notebook wrote them, figures carry no date and no random
identifiers.
"""

import io
import json
import math
import re
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from dha_utils.core.errors import DataError
from dha_utils.core.paths import atomic_write, out_dir, repository
from dha_utils.datasets.given import name_of
from dha_utils.studies.drawings import compact
from dha_utils.studies.inputs import is_bundled

SHARED = ("rate", "keep", "alpha", "classifier")
"""Parameters that have one value for all notebooks of a reference."""

NARROWEST = 9 / 11
"""The smallest scale of a figure: text of 11 points is then read at 9 pixels."""


class Results:
    """The results folder of one data set.

    Parameters
    ----------
    dataset : str
        Name of a data set, or a folder or table, whose last part (without ``.csv``) names the results.
    results : path, optional
        The folder above; by default ``results/``, see `dha_utils.core.paths.out_dir`.

    Examples
    --------
    >>> Results("path/to/sounds").folder.name
    'sounds'
    """

    def __init__(self, dataset: str, results: str | Path | None = None):
        self.folder = Path(results or out_dir() / "results").resolve() / name_of(dataset)

    def write(self, name: str, numbers: dict) -> None:
        """Write ``NAME.json``; NumPy numbers and arrays are converted, and NaN is refused, which JSON does not know."""
        text = json.dumps(numbers, indent=2, default=_plain, allow_nan=False, ensure_ascii=False)
        with atomic_write(self.folder / f"{name}.json") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def read(self, name: str, **parameters: object) -> dict:
        """Return the content of ``NAME.json``, or of the reference where the notebook that writes it has not run here.

        The reference is taken, and one line says so, where it belongs to what is at hand: the responses in the results
        folder, if there are any, are the bundled ones, and the reference was made with the same parameters.

        Parameters
        ----------
        name : str
        **parameters
            Those of the notebook that reads; those in `SHARED` are compared.

        Raises
        ------
        DataError
            If there are no such numbers, or the file is damaged.
        """
        path = self.folder / f"{name}.json"
        if path.is_file():
            return _load(path)
        reference = repository() / "results" / "reference" / self.folder.name
        if not (reference / path.name).is_file() or not is_bundled(self.folder):
            raise DataError(f"{path}: no such results yet; run the earlier notebooks first (`dha run`)")
        made = {}
        for file in reference.glob("*.json"):
            made |= _load(file)
        for key in SHARED:
            if key in parameters and parameters[key] != made.get(key):
                raise DataError(
                    f"{path}: no such results yet, and those of the reference are for {key} {made.get(key)}; run the earlier "
                    f"notebooks first (`dha run -p {key} {parameters[key]}`)"
                )
        print(
            f"{path.name}: from results/reference/{reference.name}; the notebook that writes it has not run here"
        )
        return _load(reference / path.name)

    def save_figure(self, name: str, figure: Figure, alt: str) -> HTML:
        """Write ``NAME.svg``, byte-identical for identical content, and return it for the page, where a point is a pixel.

        On a narrow screen it shrinks to `NARROWEST` of that, and then scrolls. What is below it is `alt`, and the figure's label,
        with which whoever draws it says what its marks are.

        Parameters
        ----------
        name : str
        figure : Figure
        alt : str
            What the figure shows, for those who do not see it too.
        """
        drawn = io.StringIO()
        with mpl.rc_context({"svg.hashsalt": "dha"}):
            figure.savefig(drawn, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
        svg = compact(drawn.getvalue())
        with atomic_write(self.folder / f"{name}.svg") as temporary:
            temporary.write_text(svg, encoding="utf-8")
        width = math.ceil(float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1]))
        style = (
            f"width: {width}px; max-width: 100%; min-width: {math.ceil(width * NARROWEST)}px; height: auto"
        )
        named = f'<svg role="img" aria-label="{escape(alt)}" style="{style}"'
        shown = svg.replace("<svg", named, 1)
        caption = f"{alt}. {figure.get_label()}".removesuffix(". ")
        return HTML(f"<figure>{shown}<figcaption>{escape(caption)}</figcaption></figure>")


def _load(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path}: is damaged ({error}); run the earlier notebooks again (`dha run`)"
        ) from error


def records(table: pd.DataFrame) -> list[dict]:
    """Return the rows of a table for a results file: None where there is no number, which JSON knows and NaN it does not.

    >>> records(pd.DataFrame({"p": [0.5, float("nan")]}))
    [{'p': 0.5}, {'p': None}]
    """
    return table.astype(object).where(table.notna(), None).to_dict(orient="records")


def nested(table: pd.DataFrame) -> list[dict] | dict:
    """Return a table for a results file: its rows under the names in its index, or as a list where they have no names.

    >>> nested(pd.DataFrame({"share": [0.7, float("nan")]}, index=["anova", "welch"]))
    {'anova': {'share': 0.7}, 'welch': {'share': None}}
    >>> nested(pd.DataFrame({"tap": ["bn6", "bn7"], "maps": [512, 1024]}).set_index(["tap", "maps"], drop=False).tail(1))
    {'bn7': {1024: {'tap': 'bn7', 'maps': 1024}}}
    """
    if not (isinstance(table.index, pd.MultiIndex) or pd.api.types.is_string_dtype(table.index)):
        return records(table)
    tree: dict = {}
    for names, row in zip(table.index, records(table), strict=True):
        *outer, last = names if isinstance(names, tuple) else (names,)
        branch = tree
        for name in outer:
            branch = branch.setdefault(name, {})
        branch[last] = row
    return tree


def _plain(value: object) -> object:
    """Return a NumPy number or array as Python's own, a table as a list of its rows."""
    if isinstance(value, pd.DataFrame):
        return nested(value)
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not go into a results file")
