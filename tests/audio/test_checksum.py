"""The checksum of MP3 against one that is worked out bit by bit, and what it notices."""

import random
from pathlib import Path

import pytest
from peculiar import flipped, mp3

from dha_utils.audio.checksum import crc16
from dha_utils.audio.inspection import check_sound

LAVC = Path(__file__).parents[1] / "written_by_others" / "lame.mp3"


def bit_by_bit(content: bytes) -> int:
    crc = 0
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


@pytest.mark.parametrize("n", [0, 1, 2, 2047, 2048, 2049, 5000, 30_001])
def test_it_is_crc_16(n):
    content = random.Random(n).randbytes(n)
    assert crc16(content) == bit_by_bit(content)
    assert crc16(content[n // 3 :], crc16(content[: n // 3])) == crc16(content)


@pytest.mark.parametrize("content", [mp3(), LAVC.read_bytes()], ids=["LAME", "ffmpeg"])
def test_a_changed_bit_is_noticed_and_what_stands_behind_is_not(tmp_path, content):
    path = tmp_path / "a.mp3"
    for changed, odd in (
        (content, {}),
        (content + b"TAG" + bytes(125), {}),
        (flipped(content, -20), {"changed": ""}),
    ):
        path.write_bytes(changed)
        assert check_sound(path).odd == odd
