"""What the columns of a table of clips are called: here, and in the tables that people have."""

from collections.abc import Sequence

from dha_utils.core.errors import DataError

NAMES = {
    "path": ("filename", "fname", "file", "file_name", "file_path", "filepath", "slice_file_name", "ytid"),
    "label": ("category", "class", "scene_label", "labels", "positive_labels"),
    "fold": ("folds", "split"),
    "recording": ("src_file", "fsid", "identifier"),
}
"""Our name -> those that ESC-50, UrbanSound8K, FSD50K, Freesound Audio Tagging, TAU, AudioSet and others have for it, in small
letters."""

KNOWN = {*NAMES, *(other for others in NAMES.values() for other in others)}
"""All of them."""

SEVERAL = ("labels", "positive_labels")
"""Columns that may hold several labels of a clip, with commas between them."""


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Return the number of the column that is each of ``path``, ``label`` and, where there are such, ``fold`` and ``recording``.

    A column with our name is taken before others. Columns that are not known are ignored, whatever they resemble.

    Parameters
    ----------
    header : sequence of str

    Raises
    ------
    DataError
        There is none for path or label, or there are several; says which to rename.

    Examples
    --------
    >>> find_columns(["filename", "fold", "target", "category"])
    {'path': 0, 'label': 3, 'fold': 1}
    """
    there = [name.lower() for name in header]
    listed = ", ".join(filter(None, header))
    found = {}
    for name, others in NAMES.items():
        columns = [i for i, one in enumerate(there) if one == name]
        columns = columns or [i for i, one in enumerate(there) if one in others]
        if len(columns) > 1:
            which = " and ".join(repr(header[i]) for i in columns)
            raise DataError(f"columns {which} could each be the {name}; rename all but one")
        if columns:
            found[name] = columns[0]
        elif name in ("path", "label"):
            raise DataError(
                f"has no column {name!r}, nor one of the names {', '.join(others[:-1])} and {others[-1]}; its first line is "
                f"{listed[:200]!r}: rename the column that is the {name}"
            )
    return found


def describe_columns(header: Sequence[str], found: dict[str, int]) -> list[str]:
    """Return notes on what was taken for what and what was not used, if there is anything to say.

    >>> describe_columns(["filename", "fold", "target", "category"], {"path": 0, "label": 3, "fold": 1})
    ['columns taken: filename for path, category for label', 'columns not used: target']
    """
    taken = [f"{header[i]} for {name}" for name, i in found.items() if header[i].lower() != name]
    unused = [name for i, name in enumerate(header) if name and i not in found.values()]
    said = [f"columns taken: {', '.join(taken)}"] if taken else []
    return said + ([f"columns not used: {', '.join(unused)}"] if unused else [])
