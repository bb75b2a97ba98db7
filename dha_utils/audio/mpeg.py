"""MPEG audio (MP3): its frames are counted, for its header may not say how many there are, or say it wrongly.

A file of MPEG audio is a row of frames, each with a head of four bytes that gives its length (ISO/IEC 11172-3, 2.4.1; 13818-3
for the lower rates). What encoders put before them, a first frame that holds no sound but a count ("Xing", "Info" or "VBRI"),
may be missing, be that of the first of several files put end to end, or be out of date. Decoders then guess from the first
frames and the file's size. Damage inside a frame is known by the checksum that some encoders leave, and else by nothing: what a
decoder makes of it is as good a sound as any.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from dha_utils.audio.checksum import is_as_encoded
from dha_utils.audio.source import Source, Stream

_LOW = {3: [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256]}
_LOW[2] = _LOW[1] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
_FULL = {
    3: [32 * i for i in range(1, 15)],
    2: [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    1: [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
}
KBPS = {3: _FULL, 2: _LOW, 0: _LOW}
"""Version and layer as they are coded -> bit rates in kbit/s from index 1 on."""

RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8000)}

IN_A_ROW = 4
"""Frames of one kind in a row that are no accident, where there is other content before them."""

FAR = 2**20
"""Bytes without a frame after which none is looked for."""

HEAD = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff][\x10-\xef]")


class Frame(NamedTuple):
    """What the head of a frame says: bytes in all, samples per channel, and what does not change within a stream."""

    length: int
    samples: int
    kind: tuple[int, int, int]


def parse_frame(head: bytes) -> Frame | None:
    """Return what four bytes say if they can be the head of a frame."""
    if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    index, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or index in (0, 15) or rate_index == 3:
        return None
    rate, bits = RATES[version][rate_index], 1000 * KBPS[version][layer][index - 1]
    padding = head[2] >> 1 & 1
    if layer == 3:
        return Frame(4 * (12 * bits // rate + padding), 384, (version, layer, rate))
    samples = 576 if layer == 1 and version != 3 else 1152
    return Frame(samples // 8 * bits // rate + padding, samples, (version, layer, rate))


class Run(NamedTuple):
    """Frames of one kind in a row: where they lie, how many, the bytes that one more lacks, and where the first says a count."""

    where: range
    count: int
    missing: int
    frame: Frame
    count_at: int | None


def mpeg_streams(source: Source, start: int, end: int) -> list[Stream]:
    """Return the streams of MPEG audio between two offsets: one, or several that were put end to end; none if there is no frame.

    Raises
    ------
    AudioError
        Its last frame, or frames that its header promises, are missing.
    """
    groups: list[list[Run]] = []
    while (start := _find_frame(source, start, end)) >= 0:
        run = _follow(source, start, end)
        if groups and run.count_at is None and run.frame.kind == groups[-1][0].frame.kind:
            groups[-1].append(run)
        else:
            groups.append([run])
        start = source.behind_tags(run.where.stop)
    return [_stream(source, runs) for runs in groups]


def _stream(source: Source, runs: list[Run]) -> Stream:
    first, missing = runs[0], runs[-1].missing
    lost = sum(b.where.start - source.behind_tags(a.where.stop) for a, b in pairwise(runs))
    if lost:
        source.odd["between"] = f"{lost} bytes"
    n, ranges = sum(run.count for run in runs), [run.where for run in runs]
    if first.count_at is None:
        if missing:
            raise source.fault(f"is truncated: its last MPEG frame lacks {missing} bytes; get the file again")
        return Stream(tuple(ranges), n * first.frame.samples, open_ended=True)
    n -= 1  # the frame that holds the count
    promised = int.from_bytes(source.at(first.count_at, 4), "big")
    if n < promised - 1 or (
        (missing or lost) and n < promised
    ):  # some encoders count the frame of the count itself
        what = "damaged" if lost else "truncated"
        raise source.fault(
            f"is {what}: {n} of the {promised} MPEG frames that its header promises are there; get the file again"
        )
    of_lame = source.at(first.count_at - 8, 4) in (b"Xing", b"Info")
    if of_lame and not is_as_encoded(source, first.where.start, first.count_at - 8, first.frame.length):
        source.odd["changed"] = ""
    if n == promised:
        return Stream(tuple(ranges))
    at = first.count_at - first.where.start
    head = bytearray(source.at(first.where.start, first.frame.length))
    head[at : at + 4] = n.to_bytes(4, "big")
    if head[at - 8 : at - 4] != b"VBRI" and head[at - 1] & 2:  # the bytes, or mpg123 warns of them on stderr
        head[at + 4 : at + 8] = sum(map(len, ranges)).to_bytes(4, "big")
    return Stream((bytes(head), range(first.where.start + len(head), first.where.stop), *ranges[1:]))


def _find_frame(source: Source, start: int, end: int) -> int:
    """Return where the next frame begins that others of its kind follow, or -1; right at `start`, it need not have followers."""
    frame = parse_frame(source.at(start, 4))
    if frame and start + frame.length <= end and _follow(source, start, end, 2).count:
        after = source.at(start + frame.length, 4)
        if parse_frame(after) or not after.strip(b"\0") or after[:3] == b"ID3":
            return start
    for at in source.find(HEAD, start + 1, min(FAR, end - start)):
        if parse_frame(source.at(at, 4)) and _follow(source, at, end, IN_A_ROW).count == IN_A_ROW:
            return at
    return -1


def _follow(source: Source, start: int, end: int, at_most: int = 2**62) -> Run:
    """Return the run of frames that begins at an offset; it ends where the next one has a count of its own."""
    first = frame = parse_frame(source.at(start, 4))
    at, count = start, 0
    while frame and frame.kind == first.kind and count < at_most:
        if at + frame.length > end:
            return Run(
                range(start, at), count, at + frame.length - end, first, _count_at(source, start, first)
            )
        if count and _count_at(source, at, frame) is not None:
            break
        at, count = at + frame.length, count + 1
        frame = parse_frame(source.at(at, 4))
    return Run(range(start, at), count, 0, first, _count_at(source, start, first))


def _count_at(source: Source, at: int, frame: Frame) -> int | None:
    """Return where a frame holds the count of those that follow, or None if it holds sound."""
    head = source.at(at, min(frame.length, 60))
    for tag, after in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        found = head.find(tag, 4)
        if found > 0 and not head[6:found].strip(b"\0") and (tag == b"VBRI" or head[found + 7] & 1):
            return at + found + after
    return None
