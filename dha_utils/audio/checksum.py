"""The checksum that encoders of MP3 leave: without it nothing tells that a byte inside a frame is another than it was.

LAME, and what follows it, write behind the count of frames the bytes of the whole, a checksum of all frames that follow, and
one of what was written so far (https://gabriel.mp3-tech.org/mp3infotag.html), which ffmpeg takes of 190 bytes in any case. It
is CRC-16 with the polynomial 0x8005, bits reversed, from 0 on.
"""

import numpy as np

from dha_utils.audio.source import BLOCK, Source

LANES = 1024
"""Parts of a block whose checksums are worked out side by side."""


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint16)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ 0xA001, table >> 1).astype(np.uint16)
    return table


TABLE = _table()


def _follow(crc: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the checksums, shape (lanes,), once the bytes of columns, shape (n, lanes), have come."""
    for column in columns:
        crc = crc >> 8 ^ TABLE[(crc ^ column) & 255]
    return crc


def crc16(content: bytes, crc: int = 0) -> int:
    """Return the checksum of bytes, behind others whose checksum is `crc`.

    >>> hex(crc16(b"123456789")), hex(crc16(b"56789", crc16(b"1234")))
    ('0xbb3d', '0xbb3d')
    """
    each = -(-len(content) // LANES)
    if len(content) < 2 * LANES:
        for byte in content:
            crc = crc >> 8 ^ int(TABLE[(crc ^ byte) & 255])
        return crc
    # What was before is as if it had been added to the first two bytes; zeros before them change nothing.
    first = bytes((content[0] ^ crc & 255, content[1] ^ crc >> 8))
    padded = bytes(LANES * each - len(content)) + first + content[2:]
    columns = np.frombuffer(padded, np.uint8).reshape(LANES, each).T
    lanes = _follow(np.zeros(LANES, np.uint16), columns)
    # The checksum of the sum is the sum of the checksums: what each bit becomes when the bytes of a lane, zeros, follow.
    after = _follow((1 << np.arange(16)).astype(np.uint16), np.zeros((each, 16), np.uint16)).tolist()
    total = 0
    for lane in lanes.tolist():
        shifted = 0
        for bit in range(16):
            shifted ^= after[bit] * (total >> bit & 1)
        total = shifted ^ lane
    return total


def is_as_encoded(source: Source, start: int, tag: int, length: int) -> bool:
    """Return whether MPEG audio is as its encoder left it; True where it left no checksum, or none that can be believed.

    Parameters
    ----------
    source : Source
    start : int
        Where its first frame begins.
    tag : int
        Where in it the mark ``Xing`` or ``Info`` is.
    length : int
        Bytes of the first frame.
    """
    head = source.at(start, length)
    flags = head[tag - start + 7]
    lame = tag - start + 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
    said = ((28, 32), (32, 34), (34, 36))
    n_bytes, of_frames, of_tag = (int.from_bytes(head[lame + a : lame + b], "big") for a, b in said)
    before = head[: lame + 34]
    believed = of_tag in (crc16(before), crc16(before + bytes(2) + head[lame + 36 : 190]))
    if len(head) < lame + 36 or not believed or start + n_bytes > source.end:
        return True
    crc = 0
    for at in range(start + length, start + n_bytes, BLOCK):
        crc = crc16(source.at(at, min(BLOCK, start + n_bytes - at)), crc)
    return crc == of_frames
