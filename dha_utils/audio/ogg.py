"""Ogg (Vorbis, Opus): its pages are walked, for it may hold several streams end to end, of which decoders take the first.

An Ogg stream is a row of pages, each with its size at its head; the first and the last carry marks (RFC 3533, section 6).
It promises no length: that its end is missing shows where a page, or a packet that goes on in the next page, is not whole.
"""

import re

from dha_utils.audio.source import Source, Stream

PAGE = re.compile(rb"OggS")

BEGINS, ENDS = 2, 4
"""Marks of the first and the last page of a stream."""


def ogg_streams(source: Source, start: int) -> list[Stream]:
    """Return the streams of an Ogg file that begins at an offset, one after another.

    Raises
    ------
    AudioError
        The last page is not all there, or breaks off within a packet.
    """
    starts: list[int] = []
    mark, at, unmarked = ENDS, start, 0
    while 0 <= at < source.end:
        head = source.at(at, 27 + 255)
        if head[:4] != b"OggS" or len(head) < 27:
            at = next(source.find(PAGE, at + 1), -1)  # what lies between is no page, and no sound
            continue
        sizes = head[27 : 27 + head[26]]
        size = 27 + len(sizes) + sum(sizes)
        if at + size > source.end or len(sizes) < head[26]:
            raise source.fault(
                f"is truncated: its last Ogg page has {source.end - at} of {size} bytes; get the file again"
            )
        if head[5] & BEGINS and not mark & BEGINS:
            starts.append(at)
            unmarked += not mark & ENDS
        mark, goes_on, end = head[5], sizes[-1:] == b"\xff", at + size
        at = end
    if not starts:
        return []
    if not mark & ENDS and goes_on:
        raise source.fault("is truncated: its last Ogg page ends within a packet; get the file again")
    if unmarked or not mark & ENDS:
        source.odd["unmarked"] = ""
    return [Stream((range(a, b),)) for a, b in zip(starts, [*starts[1:], end], strict=True)]
