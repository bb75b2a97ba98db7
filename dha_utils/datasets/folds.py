"""Folds: those of a table, however it writes them, and new ones, grouped by recording, stratified by class, always the same."""

import math
import operator
import re
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

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
    return 1 + _spread(table["label"], table["recording"], int(min(MAX_FOLDS, recordings.min())))


def _spread(labels: pd.Series, recordings: pd.Series, n_folds: int) -> np.ndarray:
    """Return the fold of every clip, from 0 on, shape (clips,), int64.

    They are those of scikit-learn's ``StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)``: one recording after another,
    those with most of a class first, each goes to where it makes the shares of the classes most even. Here only the classes that
    it has are looked at anew, so that tens of thousands take seconds and not minutes.
    """
    of_clip, groups = (pd.factorize(names, sort=True)[0] for names in (labels, recordings))
    totals, n_groups = np.bincount(of_clip).tolist(), groups.max() + 1
    n_classes = len(totals)
    cells, counts = np.unique(groups * n_classes + of_clip, return_counts=True)
    ends = np.searchsorted(cells, np.arange(n_groups + 1) * n_classes).tolist()
    classes = cells % n_classes
    spread = np.empty(n_groups)
    for group, (a, b) in enumerate(pairwise(ends)):
        row = np.zeros(n_classes)
        row[classes[a:b]] = counts[a:b]
        spread[group] = row.std()
    order = np.arange(n_groups)
    np.random.RandomState(0).shuffle(order)
    classes, counts = classes.tolist(), counts.tolist()
    folds, sizes = np.empty(n_groups, np.int64), [0] * n_folds
    held = [[0] * n_folds for _ in range(n_classes)]
    uneven = np.zeros(n_classes)
    for group in order[np.argsort(-spread[order], kind="stable")].tolist():
        here = slice(ends[group], ends[group + 1])
        own = [*zip(classes[here], counts[here], strict=True)]
        before = [uneven[label] for label, _ in own]
        best, least, smallest = 0, math.inf, math.inf
        for fold in range(n_folds):
            for label, count in own:
                held[label][fold] += count
                uneven[label] = _deviation(held[label], totals[label])
                held[label][fold] -= count
            value = float(uneven.mean())
            alike = abs(value - least) <= 1e-8 + 1e-5 * least
            if value < least or (alike and sizes[fold] < smallest):
                best, least, smallest = fold, value, sizes[fold]
            uneven[[label for label, _ in own]] = before
        for label, count in own:
            held[label][best] += count
            uneven[label] = _deviation(held[label], totals[label])
            sizes[best] += count
        folds[group] = best
    return folds[groups]


def _deviation(counts: Sequence[int], total: int) -> float:
    """Return the standard deviation of shares, to the last bit as NumPy does of a column: `sum` adds in another way."""
    values = [count / total for count in counts]
    mean = reduce(operator.add, values) / len(values)
    return math.sqrt(reduce(operator.add, ((value - mean) ** 2 for value in values)) / len(values))


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
