"""Sound files as recorders, pipes, downloads and `cat` leave them, each with what is to come of it.

One sound, 1.5 s: a low tone, then a high one, so that what is missing at either end shows.
"""

import io
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soundfile

from dha_utils.audio.mpeg import parse_frame

RATE = 22_050
LOW, HIGH = 440, 2_000
_t = np.arange(round(1.5 * RATE)) / RATE
TONES = 0.3 * np.sin(2 * np.pi * np.where(_t < 0.75, LOW, HIGH) * _t)
QUIET_FIRST = TONES * np.where(_t < 0.75, 1e-3, 1)


class Case(NamedTuple):
    """A file's ending, the function that gives its content, and what is to come of it.

    `seconds` that can be read, or the `fault` that is said of it; the kind of `note` that inspection makes.
    """

    ending: str
    content: Callable[[], bytes]
    seconds: float = 1.5
    fault: str = ""
    note: str = ""


def written(kind: str, coding: str = "PCM_16", samples=None, rate: int = RATE, **how) -> bytes:
    """Return samples, by default the tones, as a file of a format and a coding of libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, TONES if samples is None else samples, rate, format=kind, subtype=coding, **how)
    return file.getvalue()


def mp3(samples=None, *, header: bool = True, **how) -> bytes:
    content = written("MP3", "MPEG_LAYER_III", samples, **how)
    n = parse_frame(content[:4]).length
    assert b"Xing" in content[:n] or b"Info" in content[:n]
    return content if header else content[n:]


def vbr(samples=None, *, header: bool = False) -> bytes:
    return mp3(samples, header=header, bitrate_mode="VARIABLE", compression_level=0.3)


def id3(n: int = 300) -> bytes:
    return b"ID3\x03\0\0" + bytes([0, 0, n >> 7, n & 127]) + b"\xff\xfb" * (n // 2)


def unknown_flac() -> bytes:
    content = bytearray(written("FLAC"))
    content[21] &= 0xF0  # 36 bits: how many samples there are; an MD5 of zeros means unknown as well
    content[22:42] = bytes(20)
    return bytes(content)


def _crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def ogg(coding: str = "VORBIS", rate: int = RATE) -> bytes:
    return written("OGG", coding, rate=rate)


def unmarked_ogg() -> bytes:
    content = bytearray(ogg())
    at = content.rfind(b"OggS")
    content[at + 5] &= ~4
    content[at + 22 : at + 26] = bytes(4)
    content[at + 22 : at + 26] = struct.pack("<I", _crc(content[at:]))
    return bytes(content)


FMT = written("WAV")[12:36]
DATA = written("WAV")[44:]


def chunk(name: bytes, body: bytes, size: int | None = None, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(body) if size is None else size) + body


def wav(*chunks: bytes, size: int | None = None, mark: bytes = b"RIFF") -> bytes:
    return chunk(mark, b"WAVE" + b"".join(chunks), size)


def data(size: int | None = None, body: bytes | None = None) -> bytes:
    return chunk(b"data", DATA if body is None else body, size)


def sound_like(samples) -> None:
    """Let the files of all cases hold other samples; what is said of their length in `CASES` is no longer true then."""
    global TONES, QUIET_FIRST, DATA, N
    TONES, QUIET_FIRST = samples, samples * np.linspace(1e-3, 1, len(samples))
    DATA = written("WAV")[44:]
    N = len(DATA)


def patched(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def flipped(content: bytes, at: int) -> bytes:
    return patched(content, at % len(content), bytes([content[at] ^ 1]))


def size_of(content: bytes, name: bytes, new: bytes, width: int = 0) -> bytes:
    """Return a file whose chunk of that name says another size."""
    return patched(content, content.index(name) + len(name) + width, new)


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def rate(hertz: int) -> bytes:
    return wav(FMT[:12] + struct.pack("<I", hertz) + FMT[16:], data())


def coded(kind: str, coding: str, **how) -> Callable[[], bytes]:
    return lambda: written(kind, coding, **how)


def cut(kind: str, coding: str = "PCM_16") -> Callable[[], bytes]:
    return lambda: half(written(kind, coding))


N = len(DATA)
LIST = chunk(b"LIST", b"INFOISFT\x06\0\0\0words\0")
UNMARKED = "unmarked"
SEVERAL = "several"
BEHIND = "behind"
LONG = 60 * 576 / RATE
"""Of MPEG audio without a count: so many frames, with what the encoder puts before and behind the sound."""

MPEG = {
    "MP3": Case("mp3", mp3),
    "MP3 of varying rate": Case("mp3", lambda: vbr(header=True)),
    "MP3 without a count": Case("mp3", lambda: mp3(header=False), LONG),
    "MP3 of varying rate without a count": Case("mp3", vbr, LONG),
    "the same, quiet at first": Case("mp3", lambda: vbr(QUIET_FIRST), LONG),
    "the same behind a tag": Case("mp3", lambda: id3() + id3(2000) + vbr(), LONG),
    "the same behind zeros": Case("mp3", lambda: bytes(3000) + vbr(), LONG),
    "the same before zeros": Case("mp3", lambda: vbr() + bytes(5000), LONG),
    "the same before a tag": Case("mp3", lambda: vbr() + b"TAG" + bytes(125), LONG),
    "the same with junk inside": Case(
        "mp3", lambda: vbr() + b"junk" * 500 + vbr(), 2 * LONG, note="between"
    ),
    "MP3 twice": Case("mp3", lambda: mp3() + mp3(), 3.0, note=SEVERAL),
    "MP3 twice, with tags": Case("mp3", lambda: id3() + mp3() + id3() + mp3(), 3.0, note=SEVERAL),
    "MP3 twice without a count": Case("mp3", lambda: mp3(header=False) * 2, 2 * LONG),
    "MP3, then one without a count": Case("mp3", lambda: mp3() + mp3(header=False), 1.5 + LONG),
    "MP3 with a byte changed": Case("mp3", lambda: flipped(mp3(), -700), note="changed"),
    "MP3 with junk inside": Case(
        "mp3", lambda: patched(mp3(), 1600, b"junk" * 100), fault=r"damaged: \d+ of the 60 MPEG frames that its header promises"
    ),
    "MP3 cut off": Case("mp3", lambda: half(mp3()), fault=r"truncated: \d+ of the \d+ MPEG frames that its header promises"),
    "MP3 without a count cut off": Case("mp3", lambda: half(vbr()), fault="truncated: its last MPEG frame lacks"),
    "MP3 in WAV": Case("wav", lambda: wav(FMT[:8] + b"\x55\0" + FMT[10:], data(body=mp3()))),
}  # fmt: skip

FLAC = {
    "FLAC": Case("flac", coded("FLAC", "PCM_16")),
    "FLAC of 24 bits": Case("flac", coded("FLAC", "PCM_24")),
    "FLAC of unknown length": Case("flac", unknown_flac),
    "the same before a tag": Case("flac", lambda: unknown_flac() + b"TAG" + bytes(125)),
    "FLAC behind a tag": Case("flac", lambda: id3() + written("FLAC")),
    "FLAC twice": Case("flac", lambda: written("FLAC") * 2, 3.0, note=SEVERAL),
    "FLAC of unknown length twice": Case("flac", lambda: unknown_flac() * 2, 3.0, note=SEVERAL),
    "FLAC of two rates": Case(
        "flac", lambda: written("FLAC") + written("FLAC", rate=8000), fault="sounds of 22050 and 8000 Hz end to end"
    ),
    "FLAC cut off": Case("flac", cut("FLAC"), fault="truncated or damaged"),
    "FLAC of unknown length cut off": Case("flac", lambda: half(unknown_flac()), fault="truncated or damaged"),
}  # fmt: skip

OGG = {
    "Vorbis": Case("ogg", ogg),
    "Opus": Case("opus", lambda: ogg("OPUS", 24_000), 1.5 * RATE / 24_000),
    "Ogg before zeros": Case("ogg", lambda: ogg() + bytes(70_000)),
    "Ogg before a tag": Case("ogg", lambda: ogg() + b"TAG" + bytes(125)),
    "Ogg without a mark of its end": Case("ogg", unmarked_ogg, note=UNMARKED),
    "Ogg twice": Case("ogg", lambda: ogg() + ogg(), 3.0, note=SEVERAL),
    "Ogg cut off": Case("ogg", lambda: half(ogg()), fault=r"truncated: its last Ogg page has \d+ of \d+ bytes"),
    "Opus cut off": Case("opus", lambda: ogg("OPUS", 24_000)[:-10], fault="truncated: its last Ogg page"),
    "FLAC in Ogg": Case("ogg", lambda: b"OggS" + bytes(24) + b"\x7fFLAC" + bytes(99), fault="FLAC in Ogg: convert it"),
}  # fmt: skip

WAV = {
    "size 0": Case("wav", lambda: wav(FMT, data(0), size=36)),
    "all sizes 0": Case("wav", lambda: wav(FMT, data(0), size=0)),
    "size of the file": Case("wav", lambda: wav(FMT, data(N + 44))),
    "size of the file, less 8": Case("wav", lambda: wav(FMT, data(N + 36))),
    "largest size": Case("wav", lambda: wav(FMT, data(0xFFFFFFFF), size=0xFFFFFFFF)),
    "largest size with a sign": Case("wav", lambda: wav(FMT, data(0x7FFFFFFF), size=0x7FFFFFFF)),
    "half the size": Case("wav", lambda: wav(FMT, data(N // 2))),
    "one sample less than the size": Case("wav", lambda: wav(FMT, data(N + 2)), fault=f"truncated: {N} of the {N + 2} bytes"),
    "no pad byte": Case("wav", lambda: wav(FMT, data(N - 1, DATA[:-1]), LIST)),
    "metadata behind": Case("wav", lambda: wav(FMT, data(), LIST)),
    "metadata before": Case("wav", lambda: wav(LIST, FMT, LIST, data())),
    "zeros behind": Case("wav", lambda: wav(FMT, data()) + bytes(1000)),
    "words behind": Case("wav", lambda: wav(FMT, data()) + b"written by a logger\n" * 9, note=BEHIND),
    "wrong size of the whole": Case("wav", lambda: wav(FMT, data(), size=12_345)),
    "two chunks of samples": Case("wav", lambda: wav(FMT, data(body=DATA[:30_000]), data(body=DATA[30_000:]))),
    "WAV twice": Case("wav", lambda: wav(FMT, data()) * 2, 3.0, note=SEVERAL),
    "WAV of two rates": Case("wav", lambda: wav(FMT, data()) + rate(8000), fault="sounds of 22050 and 8000 Hz end to end"),
    "tag before": Case("wav", lambda: id3() + wav(FMT, data())),
    "tag behind": Case("wav", lambda: wav(FMT, data(), chunk(b"id3 ", id3()))),
    "cut off": Case("wav", lambda: half(wav(FMT, data())), fault=r"truncated: \d+ of the 66150 bytes"),
    "only a header": Case("wav", lambda: wav(FMT, data())[:44], fault="truncated: 0 of the 66150 bytes"),
    "cut off in the header": Case("wav", lambda: wav(FMT, data())[:30], fault="is not a sound file"),
    "no samples": Case("wav", lambda: wav(FMT, data(body=b"")), fault="holds no samples"),
    "2 GHz": Case("wav", lambda: rate(2_000_000_000), fault="its header says 2000000000 samples per second"),
    "1 Hz": Case("wav", lambda: rate(1), fault="its header says 1 samples per second"),
    "no rate": Case("wav", lambda: rate(0), fault="is not a sound file"),
    "no channels": Case("wav", lambda: wav(FMT[:10] + b"\0\0" + FMT[12:], data()), fault="is not a sound file"),
    "GSM": Case("wav", coded("WAV", "GSM610", rate=8000), 33_280 / 8000),
    "IMA ADPCM": Case("wav", coded("WAV", "IMA_ADPCM"), 33_561 / RATE),
    "Microsoft ADPCM": Case("wav", coded("WAV", "MS_ADPCM"), 33_396 / RATE),
    "ADPCM cut off": Case("wav", cut("WAV", "IMA_ADPCM"), fault="truncated"),
    "RIFX": Case("wav", coded("WAV", "PCM_16", endian="BIG")),
    "RIFX cut off": Case("wav", lambda: half(written("WAV", endian="BIG")), fault="truncated"),
    "RF64": Case("wav", coded("RF64", "PCM_16")),
    "RF64 of unknown length": Case("wav", lambda: size_of(written("RF64"), b"ds64", bytes(16), 4)),
    "RF64 cut off": Case("wav", cut("RF64"), fault=r"truncated: \d+ of the 66150 bytes"),
    "six channels": Case("wav", lambda: written("WAV", samples=np.stack([TONES] * 6, 1))),
    "G.722": Case("wav", lambda: wav(FMT[:8] + b"\x65\0" + FMT[10:], data()), fault="WAV of coding 0x0065: convert it"),
    "3 GB cut off": Case("wav", lambda: wav(FMT, data(3_000_000_000)), fault=f"truncated: {N} of the 3000000000 bytes"),
}  # fmt: skip

OTHERS = {
    "W64": Case("w64", coded("W64", "PCM_16")),
    "W64 cut off": Case("w64", cut("W64"), fault=r"truncated: \d+ of the 66150 bytes"),
    "AIFF": Case("aiff", coded("AIFF", "PCM_16")),
    "AIFF of unknown length": Case("aiff", lambda: size_of(written("AIFF"), b"SSND", b"\x7f\0\0\x08")),
    "AIFF twice": Case("aiff", lambda: written("AIFF") * 2, 3.0, note=SEVERAL),
    "AIFF cut off": Case("aiff", cut("AIFF"), fault="truncated"),
    "AIFC": Case("aifc", coded("AIFF", "FLOAT")),
    "AIFC cut off": Case("aifc", cut("AIFF", "FLOAT"), fault="truncated"),
    "CAF": Case("caf", coded("CAF", "PCM_16")),
    "CAF of unknown length": Case("caf", lambda: size_of(written("CAF"), b"data", b"\xff" * 8)),
    "CAF cut off": Case("caf", cut("CAF"), fault=r"truncated: \d+ of the \d+ bytes"),
    "ALAC": Case("caf", coded("CAF", "ALAC_16")),
    "ALAC cut off": Case("caf", cut("CAF", "ALAC_16"), fault="truncated"),
    "AU": Case("au", coded("AU", "PCM_16")),
    "AU of unknown length": Case("au", lambda: patched(written("AU"), 8, b"\xff" * 4)),
    "AU twice": Case("au", lambda: written("AU") * 2, 3.0, note=SEVERAL),
    "AU cut off": Case("au", cut("AU"), fault="truncated"),
    "NIST": Case("wav", coded("NIST", "PCM_16")),
    "NIST cut off": Case("wav", cut("NIST"), fault="truncated"),
    "VOC": Case("voc", coded("VOC", "PCM_16")),
    "VOC cut off": Case("voc", cut("VOC"), fault="truncated"),
    "8SVX": Case("svx", coded("SVX", "PCM_16")),
    "8SVX cut off": Case("svx", cut("SVX"), fault="truncated"),
    "SDS": Case("sds", coded("SDS", "PCM_16")),
    "SDS cut off": Case("sds", cut("SDS"), fault="truncated"),
    "SDS twice": Case("sds", lambda: written("SDS") * 2, 3.0, note=SEVERAL),
    "SDS damaged": Case("sds", lambda: patched(written("SDS"), 21 + 127, b"\x10"), fault=r"packet 2 of \d+ does not begin"),
    "empty": Case("wav", lambda: b"", fault="is empty"),
    "words": Case("wav", lambda: b"This is a letter. " * 99, fault="is not a sound file"),
    "a web page": Case("wav", lambda: b"<!DOCTYPE html><html>404</html>", fault="a web page"),
    "a pointer of Git LFS": Case("wav", lambda: b"version https://git-lfs.github.com/spec/v1\n", fault="git lfs pull"),
    "MPEG-4": Case("m4a", lambda: b"\0\0\0\x1cftypM4A " + bytes(99), fault="MPEG-4 audio: convert it to WAV or FLAC"),
    "AAC": Case("aac", lambda: b"\xff\xf1\x5c\x80" + bytes(99), fault="AAC: convert it"),
    "not a number": Case("wav", lambda: written("WAV", "FLOAT", np.r_[TONES, np.nan]), fault="1 of 33076 samples are NaN"),
}  # fmt: skip

CASES = {
    f"{group}: {name}": case
    for group, cases in (("MPEG", MPEG), ("FLAC", FLAC), ("Ogg", OGG), ("WAV", WAV), ("others", OTHERS))
    for name, case in cases.items()
}

UNWRITTEN = {
    ("AIFF", "DWVW_12"),
    ("WAV", "MPEG_LAYER_III"),
    ("MP3", "MPEG_LAYER_I"),
    ("MP3", "MPEG_LAYER_II"),
}
"""Besides RAW, which has no header, and SD2, which has it in a file of its own."""

KINDS = [
    (kind, coding)
    for kind in soundfile.available_formats()
    for coding in soundfile.available_subtypes(kind)
    if kind not in ("RAW", "SD2") and (kind, coding) not in UNWRITTEN
]
