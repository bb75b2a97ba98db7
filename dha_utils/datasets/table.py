"""Sound files listed in a CSV or TSV table, with labels and, where given, folds and recordings."""

from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError, closest
from dha_utils.datasets.clips import COLUMNS, Clips
from dha_utils.datasets.folds import make_folds

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""What separates the columns, by the suffix of the file."""

KNOWN = ("path", "label", "fold", "recording")


def load_table(file: str | Path) -> Clips:
    """Return the clips of a table with columns ``path``, ``label`` and, if wanted, ``fold`` and ``recording``.

    Paths are relative to the table. Without recordings, files whose paths differ in nothing but their suffix are held to be
    of one recording. Without folds, they are made, see `make_folds`; fold 0 means: trained on always, tested never. Other
    columns are ignored.

    Parameters
    ----------
    file : str or Path
        UTF-8 text, ``.csv`` (commas) or ``.tsv`` (tabs), the first line naming the columns.

    Returns
    -------
    Clips
        Named after the file, without its suffix; the clip ids are the paths as they are written. Whether the files are
        there is not looked at.

    Raises
    ------
    DataError
        There is no such file, it is no such table, or rows contradict one another; names the line, from 1 on.
    """
    file = Path(file).expanduser().resolve()
    rows = _read(file)
    _require_text(file, rows, "path")
    _require_text(file, rows, "label")
    twice = rows["path"].duplicated()
    if twice.any():
        raise DataError(
            f"{file}, line {_line(twice)}: {rows['path'][twice].iloc[0]!r} is listed twice; remove one"
        )
    if rows["label"].nunique() < 2:
        raise DataError(
            f"{file}: all rows have the label {rows['label'].iloc[0]!r}; at least 2 classes are needed"
        )
    if "recording" in rows:
        _require_text(file, rows, "recording")
    else:
        rows["recording"] = [Path(path).with_suffix("").as_posix() for path in rows["path"]]
    rows["fold"] = _folds(file, rows)
    split = rows.groupby("recording")["fold"].nunique()
    if split.max() > 1:
        name = split.idxmax()
        held = sorted(set(rows.loc[rows["recording"] == name, "fold"]))
        raise DataError(
            f"{file}: recording {name!r} is in folds {' and '.join(map(str, held))}; clips of one recording belong into one"
        )
    rows["clip"] = rows["path"]
    rows["path"] = [str(file.parent / path) for path in rows["path"]]
    table = rows[COLUMNS].sort_values("clip", ignore_index=True)
    return Clips(file.stem, file.parent, table)


def _read(file: Path) -> pd.DataFrame:
    """Return the columns of the table that are known, as text without surrounding spaces."""
    separator = SEPARATORS.get(file.suffix.lower())
    if separator is None:
        raise DataError(f"{file}: is neither a .csv nor a .tsv file; save the table as one of these")
    if not file.is_file():
        raise DataError(f"there is no file {file}; give a table with the columns path and label")
    try:
        rows = pd.read_csv(
            file, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
        )
    except (ValueError, pd.errors.ParserError, OSError) as error:
        fault = " ".join(str(error).split())
        raise DataError(f"{file}: is not a table that can be read ({fault})") from error
    rows.columns = [str(column).strip().lower() for column in rows.columns]
    there = list(rows.columns)
    if len(set(there)) < len(there):
        raise DataError(f"{file}: a column name occurs twice in its first line ({', '.join(there)})")
    for column in ("path", "label"):
        if column not in there:
            raise DataError(
                f"{file}: has no column {column!r}{closest(column, there)}; its first line names {', '.join(there)[:200]!r}"
            )
    for column in set(there) - set(KNOWN):
        meant = closest(column, [name for name in KNOWN if name not in there])
        if meant:
            raise DataError(f"{file}: column {column!r} is not known{meant}; rename it")
    if rows.empty:
        raise DataError(f"{file}: lists no clips")
    rows = rows[[column for column in KNOWN if column in there]]
    return rows.apply(lambda column: column.str.strip())


def _folds(file: Path, rows: pd.DataFrame) -> np.ndarray:
    """Return the folds of the table, or new ones where it has none."""
    if "fold" not in rows:
        return make_folds(rows, file)
    wrong = ~rows["fold"].str.fullmatch("[0-9]{1,4}")
    if wrong.any():
        raise DataError(
            f"{file}, line {_line(wrong)}: fold {rows['fold'][wrong].iloc[0]!r} is not a whole number from 0 on; number all "
            "folds, or leave the column out and folds are made"
        )
    return rows["fold"].astype("int64").to_numpy()


def _require_text(file: Path, rows: pd.DataFrame, column: str) -> None:
    empty = (rows[column] == "") | rows[column].str.contains("\0", regex=False)
    if empty.any():
        raise DataError(f"{file}, line {_line(empty)}: {column} is empty")


def _line(rows: pd.Series) -> int:
    """Return the line of the first row that is True, as an editor counts where no field has line breaks."""
    return int(np.flatnonzero(rows.to_numpy())[0]) + 2
