"""Synthetic frames have the pitch that they are said to have."""

import numpy as np
import pytest
from scipy.signal import correlate

from dha_utils.networks.crepe import FRAME, RATE
from dha_utils.studies import pitch_sounds
from dha_utils.studies.pitch_sounds import draw_sounds


def test_steady_sounds_repeat_at_their_period(monkeypatch):
    monkeypatch.setattr(pitch_sounds, "NOISE", (60.0, 60.0))
    sounds = draw_sounds(60, seed=1)
    for waveform, hz in list(zip(sounds.waveforms, sounds.hz, strict=True))[::2]:
        period = RATE / hz
        own = correlate(waveform, waveform, method="fft")[FRAME - 1 :] / np.arange(FRAME, 0, -1)
        lags = np.arange(int(0.7 * period), int(1.3 * period) + 2)
        assert abs(lags[own[lags].argmax()] - period) <= 1


def test_glides_move_around_their_pitch(monkeypatch):
    monkeypatch.setattr(pitch_sounds, "NOISE", (90.0, 90.0))
    monkeypatch.setattr(pitch_sounds, "HARMONICS", 1)
    sounds = draw_sounds(40, seed=2)
    for waveform, hz in list(zip(sounds.waveforms, sounds.hz, strict=True))[1::2]:
        if hz < 300:  # too few periods to count crossings
            continue
        crossings = np.flatnonzero(np.diff(np.signbit(waveform)))
        assert RATE / 2 / np.diff(crossings).mean() == pytest.approx(hz, rel=0.03)


def test_drawn_again_is_the_same():
    sounds = draw_sounds(100, seed=0)
    again = draw_sounds(100, seed=0)
    np.testing.assert_array_equal(again.waveforms, sounds.waveforms)
    assert not np.array_equal(draw_sounds(100, seed=1).hz, sounds.hz)
