import struct
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from dha_utils.audio import fit_length, load_audio, log_mel, mfcc_features
from dha_utils.datasets import load_clips
from dha_utils.errors import AudioError
from dha_utils.paths import data_dir

NO_AUDIO = pytest.mark.skipif(data_dir() is None, reason="DHA_DATA is not set: no real audio at hand")


def tone(rate: int, seconds: float = 1.0, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)


def noise(n: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(n).astype(np.float32)


def write(path: Path, samples, rate: int = 44100, **how) -> Path:
    soundfile.write(path, samples, rate, **how)
    return path


def fails(path: Path, fault: str, rate: float = 22050, duration: float | None = None) -> None:
    with pytest.raises(AudioError, match=fault) as caught:
        load_audio(path, rate, duration)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000])
def test_a_tone_stays_the_tone_at_every_rate(tmp_path, rate):
    y = load_audio(write(tmp_path / "a.wav", tone(44100), subtype="FLOAT"), rate)
    assert len(y) - rate in (0, 1)  # librosa rounds up, and 44100 * (48000 / 44100) is a little above 48000
    assert y.dtype == np.float32
    inside = slice(rate // 20, -rate // 20)  # the filter rings where the sound begins and ends
    np.testing.assert_allclose(y[:rate][inside], tone(rate)[inside], atol=1e-4)


def test_resampling_takes_away_what_the_rate_cannot_hold(tmp_path):
    y = load_audio(write(tmp_path / "a.wav", tone(44100, frequency=15000.0), subtype="FLOAT"), 22050)
    assert np.abs(y[1000:-1000]).max() < 1e-4


def test_its_own_rate_gives_the_very_samples(tmp_path):
    samples = noise(1000)
    np.testing.assert_array_equal(
        load_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"), 44100), samples
    )


def test_channels_are_averaged(tmp_path):
    samples = np.stack([np.full(1000, 0.5), np.full(1000, -0.25)], axis=1)
    y = load_audio(write(tmp_path / "a.wav", samples, subtype="FLOAT"), 44100)
    np.testing.assert_array_equal(y, np.full(1000, 0.125, np.float32))


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("aiff", "PCM_16"), ("wav", "PCM_24")]
)
def test_samples_are_those_of_libsndfile(tmp_path, suffix, subtype):
    extremes = np.array([[-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    samples = np.concatenate([extremes, np.random.default_rng(0).uniform(-1, 1, (5000, 2))])
    path = write(tmp_path / f"a.{suffix}", samples, 22050, subtype=subtype)
    expected = soundfile.read(path, dtype="float32")[0]
    np.testing.assert_array_equal(load_audio(path, 22050), librosa.to_mono(expected.T))
    np.testing.assert_array_equal(load_audio(path, 22050, channel="right"), expected[:, 1])


def test_silence_is_legal(tmp_path):
    y = load_audio(write(tmp_path / "a.wav", np.zeros(44100)), 22050)
    np.testing.assert_array_equal(y, np.zeros(22050, np.float32))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au"])
def test_formats(tmp_path, suffix):
    y = load_audio(write(tmp_path / f"a.{suffix}", tone(44100)), 44100)
    np.testing.assert_allclose(y[2000:-2000], tone(44100)[2000:-2000], atol=0.02)


@pytest.mark.parametrize("seconds", [0.2, 1.0, 1.7])
@pytest.mark.parametrize("own_rate", [44100, 22050, 8000])
def test_a_duration_is_kept(tmp_path, seconds, own_rate):
    path = write(tmp_path / "a.wav", noise(own_rate), own_rate)
    assert load_audio(path, 22050, seconds).shape == (round(22050 * seconds),)


def test_trailing_silence_may_be_stored_or_not(tmp_path):
    short = write(tmp_path / "short.wav", noise(30000), subtype="FLOAT")
    padded = write(tmp_path / "padded.wav", np.pad(noise(30000), (0, 14100)), subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(short, 22050, 1.0), load_audio(padded, 22050))
    np.testing.assert_array_equal(load_audio(short, 22050, 1.0), load_audio(padded, 22050, 1.0))


def test_what_is_cut_off_leaves_no_trace(tmp_path):
    samples = noise(44100)
    long = write(tmp_path / "long.wav", samples, subtype="FLOAT")
    short = write(tmp_path / "short.wav", samples[:22050], subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(long, 22050, 0.5), load_audio(short, 22050))


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("empty.wav", b"", "is empty"),
        ("text.wav", b"This is a letter, not a sound." * 50, "is not a sound file"),
        ("text.txt", b"This is a letter, not a sound." * 50, "is not a sound file"),
        ("headless.raw", bytes(1000), "is not a sound file"),
    ],
)
def test_files_that_are_not_sound(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    fails(tmp_path / name, fault)


def test_missing_file_and_folder(tmp_path):
    fails(tmp_path / "gone.wav", "no such file")
    fails(tmp_path, "is a folder")


def test_a_header_without_samples(tmp_path):
    fails(write(tmp_path / "a.wav", np.zeros(0)), "holds no samples")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers(tmp_path, value):
    samples = noise(100)
    samples[[3, 7]] = value
    fails(write(tmp_path / "a.wav", samples, subtype="FLOAT"), "2 of 100 samples are NaN or infinite")


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "au", "w64"])
def test_truncated_files(tmp_path, suffix, kept):
    path = write(tmp_path / f"a.{suffix}", noise(88200))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    fails(path, "is truncated")


def test_an_ogg_file_without_its_last_page(tmp_path):
    path = write(tmp_path / "a.ogg", noise(88200))
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])
    fails(path, "is truncated")


def test_a_size_that_was_never_known_is_no_promise(tmp_path):
    path = write(tmp_path / "a.wav", noise(1000), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFFF)  # of the file and of its samples
    path.write_bytes(content)
    assert load_audio(path, 44100).shape == (1000,)


def test_a_wrong_size_of_the_whole_file_is_no_promise(tmp_path):
    path = write(tmp_path / "a.wav", noise(1000), subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[4:8] = struct.pack("<I", len(content))  # a common mistake: it should be 8 less
    path.write_bytes(content)
    assert load_audio(path, 44100).shape == (1000,)


@pytest.mark.parametrize("rate", [0, -22050, np.nan, np.inf])
def test_impossible_rates(tmp_path, rate):
    fails(
        write(tmp_path / "a.wav", noise(100)), f"resampled to {rate} Hz; the rate must be above 0", rate=rate
    )


@pytest.mark.parametrize("duration", [0, -1.0, np.nan, np.inf, 1e-9])
def test_impossible_durations(tmp_path, duration):
    path = write(tmp_path / "a.wav", noise(100))
    fails(path, f"brought to {duration} s; the duration must be above 0", duration=duration)


@pytest.mark.parametrize(("n", "expected"), [(1, [1]), (3, [1, 2, 3]), (5, [1, 2, 3, 0, 0])])
def test_fit_length(n, expected):
    y = fit_length(np.array([1, 2, 3], np.float32), n)
    np.testing.assert_array_equal(y, np.array(expected, np.float32), strict=True)


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
    mel = log_mel(tone(22050, frequency=frequency).astype(np.float32), 22050)
    centres = librosa.mel_frequencies(64 + 2, fmin=0, fmax=11025)[1:-1]
    assert abs(mel.mean(axis=1).argmax() - np.abs(centres - frequency).argmin()) <= 1


def test_log_mel_is_relative_to_full_scale():
    y = tone(22050).astype(np.float32)
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


@NO_AUDIO
def test_a_real_clip_is_decoded_as_librosa_does():
    path = load_clips("esc10").table.set_index("clip").loc["1-30226-A", "path"]
    samples, rate = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(load_audio(path, rate), samples)
    np.testing.assert_array_equal(
        load_audio(path, 22050), librosa.resample(samples, orig_sr=rate, target_sr=22050, res_type="soxr_hq")
    )
    assert load_audio(path, 22050, 5.0).shape == (110_250,)
