"""The spectrogram and the MFCCs."""

import librosa
import numpy as np
import pytest

from dha_utils.audio.views import log_mel, mfcc_features


def tone(frequency: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(22_050) / 22_050)).astype(np.float32)


def noise(n: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(n).astype(np.float32)


@pytest.mark.parametrize("n", [1, 100, 2047, 2048, 22050])
@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_short_and_silent_clips_have_features_without_warnings(n, rate):
    for y in (np.zeros(n, np.float32), noise(n)):
        mel, features = log_mel(y, rate), mfcc_features(y, rate)
        assert mel.shape == (64, 1 + max(n, 2048) // 512)
        assert features.shape == (26,)
        assert mel.dtype == features.dtype == np.float32
        assert np.isfinite(mel).all()
        assert np.isfinite(features).all()


@pytest.mark.parametrize("frequency", [300.0, 1000.0, 4000.0])
def test_log_mel_shows_a_tone_in_its_band(frequency):
    mel = log_mel(tone(frequency), 22050)
    centres = librosa.mel_frequencies(64 + 2, fmin=0, fmax=11025)[1:-1]
    assert abs(mel.mean(axis=1).argmax() - np.abs(centres - frequency).argmin()) <= 1


def test_log_mel_is_relative_to_full_scale():
    y = tone(440.0)
    np.testing.assert_allclose(log_mel(y, 22050).max() - log_mel(0.1 * y, 22050).max(), 20.0, atol=1e-3)
    np.testing.assert_allclose(log_mel(np.zeros(22050, np.float32), 22050), -100.0, atol=1e-4)


def test_mfcc_features_are_those_of_the_loops_they_stand_for():
    y, rate = noise(10_000), 22050
    power = librosa.feature.melspectrogram(y=y, sr=rate, n_fft=2048, hop_length=512, n_mels=128)
    decibel = 10 * np.log10(np.maximum(power, 1e-10))
    decibel = np.maximum(decibel, decibel.max() - 80)
    bands = np.arange(128)
    mfcc = [np.sqrt(2 / 128) * np.cos(np.pi * k * (bands + 0.5) / 128) @ decibel for k in range(1, 13)]
    frames = [y[i : i + 512] for i in range(0, 10_000 - 511, 512)]
    crossings = [np.count_nonzero(np.diff(np.signbit(frame))) / 512 for frame in frames]
    expected = [*np.mean(mfcc, axis=1), *np.std(mfcc, axis=1), np.mean(crossings), np.std(crossings)]
    np.testing.assert_allclose(mfcc_features(y, rate), expected, rtol=1e-3, atol=1e-3)


def test_mfcc_features_do_not_depend_on_loudness():
    y = noise(22050)
    np.testing.assert_allclose(mfcc_features(y, 22050), mfcc_features(0.1 * y, 22050), atol=1e-3)
