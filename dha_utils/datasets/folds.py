"""Folds for data sets that come without: grouped by recording, stratified by class, always the same."""

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from dha_utils.core.errors import DataError

MAX_FOLDS = 5


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
