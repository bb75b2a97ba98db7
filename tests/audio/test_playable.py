"""Sounds and pictures for pages: what is written can be read, and a rebuilt sound has the spectrogram it was made from."""

import numpy as np
import soundfile
from matplotlib.image import imread

from dha_utils.audio.playable import rebuild, write_picture, write_sound
from dha_utils.audio.views import log_mel

RATE = 22_050


def tones(*frequencies):
    """Return half a second of every tone, one after the other."""
    time = np.arange(RATE // 2) / RATE
    return np.concatenate([0.3 * np.sin(2 * np.pi * f * time) for f in frequencies]).astype(np.float32)


def test_a_sound_is_an_mp3_and_keeps_its_tones(tmp_path):
    write_sound(tmp_path / "a.mp3", 2 * tones(400, 3000), RATE)
    assert soundfile.info(tmp_path / "a.mp3").format == "MP3"
    assert (tmp_path / "a.mp3").stat().st_size < 10_000
    read, rate = soundfile.read(tmp_path / "a.mp3")
    assert rate == RATE
    assert abs(len(read) - RATE) < 0.2 * RATE
    bands = log_mel(read.astype(np.float32), rate)
    first, second = bands[:, 10].argmax(), bands[:, 32].argmax()
    expected = log_mel(tones(400, 3000), RATE)
    assert (first, second) == (expected[:, 10].argmax(), expected[:, 32].argmax())


def test_a_picture_has_low_frequencies_at_the_bottom(tmp_path):
    write_picture(tmp_path / "a.png", log_mel(tones(100), RATE))
    picture = imread(tmp_path / "a.png")[..., :3].sum(axis=(1, 2))
    assert len(picture) == 64
    assert picture.argmax() > 56


def test_a_rebuilt_sound_has_the_spectrogram():
    wanted = log_mel(tones(300, 1200, 5000), RATE)
    sound = rebuild(wanted.astype(np.float16), RATE, 3 * (RATE // 2))
    assert sound.shape == (3 * (RATE // 2),)
    loud = wanted > wanted.max() - 40
    off = np.abs(log_mel(sound, RATE) - wanted)[loud]
    assert np.median(off) < 1.5
    assert np.array_equal(sound, rebuild(wanted.astype(np.float16), RATE, len(sound)))
