"""Where a file ends by its header, of formats that are one header and the samples behind it.

libsndfile reads what is there of these, and says nothing where that is less than the header promises.
"""

import math
import re

from dha_utils.audio.chunks import is_unknown
from dha_utils.audio.sds import is_sds, sds_end
from dha_utils.audio.source import Source

LONGEST_HEADER = 1024
MAT4_BYTES = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2, 5: 1}
"""Of a number in a matrix of MATLAB 4, by the tens of its type."""


def promised_end(source: Source, start: int) -> int | None:
    """Return where a file that begins at an offset ends by its header; None if that does not say, or is not known here."""
    head = source.at(start, LONGEST_HEADER)
    if is_sds(head):
        return sds_end(source, start)
    for layout, length in LAYOUTS.items():
        if found := re.match(layout, head, re.DOTALL):
            size = length(found)
            return None if size is None else start + size
    return None


def _is_open(size: int) -> bool:
    """Return whether a size promises nothing: it was never filled in, or not known."""
    return size == 0 or is_unknown(size)


def _au(found: re.Match) -> int | None:
    order = "big" if found[1] == b".snd" else "little"
    offset, size = int.from_bytes(found[2], order), int.from_bytes(found[3], order)
    return offset + size if offset >= 24 and not is_unknown(size) else None


def _nist(found: re.Match) -> int | None:
    given = {name: int(n) for name, n in re.findall(rb"(\w+) -\w+ (\d+)", found.string)}
    sizes = [given.get(name, 0) for name in (b"sample_count", b"channel_count", b"sample_n_bytes")]
    return int(found[1]) + math.prod(sizes) if all(sizes) else None


def _avr(found: re.Match) -> int | None:
    stereo, bits, frames = (int.from_bytes(field, "big") for field in found.groups())
    return None if _is_open(frames) else 128 + frames * (1 + bool(stereo)) * bits // 8


def _psion(found: re.Match) -> int | None:
    frames = int.from_bytes(found[1], "big")
    return None if _is_open(frames) else 32 + frames


def _akai(found: re.Match) -> int | None:
    frames = int.from_bytes(found[2], "little")
    return None if _is_open(frames) else 42 + frames * 2 * (1 + found[1][0])


def _matlab_4(found: re.Match) -> int | None:
    order = "big" if found[1] == b"\0\0\x03\xe8" else "little"
    kind, rows, columns = (int.from_bytes(field, order) for field in found.groups()[1:])
    size = MAT4_BYTES.get(kind % 100 // 10)
    return found.end() + rows * columns * size if size else None


def _matlab_5(found: re.Match) -> int:
    return found.end() + int.from_bytes(found[2], "little" if found[1] == b"IM" else "big")


LAYOUTS = {
    rb"(\.snd|dns\.)(.{4})(.{4}).{12}": _au,
    rb"NIST_1A\s+(\d+)": _nist,
    rb"2BIT.{8}(..)(..).{10}(.{4})": _avr,
    rb"ALawSoundFile\*\*\0..(.{4})": _psion,
    rb"\x01\x04.{19}([\0\1]).{8}(.{4})": _akai,
    rb"(\0{4}|\0\0\x03\xe8).{16}samplerate\0.{8}(.{4})(.{4})(.{4}).{8}wavedata\0": _matlab_4,
    rb"MATLAB 5\.0.{116}(IM|MI).*?wavedata.{4}(.{4})": _matlab_5,
}
"""How a header begins, with the fields that are its promise -> the bytes of the whole file by them.

Sun/NeXT AU, NIST Sphere, Atari AVR, Psion WVE, Akai MPC 2000, and the matrices `samplerate` and `wavedata` of MATLAB 4 and 5.
"""
