"""A store of responses: a folder to which large sets are written, and from which they are read, block by block.

``manifest.json`` says what the numbers were made from (provenance) and lists the blocks; ``block-00000.parquet`` and so on
hold some clips each: the rows of the clip table, and per tap one column of float32 lists of fixed length. Nothing is
pickled; any program that reads parquet reads the blocks.

A store is planned before it is filled: which clips make which block is fixed then, so that blocks can be written in any
order, by any number of processes, and those that are there already need not be made again. Every file is written under
another name and renamed when it is whole. Until all blocks are there the manifest says so, and `ResponseStore.open` refuses.
A block carries a hash of its clips (names, labels, folds, recordings, sound) and of what made it: one from elsewhere is noticed.
Pages of a block have checksums.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.core.artifacts import make_key
from dha_utils.core.errors import DataError, choose
from dha_utils.core.hashing import hash_json, hash_names
from dha_utils.core.paths import probe_folder, write_json
from dha_utils.responses.blocks import (
    Block,
    find_fault,
    read_arrays,
    read_table,
    rows_sha256,
    write_block,
)
from dha_utils.responses.table import Responses

FORMAT = "dha-responses 2"
MANIFEST = "manifest.json"
HOW = ("kind", "versions", "weights", "parameters")
"""Parts of a key that say how responses are made, not of which clips: those that what is appended must share."""


@dataclass(frozen=True)
class ResponseStore:
    """A folder of responses; made by `plan` and `begin`, or `open`.

    Attributes
    ----------
    folder : Path
    key : dict
        What the responses depend on (`dha_utils.core.artifacts`).
    provenance : dict
        As in `dha_utils.Responses`.
    taps : tuple of str
    blocks : tuple of Block
    complete : bool
        Whether all blocks have been written and looked at; their sizes are known then.
    """

    folder: Path
    key: Mapping
    provenance: Mapping
    taps: tuple[str, ...]
    blocks: tuple[Block, ...]
    complete: bool = False

    def __len__(self) -> int:
        """Return the number of clips."""
        return sum(block.rows for block in self.blocks)

    @classmethod
    def plan(
        cls,
        folder: str | Path,
        table: pd.DataFrame,
        provenance: Mapping,
        taps: Sequence[str],
        block_size: int,
        kind: str = "responses",
    ) -> "ResponseStore":
        """Return the store that some clips are to make in a folder; nothing is written yet.

        Parameters
        ----------
        folder : path
        table : DataFrame
            The clip table, in order: clip, label, fold, recording, sound.
        provenance : dict
            JSON types only.
        taps : sequence of str
        block_size : int
            Clips per block.
        kind : {"responses", "mfcc"}
            As in `dha_utils.core.artifacts.make_key`.
        """
        pieces = [table.iloc[start : start + block_size] for start in range(0, len(table), block_size)]
        cut = provenance.get("cut", {})
        blocks = tuple(Block(len(piece), rows_sha256(piece, cut)) for piece in pieces)
        key = make_key(kind, table, provenance)
        return cls(Path(folder), key, dict(provenance), tuple(taps), blocks)

    def begin(self, *, anew: bool = False) -> "ResponseStore":
        """Return the store as it is in its folder: new, or the same as far as it got.

        Parameters
        ----------
        anew : bool
            Take the place of another store that is there. Blocks that both have in common are kept.

        Raises
        ------
        DataError
            If the folder cannot be written, or holds anything else.
        """
        claim_folder(self.folder)
        if (self.folder / MANIFEST).exists():
            try:
                held = self.load(self.folder)
            except DataError:
                if not anew:
                    raise
            else:
                if held.is_same(self):
                    return held
                if not anew:
                    raise DataError(
                        f"{self.folder}: holds another extraction (other clips, parameters or weights); remove it, or choose "
                        "another output"
                    )
        try:
            self._save()
            own = {self.path(number) for number in range(len(self.blocks))}
            for path in {*self.folder.glob("*.parquet")} - own:
                path.unlink()
        except OSError as error:
            raise _cannot_be_written(self.folder, error) from error
        return self

    @classmethod
    def open(cls, folder: str | Path) -> "ResponseStore":
        """Return the finished store in a folder, after a look at every block's size and mark.

        Raises
        ------
        DataError
            If there is none, it is not finished, or a block is missing, cut short or of another store.
        """
        folder = Path(folder)
        store = cls.load(folder)
        if not store.complete:
            n_there = len(store.blocks) - len(store.missing())
            raise DataError(
                f"{folder}: is not finished: {n_there} of {len(store.blocks)} blocks are there; run the same extraction "
                "again, it goes on where it stopped"
            )
        for number in range(len(store.blocks)):
            if fault := store.fault(number):
                raise DataError(
                    f"{store.path(number)}: {fault}; run the same extraction again, which makes only such blocks"
                )
        expected = {store.path(number) for number in range(len(store.blocks))}
        for path in sorted(set(folder.glob("*.parquet")) - expected):
            raise DataError(
                f"{path}: is not in the manifest: of another store, or of an appending that was interrupted; move it away"
            )
        return store

    def write(self, number: int, table: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> None:
        """Write one block, atomically; any process may, in any order.

        Parameters
        ----------
        number : int
        table : DataFrame
            Rows of the clip table, those planned for this block.
        arrays : dict of str to ndarray, shape (clips, maps), float32
            One per tap of the store.

        Raises
        ------
        DataError
            If these are not the clips or taps of the block, a response is not finite, or the disk is full.
        """
        rows = rows_sha256(table, self.provenance.get("cut", {}))
        if rows != self.blocks[number].clips_sha256 or {*arrays} != {*self.taps}:
            raise DataError(f"{self.path(number)}: these are not the clips and taps that were planned for it")
        Responses(arrays, table)  # checks shapes and values
        write_block(self.path(number), table, {tap: arrays[tap] for tap in self.taps}, self.mark(number))

    def finish(self) -> "ResponseStore":
        """Return the store, finished: all blocks are looked at and the manifest is written for good.

        Raises
        ------
        DataError
            If a block is missing or not what was planned.
        """
        plan = self._as_planned()
        if missing := plan.missing():
            fault = plan.fault(missing[0])
            raise DataError(f"{self.path(missing[0])}: {fault}; {len(missing)} blocks to go")
        sized = tuple(
            replace(block, bytes=self.path(number).stat().st_size) for number, block in enumerate(self.blocks)
        )
        done = replace(self, blocks=sized, complete=True)
        done._save()
        return done

    def append(self, responses: Responses) -> "ResponseStore":
        """Return the finished store with more clips, as one more block; the manifest changes last.

        Raises
        ------
        DataError
            If the responses were made in another way, hold other taps, or a clip is there already.
        """
        if responses.taps != self.taps:
            raise DataError(
                f"{self.folder}: holds taps {', '.join(self.taps)}, not {', '.join(responses.taps)}"
            )
        theirs = make_key(self.key["kind"], responses.table, responses.provenance)
        for part in HOW:
            if self.key[part] != theirs[part]:
                raise DataError(
                    f"{self.folder}: what is to be appended was made with another {part}: not comparable"
                )
        table = self.table
        if [*table.columns] != [*responses.table.columns]:
            raise DataError(
                f"{self.folder}: its clips have the columns {', '.join(table.columns)}, not "
                f"{', '.join(responses.table.columns)}"
            )
        held, names = table["clip"].tolist(), responses.table["clip"].tolist()
        if twice := {*held} & {*names}:
            raise DataError(f"{self.folder}: clip {min(twice)} is there already")
        of_the_clips = {"clips": len(held) + len(names), "clip_list_sha256": hash_names(held + names)}
        for key in ("dataset", "attribution"):
            both = dict.fromkeys(p[key] for p in (self.provenance, responses.provenance) if p.get(key))
            of_the_clips[key] = "; ".join(both) or None
        for key, none in (("notes", []), ("left_out", []), ("cut", {})):
            of_both = [p.get(key, none) for p in (self.provenance, responses.provenance)]
            both = {**of_both[0], **of_both[1]} if key == "cut" else of_both[0] + of_both[1]
            if both:
                of_the_clips[key] = both
        provenance = {**self.provenance, **of_the_clips}
        cut = provenance.get("cut", {})
        longer = replace(
            self,
            key=make_key(
                self.key["kind"], pd.concat([table, responses.table], ignore_index=True), provenance
            ),
            provenance=provenance,
            blocks=(*self.blocks, Block(len(names), rows_sha256(responses.table, cut))),
            complete=False,
        )
        longer.write(len(self.blocks), responses.table, responses.arrays)
        return longer.finish()

    @property
    def table(self) -> pd.DataFrame:
        """The clip table: clip, label, fold, recording, sound."""
        return pd.concat([self._rows(number) for number in range(len(self.blocks))], ignore_index=True)

    def iterate(self, taps: Sequence[str] | None = None) -> Iterator[Responses]:
        """Yield the responses of the given taps (default: all) block by block, holding one block at a time.

        Raises
        ------
        DataError
            If a tap is not in the store, or a block is damaged.
        """
        for number in range(len(self.blocks)):
            yield self._block(number, taps)

    def read(self, taps: Sequence[str] | None = None, rows: np.ndarray | slice | None = None) -> Responses:
        """Return the responses of some clips at some taps.

        Parameters
        ----------
        taps : sequence of str, optional
            Default: all.
        rows : ndarray or slice, optional
            Row numbers, in any order, or a boolean mask over the clips; default: all. Blocks without such are not read.

        Raises
        ------
        DataError
            If a tap is not in the store, no clip is asked for, or a block is damaged.
        """
        rows = np.arange(len(self))[slice(None) if rows is None else rows]
        if not len(rows):
            raise DataError(f"{self.folder}: no clips are asked for; it holds {len(self)}")
        ends = np.cumsum([block.rows for block in self.blocks])
        owners = np.searchsorted(ends, rows, side="right")
        parts = []
        for number in np.unique(owners):
            first = ends[number] - self.blocks[number].rows
            parts.append(self._block(number, taps).take(rows[owners == number] - first))
        arrays = {tap: np.concatenate([part[tap] for part in parts]) for tap in parts[0].taps}
        table = pd.concat([part.table for part in parts], ignore_index=True)
        # The parts lie block by block; back to the order that was asked for.
        order = np.argsort(np.argsort(owners, kind="stable"), kind="stable")
        return Responses(arrays, table, dict(self.provenance)).take(order)

    def _block(self, number: int, taps: Sequence[str] | None) -> Responses:
        for tap in taps or ():
            choose("tap", tap, self.taps, DataError)
        arrays = read_arrays(self.path(number), taps or self.taps)
        return Responses(arrays, self._rows(number), dict(self.provenance))

    def _rows(self, number: int) -> pd.DataFrame:
        """Return the rows of the clip table in a block; names and types of columns have no checksum in its file."""
        table = read_table(self.path(number), self.taps)
        with suppress(KeyError, TypeError):  # a column that is not there, or is no text any more
            if rows_sha256(table, self.provenance.get("cut", {})) == self.blocks[number].clips_sha256:
                return table
        raise DataError(
            f"{self.path(number)}: holds other clips than {MANIFEST} says; remove it and run the same extraction again, which "
            "makes it anew"
        )

    @classmethod
    def load(cls, folder: Path) -> "ResponseStore":
        """Return the store that a folder has the manifest of; raise a DataError where there is none, or something else."""
        path = folder / MANIFEST
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["format"] != FORMAT:
                raise ValueError(f"its format is {held['format']!r}")
            blocks = tuple(Block(**block) for block in held["blocks"])
            key, provenance = dict(held["key"]), dict(held["provenance"])
            if absent := {*HOW} - key.keys():
                raise KeyError(min(absent))
            if not all(isinstance(block.rows, int) for block in blocks):
                raise TypeError("rows that are no number")
            return cls(folder, key, provenance, tuple(held["taps"]), blocks, held["complete"])
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{folder}: no store of responses is here ({MANIFEST} is missing)") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is not the manifest of a store of responses ({error})") from error

    def _save(self) -> None:
        """Write the manifest, atomically."""
        blocks = [{key: value for key, value in vars(b).items() if value is not None} for b in self.blocks]
        head = {"format": FORMAT, "complete": self.complete, "key": self.key, "taps": self.taps}
        head["provenance"] = self.provenance
        write_json(self.folder / MANIFEST, head | {"blocks": blocks})

    def _as_planned(self) -> "ResponseStore":
        """Return the store as it was before any block was written."""
        return replace(
            self, complete=False, blocks=tuple(replace(block, bytes=None) for block in self.blocks)
        )

    def path(self, number: int) -> Path:
        """Return the file of a block."""
        return self.folder / f"block-{number:05d}.parquet"

    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are still to be written, or written anew."""
        return [number for number in range(len(self.blocks)) if self.fault(number)]

    def is_same(self, other: "ResponseStore") -> bool:
        """Return whether both are of the same responses, in the same blocks, however much of them is there."""
        one, two = self._as_planned(), other._as_planned()
        return (one.key, one.taps, one.blocks) == (two.key, two.taps, two.blocks)

    def mark(self, number: int) -> str:
        """Return the hash of what a block is made from: how, which taps, which clips."""
        how = [self.key[part] for part in HOW]
        return hash_json([how, self.taps, self.blocks[number].clips_sha256])

    def fault(self, number: int) -> str | None:
        """Return what is wrong with the file of a block, or None."""
        return find_fault(self.path(number), self.blocks[number], self.mark(number))


def claim_folder(folder: Path) -> None:
    """See that a folder can be that of a store: before hours of work are done for it.

    Raises
    ------
    DataError
        If it cannot be written, or holds what is not a store.
    """
    try:
        probe_folder(folder)
    except OSError as error:
        raise _cannot_be_written(folder, error) from error
    if not (folder / MANIFEST).exists() and any(folder.glob("[!.]*")):
        raise DataError(f"{folder} exists and is not ours: move it away, or choose another output")


def _cannot_be_written(folder: Path, error: OSError) -> DataError:
    return DataError(f"{folder}: cannot be written ({error.strerror}); choose another folder")
