"""The bytes of a sound file: a look at any place, and parts of them put together as a file that libsndfile can read.

Conventions: offsets and sizes are in bytes, frames are samples per channel.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dha_utils.core.errors import AudioError

BLOCK = 2**20
"""Bytes read at a time where something is searched for."""

MOST = 10_000
"""Sounds in one file; however short they are, each takes its time."""


@dataclass(frozen=True)
class Stream:
    """A sound in a file that libsndfile can decode from its beginning to its end.

    Attributes
    ----------
    pieces : tuple of bytes or range
        What it consists of: bytes as they are (a header that was put right), and ranges of the file.
    frames : int or None
        How many there are, where they were counted; None: as many as libsndfile says.
    open_ended : bool
        Whether libsndfile is to believe that the file goes on for ever: it guesses lengths from sizes.
    """

    pieces: tuple[bytes | range, ...]
    frames: int | None = None
    open_ended: bool = False


@dataclass
class Source:
    """A file that is open, and what is to be said of it.

    Attributes
    ----------
    path : Path
    file : binary file
    end : int
        Where its sound ends at the latest: its size, less a tag of ID3v1.
    odd : dict of str to str
        What looks wrong and is no fault: kind, one of `dha_utils.audio.oddities.KINDS`, and how much.
    """

    path: Path
    file: BinaryIO
    end: int = 0
    odd: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        self.end = self.file.seek(0, io.SEEK_END)
        if self.end >= 128 and self.at(self.end - 128, 3) == b"TAG":
            self.end -= 128

    def at(self, offset: int, n: int) -> bytes:
        """Return `n` bytes from there on; fewer where the file ends."""
        self.file.seek(offset)
        return self.file.read(n)

    def find(self, pattern: re.Pattern, start: int, within: int = 2**62) -> Iterator[int]:
        """Yield where a pattern of at most 8 bytes occurs from `start` on, within so many bytes."""
        stop = min(self.end, start + within)
        while start < stop:
            for match in pattern.finditer(self.at(start, min(BLOCK + 7, self.end - start))):
                if match.start() < min(BLOCK, stop - start):
                    yield start + match.start()
            start += BLOCK

    def behind_tags(self, at: int) -> int:
        """Return where the content begins from there on: behind tags of ID3v2, whose size is coded in seven bits a byte."""
        while (head := self.at(at, 10))[:3] == b"ID3" and len(head) == 10:
            at += 10 + sum(
                (byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
            )
        return at

    def fault(self, what: str) -> AudioError:
        """Return the error that says so of this file."""
        return AudioError(f"{self.path}: {what}")


class Assembled(io.RawIOBase):
    """A file of pieces, as soundfile takes it: bytes, and ranges of another file."""

    ENDLESS = 2**40

    def __init__(self, file: BinaryIO, pieces: Sequence[bytes | range], *, open_ended: bool = False):
        self._file, self._pieces, self._at = file, pieces, 0
        self._size = sum(map(len, pieces)) + (self.ENDLESS if open_ended else 0)

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where it is read next."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset, as in any file."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer) -> int:
        """Fill a buffer as far as there are bytes; the last 128 of an endless file are zeros: mpg123 looks for a tag there."""
        view = memoryview(buffer).cast("B")
        if self._at >= sum(map(len, self._pieces)):
            left = (
                self._size - self._at
            )  # less than nothing where a damaged header has sent the reader beyond the end
            n = min(len(view), left) if 0 < left <= 128 else 0
            view[:n] = bytes(n)
            self._at += n
            return n
        done, start = 0, 0
        for piece in self._pieces:
            inside = self._at - start
            if 0 <= inside < len(piece) and done < len(view):
                n = min(len(piece) - inside, len(view) - done)
                if isinstance(piece, range):
                    self._file.seek(piece[inside])
                    n = self._file.readinto(view[done : done + n])
                else:
                    view[done : done + n] = piece[inside : inside + n]
                done, self._at = done + n, self._at + n
            start += len(piece)
        return done
