"""What looks wrong in a sound that can be read, and may be meant: found while it is inspected, said, and left as it is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

LOUD = 10.0
"""Times full scale: no recording gets there, but floats on the scale of 16-bit integers do."""

SILENT = 2.0**-14
"""Between the lowest and the highest sample: two steps of 16 bits."""

QUIET = 10 ** (-50 / 20)
"""Root mean square below which the mean of several channels is compared with one of them."""

CANCELLED = 10.0
"""Times that a channel is louder than the mean of all."""

ZEROS = 0.5
"""Seconds of zeros on end that are mentioned."""

KINDS: Mapping[str, str] = {
    "loud": "samples beyond full scale ({}): floats on the scale of integers? Divide them",
    "cancelled": "channels that cancel each other ({}), their mean is nearly silence: --channel left or right takes one",
    "silent": "silent or constant ({})",
    "several": "several sounds end to end, read as one ({})",
    "behind": "bytes behind the end of the sound, not read ({})",
    "between": "bytes among MPEG frames that are none, passed over ({})",
    "changed": "MP3 that is not what its encoder made, by its checksum ({}): damaged inside, or changed since, as by mp3gain",
    "unmarked": "Ogg without a mark of its end, as recorders leave it that are switched off: is all there? ({})",
    "zeros": f"zeros for {ZEROS} s or longer ({{}})",
}
"""What an oddity is called -> the note on the files that have it."""


class Listener:
    """Collects what is needed of a sound from its mono pieces, in order.

    >>> listener = Listener()
    >>> for piece in listener.through([np.zeros(4, np.float32), np.full(4, 40, np.float32)]): pass
    >>> listener.oddities(rate=8)
    {'loud': 'to 40', 'zeros': '0.5 s'}
    """

    def __init__(self):
        self.lowest, self.highest = np.inf, -np.inf
        self.energy, self.count = 0.0, 0
        self.longest = self._running = 0

    def through(self, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield pieces, shape (samples,), as they come, and take note of them."""
        for piece in pieces:
            self.lowest = min(self.lowest, float(piece.min()))
            self.highest = max(self.highest, float(piece.max()))
            self.energy += float(np.vdot(piece, piece))
            self.count += len(piece)
            self._count_zeros(piece)
            yield piece

    @property
    def rms(self) -> float:
        """Root mean square of what was heard."""
        return (self.energy / max(1, self.count)) ** 0.5

    def oddities(self, rate: int) -> dict[str, str]:
        """Return the kinds of oddities found, each with its measure, for a sound of so many Hz."""
        if self.highest - self.lowest <= SILENT:
            return {"silent": ""}
        found = {}
        if max(self.highest, -self.lowest) > LOUD:
            found["loud"] = f"to {max(self.highest, -self.lowest):.0f}"
        if self.longest >= ZEROS * rate:
            found["zeros"] = f"{self.longest / rate:.1f} s"
        return found

    def _count_zeros(self, piece: np.ndarray) -> None:
        ends = np.flatnonzero(piece)
        if not len(ends):
            self._running += len(piece)
        else:
            within = int(np.diff(ends).max(initial=1)) - 1
            self.longest = max(self.longest, self._running + int(ends[0]), within)
            self._running = len(piece) - 1 - int(ends[-1])
        self.longest = max(self.longest, self._running)


def describe_oddities(clips: Sequence[str], found: Sequence[Mapping[str, str]]) -> list[str]:
    """Return one note for every kind of oddity that clips have.

    >>> describe_oddities(["a.wav", "b.wav", "c.wav"], [{}, {"silent": ""}, {"loud": "to 32000"}])[1]
    "silent or constant (1 of 3 files: 'b.wav')"
    """
    notes = []
    for kind, note in KINDS.items():
        those = [
            f"{clip!r}{f' {odd[kind]}' * bool(odd[kind])}"
            for clip, odd in zip(clips, found, strict=True)
            if kind in odd
        ]
        if those:
            more = ", ..." * (len(those) > 3)
            notes.append(note.format(f"{len(those)} of {len(clips)} files: {', '.join(those[:3])}{more}"))
    return notes
