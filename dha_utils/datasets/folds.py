"""Folds: those of a table, however it writes them, and new ones, grouped by recording, stratified by class, always the same."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from dha_utils.core.errors import DataError

MAX_FOLDS = 5

LEARNED = ("train", "training")
TESTED = ("test", "testing", "val", "valid", "validation", "eval", "evaluate", "evaluation")


def make_folds(table: pd.DataFrame, where: object) -> np.ndarray:
    """Return a fold from 1 on for every row: 5 of them, or fewer where a class has fewer recordings.

    Parameters
    ----------
    table : DataFrame
        Columns label and recording.
    where : object
        What the table was made from, for the error.

    Returns
    -------
    ndarray, shape (clips,), int64

    Raises
    ------
    DataError
        A class has fewer than 2 recordings; names it.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["a", "a", "b", "b"], "recording": ["1", "2", "3", "4"]})
    >>> make_folds(table, "doctest").tolist()
    [2, 1, 1, 2]
    """
    recordings = table.groupby("label")["recording"].nunique()
    if recordings.min() < 2:
        label = recordings.idxmin()
        raise DataError(
            f"class {label!r} of {where} has {recordings.min()} recording(s); at least 2 are needed, one to learn from and "
            "one to test on: add some, or leave the class out"
        )
    splitter = StratifiedGroupKFold(int(min(MAX_FOLDS, recordings.min())), shuffle=True, random_state=0)
    folds = np.zeros(len(table), np.int64)
    splits = splitter.split(table, table["label"], table["recording"])
    for fold, (_, test) in enumerate(splits, start=1):
        folds[test] = fold
    return folds


def read_folds(file: Path, name: str, cells: Sequence[str], lines: Sequence[int]) -> list[int]:
    """Return the folds of a table as numbers.

    ``3``, ``3.0``, ``fold3`` and ``fold_3`` are fold 3; 0 means: learned from always, never tested. Where the cells are the two
    parts of a split, such as ``train`` and ``test``, the first is fold 0 and the second fold 1.

    Parameters
    ----------
    file : Path
        The table, for the error.
    name : str
        What the column is called there.
    cells : sequence of str
    lines : sequence of int
        The line of each cell.

    Raises
    ------
    DataError
        A cell is none of these; names its line.
    """
    words = [cell.lower() for cell in cells]
    parts = {*words}
    if parts <= {*LEARNED, *TESTED}:
        if len(parts) != 2 or len(parts & {*LEARNED}) != 1:
            raise DataError(
                f"{file}: column {name} says {', '.join(sorted(parts))}, which is not one part to learn from and one to test; "
                "write 0 for what is always learned from and 1 for what is tested, or leave the column out and folds are made"
            )
        return [int(word in TESTED) for word in words]
    folds = []
    for line, cell in zip(lines, cells, strict=True):
        number = re.fullmatch(r"(?:(?:fold|split|part)[ _-]?)?([0-9]{1,4})(?:\.0+)?", cell.lower(), re.ASCII)
        if not number:
            raise DataError(
                f"{file}, line {line}: {name} {cell!r} is no fold: number all of them from 1 on (or fold1, fold2, or train and "
                "test), or leave the column out and folds are made"
            )
        folds.append(int(number[1]))
    return folds


def across_folds(table: pd.DataFrame) -> list[str]:
    """Return the recordings that have clips in several folds: what is tested there was learned from in part.

    >>> across_folds(pd.DataFrame({"recording": ["a", "a", "b"], "fold": [2, 1, 2]}))
    ['a (folds 1 and 2)']
    """
    folds = table.groupby("recording")["fold"].unique()
    return [
        f"{name} (folds {' and '.join(map(str, sorted(found)))})"
        for name, found in folds.items()
        if len(found) > 1
    ]
