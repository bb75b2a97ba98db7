"""Sounds that can be read and look wrong: said once per kind, on the page too."""

import numpy as np
import pytest
import soundfile
from cases import NEEDED, make_case

from dha_utils.audio.inspection import inspect_clips, usable_clips
from dha_utils.audio.oddities import Listener
from dha_utils.datasets import load_clips

RATE = 8000


def noise(seed, seconds=1.0):
    return np.random.default_rng(seed).normal(0, 0.1, round(RATE * seconds))


def with_zeros(seed):
    y = noise(seed, 2.0)
    y[3000:9000] = 0
    return y


ODD = {
    "loud": (lambda seed: 32767 * noise(seed), "samples beyond full scale (1 of 6 files: 'dog/0.wav' to "),
    "cancelled": (lambda seed: np.outer(noise(seed), [1, -1]), "channels that cancel each other (1 of 6 files: 'dog/0.wav')"),
    "nearly cancelled": (lambda seed: np.outer(noise(seed), [1, -0.99]), "channels that cancel each other (1 of 6"),
    "silent": (lambda seed: 0 * noise(seed), "silent or constant (1 of 6 files: 'dog/0.wav')"),
    "silent on both channels": (lambda seed: np.zeros((RATE, 2)), "silent or constant (1 of 6 files: 'dog/0.wav')"),
    "constant": (lambda seed: 0 * noise(seed) + 0.5, "silent or constant (1 of 6 files: 'dog/0.wav')"),
    "zeros": (with_zeros, "zeros for 0.5 s or longer (1 of 6 files: 'dog/0.wav' 0.8 s)"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for k, label in enumerate(("dog", "rain")):
        (tmp_path / label).mkdir()
        for i in range(3):
            soundfile.write(tmp_path / label / f"{i}.wav", noise(10 * k + i), RATE, subtype="FLOAT")
    return tmp_path


def test_sounds_as_they_should_be(folder):
    assert inspect_clips(load_clips(folder)).notes == []


@pytest.mark.parametrize("kind", ODD)
def test_what_looks_wrong_is_said(folder, kind):
    make, note = ODD[kind]
    soundfile.write(folder / "dog" / "0.wav", make(77), RATE, subtype="FLOAT")
    report = inspect_clips(load_clips(folder))
    assert report.faults == {}
    assert [said[: len(note)] for said in report.notes] == [note]
    assert usable_clips(load_clips(folder)).notes == tuple(report.notes)  # which the page shows


def test_once_per_kind(folder):
    for path in folder.glob("*/*.wav"):
        y, rate = soundfile.read(path)
        soundfile.write(path, 32767 * y, rate, subtype="FLOAT")
    (said,) = inspect_clips(load_clips(folder)).notes
    assert said.startswith("samples beyond full scale (6 of 6 files: 'dog/0.wav' to ")
    assert "'dog/2.wav' to" in said
    assert "rain" not in said


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_pieces_do_not_matter(size):
    y = np.concatenate([np.zeros(50), noise(1), np.zeros(3000), noise(2), np.zeros(5000)]).astype(np.float32)
    listener = Listener()
    heard = np.concatenate([*listener.through([y[i : i + size] for i in range(0, len(y), size)])])
    np.testing.assert_array_equal(heard, y)
    assert listener.longest == 5000
    assert listener.rms == pytest.approx(np.sqrt(np.mean(y.astype(float) ** 2)), rel=1e-4)


HEADERS = {
    "float_int_scale": ["samples beyond full scale (8 of 8"], "float_int_scale_one": ["samples beyond full scale (1 of 8"],
    "out_of_phase": ["channels that cancel each other (8 of 8"], "out_of_phase_one": ["channels that cancel each other (1 of 8"],
    "silence": ["silent or constant (1 of 8"], "dc": [], "clipped": [],
}  # fmt: skip


@NEEDED
@pytest.mark.parametrize("kind", HEADERS)
def test_contents_of_people(tmp_path, monkeypatch, kind):
    folder = make_case(monkeypatch, "wav_headers", tmp_path / "mine", kind)
    notes = inspect_clips(load_clips(folder)).notes
    assert len(notes) == len(HEADERS[kind])
    assert all(note.startswith(begin) for note, begin in zip(notes, HEADERS[kind], strict=True))
