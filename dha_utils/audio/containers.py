"""What lies where in a sound file: one sound, or several end to end, and whether all is there that its headers promise."""

import re

from dha_utils.audio.chunks import chunk_streams, find_kind
from dha_utils.audio.flac import flac_streams
from dha_utils.audio.mpeg import mpeg_streams, parse_frame
from dha_utils.audio.ogg import ogg_streams
from dha_utils.audio.promises import promised_end
from dha_utils.audio.source import MOST, Source, Stream
from dha_utils.audio.voc import MARK, voc_streams

MPEG_ENDINGS = (".mp1", ".mp2", ".mp3", ".mpga")
"""Of files in which MPEG audio is looked for where other content stands before it."""

OTHERS = {
    rb"....ftyp": "MPEG-4 audio",
    rb"\x1aE\xdf\xa3": "Matroska or WebM",
    rb"0&\xb2u": "Windows Media",
    rb"wvpk": "WavPack",
    rb"TTA1": "True Audio",
    rb"MAC ": "Monkey's Audio",
    rb"#!AMR": "AMR",
    rb"\xff[\xf0\xf1\xf8\xf9]": "AAC",
    rb"\x0bw": "AC-3",
    rb"OggS.{24,40}\x7fFLAC": "FLAC in Ogg",
    rb"OggS.{24,40}Speex": "Speex",
}
"""How files of formats begin that libsndfile does not read -> their name."""

CODINGS = (0x01, 0x02, 0x03, 0x06, 0x07, 0x11, 0x31, 0x40, 0x50, 0x55, 0xFFFE)
"""Of WAV, those that libsndfile reads (RFC 2361)."""

NO_SOUND = {
    rb"version https://git-lfs": "a pointer of Git LFS: `git lfs pull` gets the file",
    rb"\s*<(?:!DOCTYPE|html|HTML|\?xml)": "a web page: get the file again",
}


def find_streams(source: Source) -> list[Stream]:
    """Return the sounds of a file, one after another.

    Raises
    ------
    AudioError
        Some of what it promises is missing.
    """
    start = source.behind_tags(0)
    mark = source.at(start, 4)
    if find_kind(source, start):
        streams = chunk_streams(source, start)
    elif mark == b"OggS":
        streams = ogg_streams(source, start)
    elif source.at(start, len(MARK)) == MARK:
        streams = voc_streams(source, start)
    elif mark == b"fLaC":
        streams = flac_streams(source, start)
    elif start or parse_frame(mark) or source.path.suffix.lower() in MPEG_ENDINGS:
        streams = mpeg_streams(source, start, source.end)
    else:
        streams = _plain_streams(source, start)
    if len(streams) > MOST:
        raise source.fault(f"holds more than {MOST} sounds end to end; part them")
    if len(streams) > 1:
        source.odd["several"] = str(len(streams))
    return streams or [Stream((range(start, source.end),))]


def name_other(source: Source) -> str:
    """Return what a file is that libsndfile does not read, and what to do; empty where that is not known."""
    head = source.at(0, 4096)
    names = [name for pattern, name in OTHERS.items() if re.match(pattern, head, re.DOTALL)]
    if head[:4] == b"RIFF" and (found := re.search(rb"fmt [\x10-\x7f]\0\0\0(..)", head[12:], re.DOTALL)):
        coding = int.from_bytes(found[1], "little")
        names += [f"WAV of coding {coding:#06x}"] * (coding not in CODINGS)
    if names:
        return f"{names[0]}: convert it to WAV or FLAC, with ffmpeg, for example"
    return next((name for pattern, name in NO_SOUND.items() if re.match(pattern, head)), "")


def _plain_streams(source: Source, start: int) -> list[Stream]:
    """Return the sounds of a format of which only the promise is looked at; none if it promises nothing."""
    if source.at(start, 4) in (b".snd", b"dns.") and source.at(start + 8, 4) == bytes(4):
        # The size was never filled in; libsndfile takes the largest there is for one that is not known.
        return [Stream((range(start, start + 8), b"\xff" * 4, range(start + 12, source.end)))]
    streams = []
    while len(streams) <= MOST and (end := promised_end(source, start)) is not None:
        if end > source.end:
            raise source.fault(
                f"is truncated: it has {source.end} of the {end} bytes that its header promises; get the file again"
            )
        streams.append(Stream((range(start, end),)))
        start = end
    if streams and source.at(start, 2**16).strip(b"\0"):
        source.odd["behind"] = f"{source.end - start} bytes"
    return streams
