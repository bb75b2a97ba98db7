"""The manifest of a store of responses: which blocks there are to be, and whether they are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from dha_utils.artifacts import hash_json
from dha_utils.blocks import Block, find_fault
from dha_utils.errors import DataError
from dha_utils.paths import atomic_write

FORMAT = "dha-responses 2"
MANIFEST = "manifest.json"
HOW = ("kind", "versions", "weights", "parameters")
"""Parts of a key that say how responses are made, not of which clips: those that what is appended must share."""


@dataclass(frozen=True)
class Manifest:
    """What a store is to hold.

    Attributes
    ----------
    folder : Path
    key : dict
        What the responses depend on (`dha_utils.artifacts`).
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
    def load(cls, folder: Path) -> Self:
        """Read the manifest in a folder; raise a DataError where there is none, or something else."""
        path = folder / MANIFEST
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            if held["format"] != FORMAT:
                raise ValueError(f"its format is {held['format']!r}")
            blocks = tuple(Block(**block) for block in held["blocks"])
            return cls(folder, held["key"], held["provenance"], tuple(held["taps"]), blocks, held["complete"])
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"{folder}: no store of responses is here ({MANIFEST} is missing)") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is not the manifest of a store of responses ({error})") from error

    def save(self) -> None:
        """Write it into the folder, atomically."""
        blocks = [{key: value for key, value in vars(b).items() if value is not None} for b in self.blocks]
        head = {"format": FORMAT, "complete": self.complete, "key": self.key, "taps": self.taps}
        head["provenance"] = self.provenance
        with atomic_write(self.folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(head | {"blocks": blocks}, indent=1) + "\n", encoding="utf-8")

    def as_planned(self) -> Self:
        """Return the manifest as it was before any block was written."""
        return replace(
            self, complete=False, blocks=tuple(replace(block, bytes=None) for block in self.blocks)
        )

    def path(self, number: int) -> Path:
        """Return the file of a block."""
        return self.folder / f"block-{number:05d}.parquet"

    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are still to be written, or written anew."""
        return [number for number in range(len(self.blocks)) if self.fault(number)]

    def is_same(self, other: "Manifest") -> bool:
        """Return whether both are of the same responses, in the same blocks, however much of them is there."""
        one, two = self.as_planned(), other.as_planned()
        return (one.key, one.taps, one.blocks) == (two.key, two.taps, two.blocks)

    def mark(self, number: int) -> str:
        """Return the hash of what a block is made from: how, which taps, which clips."""
        how = [self.key[part] for part in HOW]
        return hash_json([how, self.taps, self.blocks[number].clips_sha256])

    def fault(self, number: int) -> str | None:
        """Return what is wrong with the file of a block, or None."""
        return find_fault(self.path(number), self.blocks[number], self.mark(number))
