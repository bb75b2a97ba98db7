"""Headers that say how long the sound is, in the orders and shapes that programs write: half of it is never taken for all."""

import io

import numpy as np
import pytest
import scipy.io
import soundfile

from dha_utils.audio.inspection import check_sound
from dha_utils.core.errors import AudioError

RATE, FRAMES = 8000, 3000
TONE = 0.4 * np.sin(np.arange(FRAMES) / 5)
WAYS = [
    *(("AU", coding, order) for coding in ("PCM_16", "ULAW", "DOUBLE") for order in ("BIG", "LITTLE")),
    *(("NIST", coding, order) for coding in ("PCM_16", "PCM_24") for order in ("BIG", "LITTLE")),
    *(("AVR", coding, "FILE") for coding in ("PCM_16", "PCM_U8")),
    *(("MAT4", coding, order) for coding in ("PCM_16", "FLOAT", "DOUBLE") for order in ("BIG", "LITTLE")),
    *(("MAT5", coding, order) for coding in ("PCM_16", "PCM_U8", "DOUBLE") for order in ("BIG", "LITTLE")),
    ("MPC2K", "PCM_16", "FILE"),
    ("WVE", "ALAW", "FILE"),
]
SHAPES = [
    (*way, channels) for way in WAYS for channels in (1, 2) if (way[0], channels) != ("WVE", 2)
]  # which has one


def written(kind: str, coding: str, order: str, channels: int) -> bytes:
    """Return a sound as libsndfile writes it."""
    file = io.BytesIO()
    sound = np.column_stack([TONE] * channels)
    soundfile.write(file, sound, RATE, format=kind, subtype=coding, endian=order)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "coding", "order", "channels"), SHAPES)
def test_what_a_header_promises_must_be_there(tmp_path, kind, coding, order, channels):
    content, path = written(kind, coding, order, channels), tmp_path / "a.snd"
    path.write_bytes(content)
    assert check_sound(path) == (RATE, FRAMES / RATE, {})
    path.write_bytes(content + b"more")
    assert check_sound(path) == (RATE, FRAMES / RATE, {"behind": "4 bytes"})
    for missing in 16, len(content) // 2:
        path.write_bytes(content[:-missing])
        with pytest.raises(
            AudioError,
            match=f"truncated: it has {len(content) - missing} of the {len(content)} bytes that its",
        ):
            check_sound(path)


@pytest.mark.parametrize(
    ("kind", "coding", "where"), [("AU", "PCM_16", 8), ("AVR", "PCM_16", 26), ("MPC2K", "PCM_16", 30)]
)
def test_a_length_of_nothing_promises_nothing(tmp_path, kind, coding, where):
    content, path = bytearray(written(kind, coding, "FILE", 1)), tmp_path / "a.snd"
    for unknown in bytes(4), b"\xff" * 4:
        content[where : where + 4] = unknown
        path.write_bytes(content)
        assert check_sound(path) == (RATE, FRAMES / RATE, {})


@pytest.mark.parametrize("version", ["4", "5"])
def test_matrices_written_by_scipy(tmp_path, version):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"samplerate": float(RATE), "wavedata": TONE[None]}, format=version)
    assert check_sound(path) == (RATE, FRAMES / RATE, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(AudioError, match="is truncated"):
        check_sound(path)
