"""Sound files listed in a table, with labels and, where given, folds and recordings."""

import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.datasets import own_name
from dha_utils.datasets.clips import COLUMNS, Clips
from dha_utils.datasets.columns import KNOWN, SEVERAL, describe_columns, find_columns
from dha_utils.datasets.delimited import SEPARATORS, Rows, read_rows
from dha_utils.datasets.folder import is_sound
from dha_utils.datasets.folds import across_folds, make_folds, read_folds

DEPTH = 3
"""Folders below one another in which sounds are looked for by their names alone."""


def load_table(file: str | Path) -> Clips:
    """Return the clips of a table with columns ``path``, ``label`` and, if wanted, ``fold`` and ``recording``.

    Columns of published tables are known by their names (`dha_utils.datasets.columns`), others are ignored; what was taken for
    what is a note. Paths are relative to the table; names alone are also looked for in the folders beside it. Without recordings,
    files whose paths differ in nothing but their suffix are held to be of one recording. Without folds, they are made, see
    `make_folds`; what can stand for a fold is said in `read_folds`. Where the recordings are those of a published table, one that
    lies in two folds is only noted.

    Parameters
    ----------
    file : str or Path
        ``.csv`` or ``.tsv``, the first line naming the columns; see `dha_utils.datasets.delimited.read_rows`.

    Returns
    -------
    Clips
        Named after the file, without its suffix; the clip ids are the paths as they are written. Whether the files are
        there is not asked.

    Raises
    ------
    DataError
        There is no such file, it is no such table, or rows contradict one another; names the line, from 1 on.
    """
    file = Path(file).expanduser().resolve()
    if file.suffix.lower() not in SEPARATORS:
        raise DataError(f"{file}: is neither a .csv nor a .tsv file; save the table as one of these")
    if not os.path.isfile(file):
        raise DataError(f"there is no file {file}; give a table with the columns path and label")
    rows = read_rows(file, KNOWN)
    try:
        found = find_columns(rows.header)
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    if not rows.cells:
        raise DataError(f"{file}: lists no clips")
    names = {name: rows.header[i] for name, i in found.items()}
    table = pd.DataFrame({name: [row[i] for row in rows.cells] for name, i in found.items()}, dtype=object)
    for name in set(found) - {"fold"}:
        _require_text(file, rows, names[name], table[name])
    if names["label"].lower() in SEVERAL:
        _require_one(file, rows, names["label"], table["label"])
    if table["label"].nunique() < 2:
        raise DataError(
            f"{file}: all rows have the label {table['label'].iloc[0]!r}; at least 2 classes are needed"
        )
    notes = describe_columns(rows.header, found)
    table["clip"] = table["path"]
    for line, clip in zip(rows.lines, table["clip"], strict=True):
        if re.match(r"(?!file:)[a-z][a-z0-9+.-]+://", clip, re.IGNORECASE):
            raise DataError(
                f"{file}, line {line}: {names['path']} {clip[:80]!r} is an address; get the files and write where they are"
            )
    table["path"], where = _locate(file, table["path"].tolist())
    seen = {}
    for line, clip, path in zip(rows.lines, table["clip"], table["path"], strict=True):
        if seen.setdefault(path, line) != line:
            raise DataError(
                f"{file}, line {line}: {clip!r} is listed twice, in line {seen[path]} too; remove one"
            )
    if "recording" not in found:
        table["recording"] = [os.path.splitext(clip)[0] for clip in table["clip"]]
    if "fold" in found:
        table["fold"] = read_folds(file, names["fold"], table["fold"].tolist(), rows.lines)
        split = across_folds(table)
        several = f"recordings in several folds: {', '.join(split[:4])}" + f" and {len(split) - 4} more" * (
            len(split) > 4
        )
        if split and names.get("recording", "recording").lower() == "recording":
            raise DataError(
                f"{file}: {several}; what is tested would have been learned from: put all clips of a recording into one fold, or "
                "leave the column fold out and folds are made"
            )
        notes += [several] if split else []
    else:
        table["fold"] = make_folds(table, file)
    table = table[COLUMNS].sort_values("clip", ignore_index=True)
    return Clips(own_name(file.stem), file.parent, table, (*notes, *where))


def _require_text(file: Path, rows: Rows, name: str, cells: pd.Series) -> None:
    for line, cell in zip(rows.lines, cells, strict=True):
        if not cell:
            raise DataError(f"{file}, line {line}: {name} is empty")
        if re.search(r"[\0-\x1f\x7f-\x9f]", cell):
            raise DataError(
                f"{file}, line {line}: {name} {cell[:80]!r} holds a control character or a line break; take it out (is a "
                "quotation mark missing?)"
            )


def _require_one(file: Path, rows: Rows, name: str, cells: pd.Series) -> None:
    for line, cell in zip(rows.lines, cells, strict=True):
        if "," in cell:
            raise DataError(
                f"{file}, line {line}: {name} {cell!r} are several labels of one clip, and every clip has one class here: add a "
                "column label with one for each clip"
            )


def _locate(file: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """Return where the files of a table are, as absolute paths, and a note where that is not what is written."""
    written = [_path(file, name) for name in names]
    if any(map(os.path.isfile, written)):
        return _as_on_disk(file.parent, names, written)
    if any("\\" in name for name in names):
        slashes = [_path(file, name.replace("\\", "/")) for name in names]
        if any(map(os.path.isfile, slashes)):
            found, notes = _as_on_disk(file.parent, names, slashes)
            return found, ["a backslash in a path was taken for a slash", *notes]
    if any("/" in name for name in names):
        return _as_on_disk(file.parent, names, written)
    by_name: dict[str, set[Path]] = {}
    for sound in _sounds_around(file.parent):
        for name in (sound.name, sound.stem):
            by_name.setdefault(name, set()).add(sound)
    unique = {name: str(min(sounds)) for name, sounds in by_name.items() if len(sounds) == 1}
    found = [unique.get(name, path) for name, path in zip(names, written, strict=True)]
    if found == written:
        return _as_on_disk(file.parent, names, written)
    folders = sorted(
        {os.path.relpath(Path(path).parent, file.parent) for path in found if path not in written}
    )
    more = f" and {len(folders) - 3} more" if len(folders) > 3 else ""
    return found, [f"sounds found by their names in {', '.join(folders[:3])}{more}"]


def _path(file: Path, name: str) -> str:
    if name.lower().startswith("file://"):
        name = unquote(urlsplit(name).path)
    return os.path.normpath(file.parent / (os.path.expanduser(name) if name.startswith("~/") else name))


def _as_on_disk(folder: Path, names: list[str], paths: list[str]) -> tuple[list[str], list[str]]:
    """Return paths as they are on this disk, where they differ in capitals or in how accents are coded, and a note on those."""

    @cache
    def listing(place: str) -> dict[str, list[str]]:
        there: dict[str, list[str]] = {}
        with suppress(OSError):
            for name in os.listdir(place):
                there.setdefault(_alike(name), []).append(name)
        return there

    @cache
    def find(path: str) -> str | None:
        if os.path.exists(path):
            return path
        above, name = os.path.split(path)
        place = find(above) if name else None
        known = listing(place).get(_alike(name), []) if place else []
        return os.path.join(place, known[0]) if len(known) == 1 else None

    deep = 100  # folders below one another, in a path that may be anything
    found = [
        path if os.path.isfile(path) or path.count(os.sep) > deep else find(path) or path for path in paths
    ]
    other = [(name, new) for name, path, new in zip(names, paths, found, strict=True) if new != path]
    if not other:
        return found, []
    name, new = other[0]
    such = f"{name!r} is {os.path.relpath(new, folder)!r}"
    return found, [
        f"paths taken although capitals or the coding of accents differ on this disk: {len(other)}, {such}"
    ]


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _sounds_around(folder: Path) -> Iterator[Path]:
    """Yield the sounds below a folder, and below the folders called something with audio that lie beside it."""
    beside = [path for path in folder.parent.glob("*") if "audio" in path.name.lower() and path != folder]
    for place in (folder, *beside):
        for depth in range(1, DEPTH + 1):
            yield from filter(is_sound, place.glob("/".join("*" * depth)))
