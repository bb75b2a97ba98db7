"""The clip table: what every data set is turned into, whatever its layout on disk.

Conventions: one row per clip, sorted by clip id; folds are numbered from 1; clips cut from one recording
share its name in ``recording`` and are not independent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.errors import DataError

COLUMNS = ["clip", "path", "label", "fold", "recording"]


@dataclass(frozen=True, eq=False)
class Clips:
    """Labelled sound files with folds.

    Attributes
    ----------
    name : str
        The data set, such as ``"esc10"``, or the name of the folder.
    root : Path
        The folder that holds the files, absolute.
    table : DataFrame
        Columns ``clip`` (str, unique), ``path`` (str, absolute), ``label`` (str), ``fold`` (int64) and
        ``recording`` (str).

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

    def __post_init__(self):
        twice = self.table["clip"][self.table["clip"].duplicated()]
        if len(twice):
            raise DataError(
                f"{self.name}: clip {twice.iloc[0]!r} occurs more than once; every clip needs its own id"
            )

    def __len__(self) -> int:
        return len(self.table)

    @property
    def classes(self) -> list[str]:
        """The labels that occur, sorted."""
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
    def recordings(self) -> np.ndarray:
        """Recording that every clip was cut from, shape (clips,), str."""
        return self.table["recording"].to_numpy(str)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Clips":
        """Return some of the clips.

        Parameters
        ----------
        indices : sequence of int or ndarray
            Row numbers, in the order wanted, or a boolean mask over the clips.
        """
        rows = np.arange(len(self))[indices]
        return Clips(self.name, self.root, self.table.iloc[rows].reset_index(drop=True))
