"""The clip table: what every data set is turned into, whatever its layout on disk.

Conventions: one row per clip, sorted by clip id; folds are numbered from 1, and fold 0 holds clips that are always trained
on and never tested; clips cut from one recording share its name in ``recording`` and are not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError

COLUMNS = ["clip", "path", "label", "fold", "recording"]

ALWAYS_TRAINED = 0
"""The fold of clips that every classifier learns from and that none is tested on."""


class Labelled:
    """What `Clips` and responses share: a ``table`` with one row per clip, and its columns clip, label, fold and recording."""

    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.table)

    @property
    def classes(self) -> list[str]:
        """The labels that occur, sorted; `y` indexes into them."""
        return sorted(set(self.table["label"]))

    @property
    def y(self) -> np.ndarray:
        """Index into ``classes`` of every clip, shape (clips,), int64."""
        return np.searchsorted(self.classes, self.table["label"].to_numpy(str)).astype(np.int64)

    @property
    def folds(self) -> np.ndarray:
        """Fold of every clip, shape (clips,), int64."""
        return self.table["fold"].to_numpy(np.int64)

    @property
    def test_folds(self) -> list[int]:
        """The folds that are tested, ascending: all but fold 0, whose clips are always trained on."""
        return test_folds(self.folds)

    @property
    def recordings(self) -> np.ndarray:
        """Recording that every clip was cut from, shape (clips,), str."""
        return self.table["recording"].to_numpy(str)

    def take(self, clips: Sequence[int] | np.ndarray) -> Self:
        """Return the same of some clips.

        Parameters
        ----------
        clips : sequence of int or ndarray
            Row numbers, in the order wanted, or a boolean mask over the clips.
        """
        rows = np.arange(len(self))[clips]
        return replace(self, table=self.table.iloc[rows].reset_index(drop=True), **self._rows(rows))

    def tested(self) -> Self:
        """Return the same of the clips that are tested: all but those of fold 0."""
        return self.take(self.folds != ALWAYS_TRAINED)

    def training_folds(self) -> list[Self]:
        """Return, for every fold that is tested, the same of the clips outside it."""
        return [self.take(self.folds != fold) for fold in self.test_folds]

    def _rows(self, rows: np.ndarray) -> dict[str, object]:
        """Return the other fields that have one row per clip, by name, at these rows."""
        return {}


@dataclass(frozen=True, eq=False)
class Clips(Labelled):
    """Labelled sound files with folds.

    Attributes
    ----------
    name : str
        The data set, such as ``"esc10"``, or the name of the folder.
    root : Path
        The folder that holds the files, absolute.
    table : DataFrame
        Columns ``clip`` (str, unique), ``path`` (str, absolute), ``label`` (str), ``fold`` (int64) and
        ``recording`` (str). Where a data set marks seconds of a clip as erroneous there is a column ``cut``: a list of
        (start, end) pairs in seconds, which are cut out when the clip is decoded.
    notes : tuple of str
        What a reader of the results should know of this copy, such as that it is a subset; completes a sentence.
    left_out : tuple of dict
        Clips that cannot be used and were left out: clip, fault.

    Raises
    ------
    DataError
        A clip id occurs twice.

    Examples
    --------
    >>> rows = [("a", "/x/a.wav", "rain", 1, "1"), ("b", "/x/b.wav", "dog", 2, "2")]
    >>> clips = Clips("mine", Path("/x"), pd.DataFrame(rows, columns=COLUMNS))
    >>> len(clips), clips.classes, clips.y.tolist(), clips.take([1]).table["clip"].tolist()
    (2, ['dog', 'rain'], [1, 0], ['b'])
    """

    name: str
    root: Path
    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    left_out: tuple[dict[str, str], ...] = ()

    def __post_init__(self):
        twice = self.table["clip"][self.table["clip"].duplicated()]
        if len(twice):
            raise DataError(
                f"{self.name}: clip {twice.iloc[0]!r} occurs more than once; every clip needs its own id"
            )

    @property
    def cuts(self) -> list[list[tuple[float, float]]]:
        """Seconds to cut out of each clip: (start, end) pairs, mostly none."""
        return self.table["cut"].tolist() if "cut" in self.table else [[] for _ in range(len(self))]


def test_folds(folds: np.ndarray) -> list[int]:
    """Return the folds that are tested, ascending, of the fold of every clip (clips,).

    >>> test_folds(np.array([2, 0, 1, 2]))
    [1, 2]
    """
    return [int(fold) for fold in np.unique(folds) if fold != ALWAYS_TRAINED]


test_folds.__test__ = False  # the name is not that of a test


def check_folds(labels: Sequence[str], folds: np.ndarray) -> None:
    """Raise unless a classifier can be trained and tested: for every fold that is tested, on all the others.

    Parameters
    ----------
    labels : sequence of str, length clips
    folds : ndarray, shape (clips,)

    Raises
    ------
    DataError
        There is one class only, no fold or nothing outside it, or a class with fewer than 2 clips outside a tested fold;
        names the class.
    """
    labels, folds = np.asarray(labels, dtype=str), np.asarray(folds)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise DataError(
            f"all clips are of class {str(labels[0])!r}: at least 2 classes are needed to tell apart"
        )
    tested = test_folds(folds)
    if not tested:
        raise DataError("all clips are in fold 0, which is never tested: number the folds from 1")
    if len(np.unique(folds)) < 2:
        raise DataError(f"all clips are in fold {tested[0]}: cross-validation needs at least 2 folds")
    for fold in tested:
        for label in classes:
            left = int(((labels == label) & (folds != fold)).sum())
            if left == 0:
                raise DataError(
                    f"class {str(label)!r} occurs in fold {fold} only, so no classifier for that fold can learn it"
                )
            if left == 1:
                raise DataError(
                    f"class {str(label)!r} has 1 clip outside fold {fold}, and at least 2 are needed to train on: "
                    "add clips of that class or leave it out"
                )
