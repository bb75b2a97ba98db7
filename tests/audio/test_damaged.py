"""Damaged files of every format that libsndfile writes: read, or refused in one line, soon and within memory."""

import time
import tracemalloc
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peculiar import KINDS, TONES, written

from dha_utils.audio.inspection import check_sound
from dha_utils.audio.waveforms import load_audio
from dha_utils.core.errors import AudioError

RATE = 8000
SILENT_ABOUT_IT = ("PAF", "PVF", "IRCAM", "XI")
"""Whose headers promise no length (that of XI is written as 0)."""


@cache
def content(kind: str, coding: str) -> bytes:
    """Return a third of a second of a format and a coding."""
    return written(kind, coding, TONES[: RATE // 3], RATE)


def look(path: Path) -> tuple[float, str]:
    """Return the seconds of a sound that can be used, or what is said of it."""
    try:
        seconds = check_sound(path).seconds
        sound = load_audio(path, 22_050, 1.0)
    except AudioError as error:
        return 0.0, str(error)
    assert sound.shape == (22_050,)
    assert np.isfinite(sound).all()
    return seconds, ""


@pytest.mark.parametrize(("kind", "coding"), KINDS)
def test_every_format_is_read_and_its_first_half_is_refused(tmp_path, kind, coding):
    path = tmp_path / "a.snd"
    path.write_bytes(content(kind, coding))
    seconds, fault = look(path)
    assert fault == ""
    expected = 1 / 3 if kind != "XI" else RATE / 3 / 44_100  # which has no rate
    assert seconds == pytest.approx(expected, abs=0.15)  # some code blocks of a fixed length
    path.write_bytes(content(kind, coding)[: len(content(kind, coding)) // 2])
    seconds, fault = look(path)
    if kind in SILENT_ABOUT_IT:
        assert fault or seconds < 0.3
    else:
        assert fault


def test_a_header_that_promises_years_is_not_believed(tmp_path):
    """Found by a fuzzer: where chunks of W64 run over the end, libsndfile made 368 days of GSM of 317 bytes."""
    damaged = bytearray(content("W64", "GSM610"))
    for name, largest in (b"fact", b"\1"), (b"data", b"\x5f\xb2"):
        size_ends = damaged.index(name) + 16 + 8  # behind a name of 16 bytes
        damaged[size_ends - len(largest) : size_ends] = largest
    path = tmp_path / "a.w64"
    path.write_bytes(damaged)
    started = time.monotonic()
    for use in (check_sound, lambda path: load_audio(path, RATE, None)):
        with pytest.raises(
            AudioError, match=r"is damaged: its header promises [\d,]{10,} frames, and its \d.*cannot hold"
        ):
            use(path)
    assert time.monotonic() - started < 10


CHANGES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 120), st.integers(0, 10_000)),
        st.one_of(
            st.binary(min_size=1, max_size=4), st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
        ),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.sampled_from(KINDS), CHANGES, st.sampled_from([1.0, 1.0, 0.7, 0.02]), st.sampled_from([1, 1, 2]))
def test_whatever_happened_to_it_a_file_is_read_or_refused(tmp_path_factory, kind, changes, part, times):
    damaged = bytearray(content(*kind) * times)
    for at, new in changes:
        damaged[at % len(damaged) : at % len(damaged) + len(new)] = new
    path = tmp_path_factory.getbasetemp() / "damaged.snd"
    path.write_bytes(damaged[: int(part * len(damaged))])
    tracemalloc.start()
    began = time.monotonic()
    _, fault = look(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fault == "" or (fault.startswith(f"{path}: ") and "\n" not in fault)
    assert time.monotonic() - began < 10
    assert peak < 2**30


ZEROS = b".snd" + bytes(20)
MANY = {
    "AU without samples": b".snd" + (24).to_bytes(4, "big") + bytes(4) + b"\0\0\0\3\0\0\x1f\x40\0\0\0\1",
    "WAV without samples": content("WAV", "PCM_16")[:40] + bytes(4),
    "WAV of one sample": content("WAV", "PCM_16")[:40] + b"\2\0\0\0ab",
    "tags": b"ID3\4\0\0\0\0\0\0",
    "pages": b"OggS" + bytes(23),
    "MPEG frames": b"\xff\xfb\x10\x00" + bytes(100),
    "blocks of FLAC": b"fLaC" + bytes(4),
    "AU of nothing": ZEROS,
}


@pytest.mark.parametrize("kind", MANY)
def test_a_megabyte_of_the_smallest_sounds_is_soon_done_with(tmp_path, kind):
    path = tmp_path / "a.snd"
    path.write_bytes(MANY[kind] * (1_000_000 // len(MANY[kind])))
    began = time.process_time()
    with suppress(AudioError):
        assert check_sound(path).seconds
    assert time.process_time() - began < 2
