"""Prose in notebooks: on which page a text stands, and the numbers in it, in JupyterLab and in the book alike."""

import re
from pathlib import Path

from dha_utils.book.parameters import BOOK, in_book
from dha_utils.core.errors import choose
from dha_utils.core.formats import REFERENCE, ResultError, format_value, read_value
from dha_utils.core.paths import bundled, repository
from dha_utils.datasets import DATASETS


def say(text: str, about: str, own: Path, writes: str) -> str:
    """Return a text of a notebook with the numbers that it refers to, or "" where its page is not the place for it.

    A reference, ``{result}`FILE.json:KEY:FORMAT```, is to the committed results of the data set that the text is about.

    Parameters
    ----------
    text : str
    about : str
        The data set of `BOOK` that the text is about. Pages of other data sets of the book do not show it. Where somebody's own
        sounds are, the text about the first data set of the book is shown, set off and under its name. Empty: the text is about
        whatever data set the notebook is run on.
    own : Path
        The results folder of the notebook.
    writes : str
        The results file that the notebook is about to write; what an earlier run has left there is not quoted.

    Returns
    -------
    str
        A reference that finds no number stays as it is, with the data set named, so that the book cannot be built. On the page of
        somebody's own sounds, paragraphs with such a reference are left out.

    Raises
    ------
    ParameterError
        If there is no such data set in the book.
    """
    if about:
        choose("data set of the book", about, BOOK)
    if own.name in BOOK:
        return quote(text, own.name)[0] if about in ("", own.name) else ""
    if about not in ("", *in_book()[:1]):
        return ""
    quoted = [quote(paragraph, about, own, writes) for paragraph in text.strip().split("\n\n")]
    kept = "\n\n".join(paragraph for paragraph, whole in quoted if whole)
    if not about or not kept:
        return kept
    lines = [f"*For comparison, {DATASETS[about].title}:*", "", *kept.splitlines()]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def quote(text: str, dataset: str, own: Path | None = None, writes: str = "") -> tuple[str, bool]:
    """Return a text with its numbers, and whether all were found; those that were not stay references.

    Where no data set is named, those of the folder `own` are taken, but for the file `writes`.
    """
    missing = []

    def number(match: re.Match) -> str:
        name = match["dataset"] or dataset
        try:
            if name:
                path = find_results(name, match["file"])
            elif match["file"] != writes:
                path = own / match["file"]
            else:
                raise ResultError("it is written at the end of this notebook")
            return format_value(read_value(path, match["key"] or ""), match["format"] or "")
        except ResultError:
            missing.append(match[0])
            return match[0] if match["dataset"] else match[0].replace("`", f"`{dataset}/", 1)

    return re.sub(rf"\{{result\}}`{REFERENCE.pattern}`", number, text), not missing


def find_results(dataset: str, file: str) -> Path:
    """Return where a file of a data set's committed results is, or that of its bundled artifacts where it is one of these."""
    bundle = bundled(dataset) / file
    return bundle if bundle.is_file() else repository() / "results" / "reference" / dataset / file
