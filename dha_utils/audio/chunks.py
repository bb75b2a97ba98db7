"""Files of chunks: WAV (RIFF, RIFX, RF64), W64, AIFF, 8SVX, CAF, AU; the sizes that they give are compared with what is there.

Such a file is a row of chunks, each a name, a size and a body, of which one holds the samples. Its size is a promise that may
be broken: a recorder that lost power leaves 0, a program that writes to a pipe the largest number there is, and a few the size
of the whole file; or the file is cut off, and then samples are missing. libsndfile reads what is left as if it were all.
"""

import struct
from typing import NamedTuple

from dha_utils.audio.mpeg import mpeg_streams
from dha_utils.audio.source import MOST, Source, Stream

UNKNOWN = (range(0x7F000000, 0x7F000100), range(0x7FFF0000, 0x80000100), range(0xFFFF0000, 2**32))
"""Sizes of 32 bits that were never known: a program that writes to a pipe leaves the largest number there is, or one near it."""

MPEG = (0x50, 0x55)
"""Codings of WAV whose samples are a whole file of MPEG audio."""


def is_unknown(size: int) -> bool:
    """Return whether a size of 32 bits is one that programs write who do not know it."""
    return any(size in sizes for sizes in UNKNOWN)


class Kind(NamedTuple):
    """A kind of file of chunks.

    Attributes
    ----------
    first : int
        Where its first chunk begins.
    order : str
        Byte order and width of a size, as `struct` names it.
    name : int
        Bytes of a chunk's name.
    align : int
        Chunks begin at multiples of it.
    samples : bytes
        Name of the chunk that holds the samples.
    """

    first: int
    order: str
    name: int
    align: int
    samples: bytes

    @property
    def head(self) -> int:
        """Return the bytes before a body."""
        return self.name + struct.calcsize(self.order)


_W64 = bytes.fromhex("f3acd3118cd100c04f8edb8a")
KINDS = {
    (b"RIFF", b"WAVE"): Kind(12, "<I", 4, 2, b"data"),
    (b"RIFX", b"WAVE"): Kind(12, ">I", 4, 2, b"data"),
    (b"RF64", b"WAVE"): Kind(12, "<I", 4, 2, b"data"),
    (b"BW64", b"WAVE"): Kind(12, "<I", 4, 2, b"data"),
    (b"FORM", b"AIFF"): Kind(12, ">I", 4, 2, b"SSND"),
    (b"FORM", b"AIFC"): Kind(12, ">I", 4, 2, b"SSND"),
    (b"FORM", b"8SVX"): Kind(12, ">I", 4, 2, b"BODY"),
    (b"FORM", b"16SV"): Kind(12, ">I", 4, 2, b"BODY"),
    (b"caff", b""): Kind(8, ">Q", 4, 1, b"data"),
    (b"riff", b""): Kind(40, "<Q", 16, 8, b"data" + _W64),
}
"""Mark at the beginning, and at offset 8 where there is one -> kind."""


def find_kind(source: Source, start: int) -> Kind | None:
    """Return of what kind a file of chunks is that begins at an offset, or None."""
    head = source.at(start, 12)
    return KINDS.get((head[:4], head[8:])) or KINDS.get((head[:4], b""))


class Chunk(NamedTuple):
    """A chunk: its name, where its body begins, and the size of that as it is given; below 0: none is given."""

    name: bytes
    body: int
    size: int


def chunk_streams(source: Source, start: int) -> list[Stream]:
    """Return the sounds of a file of chunks that begins at an offset: one, or several that were put end to end.

    Raises
    ------
    AudioError
        Samples that its header promises are missing.
    """
    streams = []
    while len(streams) <= MOST and (kind := find_kind(source, start)):
        more, start = _read_chunks(source, start, kind)
        streams += more
    if source.at(start, 2**16).strip(b"\0"):
        source.odd["behind"] = f"{source.end - start} bytes"
    return streams


def _read_chunks(source: Source, start: int, kind: Kind) -> tuple[list[Stream], int]:
    """Return the sound of the file of chunks at an offset, and where that ends."""
    coding, long_size, found, at = b"", 0, [], start + kind.first
    while not find_kind(source, at) and (chunk := _chunk(source, kind, at)):
        if chunk.name == b"ds64":
            long_size = chunk.body + 8
        if chunk.name == b"fmt ":
            coding = source.at(chunk.body, 2)
        if chunk.name == kind.samples:
            if chunk.size == 0xFFFFFFFF and long_size:
                chunk = chunk._replace(size=int.from_bytes(source.at(long_size, 8), "little") or -1)
            size = _size_of_samples(source, start, kind, chunk)
            found.append((chunk, size))
        else:
            size = chunk.size
        at = _next(source, start, kind, chunk.body + size)
    at = min(at, source.end)
    if not found:
        return [Stream((range(start, source.end),))], source.end
    chunk, size = found[0]
    if int.from_bytes(coding, "little") in MPEG:
        return mpeg_streams(source, chunk.body, chunk.body + size), at
    if [chunk.size for chunk, _ in found] == [size]:
        return [Stream((range(start, at),))], at
    return [_mended(source, start, kind, found, long_size)], at


def _chunk(source: Source, kind: Kind, at: int) -> Chunk | None:
    """Return the chunk at an offset, or None if there is none that could be one."""
    head = source.at(at, kind.head)
    if len(head) < kind.head or not all(0x20 <= byte < 0x7F for byte in head[:4]):
        return None
    size = struct.unpack(kind.order, head[kind.name :])[0]
    if kind.name == 16:  # W64 counts the head
        size -= kind.head
    if size >= 2**62:
        size = -1
    chunk = Chunk(head[: kind.name], at + kind.head, size)
    if chunk.name != kind.samples and not 0 <= size <= source.end - chunk.body + 1:
        return None
    return chunk


def _next(source: Source, start: int, kind: Kind, after: int) -> int:
    """Return where the chunk behind one begins; a few programs do not pad."""
    padded = start + -(-(after - start) // kind.align) * kind.align
    return (
        after
        if padded != after and not _goes_on(source, kind, padded) and _chunk(source, kind, after)
        else padded
    )


def _goes_on(source: Source, kind: Kind, at: int) -> bool:
    """Return whether at an offset there is what may come behind a chunk: another, another file, or nothing."""
    return at >= source.end or bool(find_kind(source, at)) or _chunk(source, kind, at) is not None


def _size_of_samples(source: Source, start: int, kind: Kind, chunk: Chunk) -> int:
    """Return how many bytes of samples there are, whatever their chunk says."""
    there, size = source.end - chunk.body, chunk.size
    if size < 0 or (size > there and kind.order[1] != "Q" and is_unknown(size)):
        return there
    if size > there:
        if size - there in (
            1,
            chunk.body - start,
            chunk.body - start - 8,
        ):  # a pad byte; the size of the whole file
            return there
        raise source.fault(
            f"is truncated: {there} of the {size} bytes of samples that its header promises are there; get the file again"
        )
    after = chunk.body + size
    if _goes_on(source, kind, _next(source, start, kind, after)):
        return size
    if size == 0:  # a recorder that lost power before it could write it
        return there
    # What the whole file is said to hold, and the samples are not, is samples: their size was written once, early.
    whole = int.from_bytes(source.at(start + 4, 4), "big" if kind.order[0] == ">" else "little")
    if kind.name == 4 and kind.first == 12 and not is_unknown(whole) and start + 8 + whole > after + 1:
        return min(start + 8 + whole, source.end) - chunk.body
    return size


def _mended(source: Source, start: int, kind: Kind, found: list[tuple[Chunk, int]], long_size: int) -> Stream:
    """Return the samples of all chunks behind a header that gives their size."""
    total, body = sum(size for _, size in found), found[0][0].body
    header = bytearray(source.at(start, body - start))
    at = body - start - struct.calcsize(kind.order)
    if long_size and header[at:] == b"\xff" * 4:
        struct.pack_into("<Q", header, long_size - start, total)
    else:
        struct.pack_into(kind.order, header, at, total + (kind.head if kind.name == 16 else 0))
    return Stream((bytes(header), *(range(chunk.body, chunk.body + size) for chunk, size in found)))
