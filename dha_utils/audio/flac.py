"""FLAC: files put end to end are found by their heads, for decoders stop after the first."""

import re

from dha_utils.audio.source import Source, Stream

HEAD = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
"""How FLAC begins: its mark, and the head of its first metadata block, which is the last or not (RFC 9639, section 8)."""


def flac_streams(source: Source, start: int) -> list[Stream]:
    """Return the FLAC streams of a file from an offset on, one after another."""
    starts = sorted({start, *source.find(HEAD, start)})
    return [Stream((range(a, b),)) for a, b in zip(starts, [*starts[1:], source.end], strict=True)]
