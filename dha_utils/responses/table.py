"""Pooled responses: one number per clip and feature map, at every tap; how they are kept and read back.

Conventions: the *response* of a map to a clip is its average over time (global average pooling), unless another pooling was asked
for (`dha_utils.responses.pooling`); responses of a tap are an array ``(clips, maps)``, float32, rows in the order of the clip
table. Files are safetensors: plain arrays and one JSON header, no pickle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError, choose
from dha_utils.core.tensor_files import load_tensors, reading, save_tensors
from dha_utils.datasets.clips import COLUMNS, Labelled


@dataclass(frozen=True, repr=False)
class Responses(Labelled):
    """Responses of a set of clips, tap by tap.

    Attributes
    ----------
    arrays : dict of str to ndarray, shape (clips, maps), float32
        One array per tap.
    table : DataFrame
        One row per clip: clip, label, fold, recording and, where it is known, sound: what tells the clip's sound from any
        other (`dha_utils.datasets.sound.hash_sound`).
    provenance : dict
        What the numbers were made from: data, weights, parameters, versions.

    Examples
    --------
    >>> table = pd.DataFrame({"clip": ["a", "b"], "label": ["rain", "dog"], "fold": [1, 2], "recording": ["a", "b"]})
    >>> responses = Responses({"pool1": np.zeros((2, 16), np.float32)}, table)
    >>> responses["pool1"].shape, responses.classes, responses.y.tolist()
    ((2, 16), ['dog', 'rain'], [1, 0])
    >>> responses
    <Responses of 2 clips; maps: pool1 16>
    """

    arrays: Mapping[str, np.ndarray]
    table: pd.DataFrame
    provenance: dict = field(default_factory=dict)

    def __post_init__(self):
        for tap, array in self.arrays.items():
            if array.ndim != 2 or len(array) != len(self.table):
                raise DataError(
                    f"responses of {tap} have shape {array.shape}, expected ({len(self.table)}, maps): one row per clip"
                )
            if not np.isfinite(array).all():
                clip = self.table["clip"].iloc[int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])]
                raise DataError(
                    f"responses of {tap} to clip {clip} are not finite: are its samples far beyond full scale (1)? If not, "
                    "extract them with precision float32"
                )

    def __repr__(self) -> str:
        maps = ", ".join(f"{tap} {array.shape[1]}" for tap, array in self.arrays.items())
        return f"<Responses of {len(self.table)} clips; maps: {maps}>"

    def __getitem__(self, tap: str) -> np.ndarray:
        """Return the responses of a tap, shape (clips, maps)."""
        return self.arrays[choose("tap", tap, self.arrays, DataError)]

    @property
    def taps(self) -> tuple[str, ...]:
        """Names of the taps, in the order of the network."""
        return tuple(self.arrays)

    def _rows(self, rows: np.ndarray) -> dict[str, object]:
        return {"arrays": {tap: array[rows] for tap, array in self.arrays.items()}}

    def shuffle_labels(self, seed: int) -> "Responses":
        """Return the same responses with labels permuted over clips at random; folds stay."""
        labels = np.random.default_rng(seed).permutation(self.table["label"].to_numpy())
        return replace(self, table=self.table.assign(label=labels))

    def perturb(self, seed: int, by: float = 1e-6) -> "Responses":
        """Return the same responses, each times 1 plus a normal deviate of `by`: as another machine might give them."""
        rng = np.random.default_rng(seed)
        noise = {tap: 1 + by * rng.standard_normal(array.shape) for tap, array in self.arrays.items()}
        arrays = {tap: (array * noise[tap]).astype(np.float32) for tap, array in self.arrays.items()}
        # No longer what the sound gives: what is kept of the one must not be taken for the other.
        return Responses(arrays, self.table.drop(columns="sound", errors="ignore"), self.provenance)

    def average_recordings(self) -> "Responses":
        """Return one row per recording, the mean of its clips: what is independent. Of several labels or folds, one each.

        >>> table = pd.DataFrame({"clip": ["a", "b"], "label": ["dog", "dog"], "fold": [1, 1], "recording": ["r", "r"]})
        >>> Responses({"pool1": np.array([[1.0], [2.0]], np.float32)}, table).average_recordings()["pool1"]
        array([[1.5]], dtype=float32)
        """
        parts = self.table.groupby(["recording", "label", "fold"], sort=False).ngroup().to_numpy()
        first = np.unique(parts, return_index=True)[1]
        arrays = {}
        for tap, array in self.arrays.items():
            sums = np.zeros((len(first), array.shape[1]))
            np.add.at(sums, parts, array)
            arrays[tap] = (sums / np.bincount(parts)[:, None]).astype(np.float32)
        # Of several clips no one sound is the row's.
        table = self.table.iloc[first].drop(columns="sound", errors="ignore").reset_index(drop=True)
        return Responses(arrays, table, self.provenance)

    def matrix(self, taps: Sequence[str] | None = None) -> np.ndarray:
        """Return the responses of several taps side by side, shape (clips, sum of maps); default: all taps."""
        return np.concatenate([self[tap] for tap in taps or self.taps], axis=1)

    def describe(self) -> pd.DataFrame:
        """Return what the responses of every tap are like, one row each.

        Returns
        -------
        DataFrame
            Columns tap, maps, mean (of all responses), zero (share of the responses that are 0), silent maps (those that are 0
            for every clip).
        """
        return pd.DataFrame(
            {"tap": tap, "maps": x.shape[1], "mean": x.mean(dtype=float)}
            | {"zero": (x == 0).mean(), "silent maps": (x == 0).all(axis=0).sum()}
            for tap, x in self.arrays.items()
        )

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, atomically."""
        header = {
            "taps": self.taps,
            "table": self.table.to_dict(orient="list"),
            "provenance": self.provenance,
        }
        arrays = {tap: np.ascontiguousarray(array, np.float32) for tap, array in self.arrays.items()}
        save_tensors(path, arrays, header)

    @classmethod
    def load(cls, path: str | Path) -> "Responses":
        """Read a file written by `save`.

        Raises
        ------
        DataError
            If the file is missing, damaged or of another kind.
        """
        advice = "`dha extract` makes it, or run the earlier notebook first"
        header, arrays = load_tensors(path, "responses", advice, "taps", "table", "provenance")
        with reading(path, "responses"):
            taps = {tap: arrays[tap] for tap in header["taps"]}
            table = pd.DataFrame(header["table"])
            if absent := {*COLUMNS} - {"path", *table.columns}:
                raise LookupError(f"no {min(absent)} in its table")
            return cls(taps, table, dict(header["provenance"]))
