"""Sound files to waveforms, whole and in pieces."""

import struct
from itertools import product
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from dha_utils.audio.waveforms import fit_waveform, load_audio, one_ahead, stream_audio
from dha_utils.core.errors import AudioError
from dha_utils.core.paths import data_dir
from dha_utils.datasets import load_clips

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


def test_what_is_missing_behind_the_duration_is_an_error_of_the_whole(tmp_path):
    path = write(tmp_path / "a.mp3", noise(88_200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    fails(path, "is truncated", duration=0.1)


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


@NO_AUDIO
def test_a_real_clip_is_decoded_as_librosa_does():
    path = load_clips("esc10").table.set_index("clip").loc["1-30226-A", "path"]
    samples, rate = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(load_audio(path, rate), samples)
    np.testing.assert_array_equal(
        load_audio(path, 22050), librosa.resample(samples, orig_sr=rate, target_sr=22050, res_type="soxr_hq")
    )
    assert load_audio(path, 22050, 5.0).shape == (110_250,)


@pytest.mark.parametrize("own_rate", [8000, 22_050, 22_051, 44_100, 48_000])
@pytest.mark.parametrize("duration", [None, 0.7, 1.3])
@pytest.mark.parametrize("frames", [313, 2**20])
def test_pieces_of_audio_are_those_of_the_whole(tmp_path, own_rate, duration, frames):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2 * (own_rate + 77)).reshape(-1, 2), own_rate, subtype="FLOAT")
    pieces = list(stream_audio(path, 22_050, duration, frames))
    assert all(len(piece) and piece.dtype == np.float32 for piece in pieces)
    np.testing.assert_array_equal(np.concatenate(pieces), load_audio(path, 22_050, duration))


@pytest.mark.parametrize("channel", ["mean", "left", "right"])
@pytest.mark.parametrize("duration", [None, 0.7, 2.5])
@pytest.mark.parametrize("cut", [[(0.0, 0.2)], [(0.3, 0.31), (0.305, 1.1)], [(1.2, 99.0)]])
@pytest.mark.parametrize("frames", [313, 2**20])
def test_pieces_of_one_channel_without_erroneous_seconds(tmp_path, channel, duration, cut, frames):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(2 * 66_150).reshape(-1, 2), 44_100, subtype="FLOAT")
    options = {"channel": channel, "cut": cut}
    pieces = np.concatenate(list(stream_audio(path, 22_050, duration, frames, **options)))
    np.testing.assert_array_equal(pieces, load_audio(path, 22_050, duration, **options))


def test_nothing_left_or_no_such_channel(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(9000), 44_100)
    for duration in (None, 0.5):
        with pytest.raises(AudioError, match="all of it is marked as erroneous"):
            list(stream_audio(path, 22_050, duration, frames=1000, cut=[(0, 9)]))
    with pytest.raises(AudioError, match="no channel 'both'"):
        list(stream_audio(path, 22_050, channel="both"))


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_a_sound_of_a_few_samples(tmp_path, n):
    soundfile.write(tmp_path / "a.wav", noise(n), 44_100, subtype="FLOAT")
    pieces = list(stream_audio(tmp_path / "a.wav", 22_050))
    np.testing.assert_array_equal(np.concatenate(pieces), load_audio(tmp_path / "a.wav", 22_050))


@pytest.mark.parametrize("suffix", ["ogg", "mp3", "flac"])
def test_compressed_formats(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, 0.1 * noise(100_000), 44_100)
    pieces = np.concatenate(list(stream_audio(path, 22_050, frames=9973)))
    np.testing.assert_array_equal(pieces, load_audio(path, 22_050))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_truncated_files_are_refused_with_the_same_words(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, 0.1 * noise(88_200), 44_100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(AudioError, match="is truncated"):
        list(stream_audio(path, 22_050, frames=5000))


@pytest.mark.parametrize("suffix", ["ogg", "wav"])
def test_a_missing_end_shows_before_anything_is_decoded(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, 0.1 * noise(88_200), 44_100)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match="is truncated"):
        next(stream_audio(path, 22_050, duration=0.1))


def test_other_faults(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        list(stream_audio(tmp_path / "a.wav", 22_050))
    with pytest.raises(AudioError, match="the rate must be above 0"):
        list(stream_audio(tmp_path / "a.wav", 0))
    soundfile.write(tmp_path / "none.wav", noise(0), 44_100)
    with pytest.raises(AudioError, match="holds no samples"):
        list(stream_audio(tmp_path / "none.wav", 22_050))
    samples = noise(9000)
    samples[7000] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, 44_100, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"nan\.wav: 1 of 1000 samples are NaN or infinite"):
        list(stream_audio(tmp_path / "nan.wav", 22_050, frames=1000))


def test_one_ahead_keeps_order_and_passes_errors_on():
    def pieces():
        yield from np.arange(6, dtype=np.float32).reshape(3, 2)
        raise AudioError("broken")

    with pytest.raises(AudioError, match="broken"):
        list(one_ahead(pieces()))
    assert [piece.tolist() for piece in one_ahead(iter([np.ones(2)]))] == [[1, 1]]
    assert list(one_ahead(iter([]))) == []


def test_resampled_length_is_that_of_librosa(tmp_path):
    for n in (44_099, 44_100, 44_101):
        soundfile.write(tmp_path / "a.wav", noise(n), 44_100, subtype="FLOAT")
        expected = librosa.resample(noise(n), orig_sr=44_100, target_sr=48_000, res_type="soxr_hq")
        assert sum(map(len, stream_audio(tmp_path / "a.wav", 48_000, frames=1000))) == len(expected)


@NO_AUDIO
def test_pieces_of_real_clips_are_the_whole():
    paths = load_clips("esc10").table["path"].iloc[::97]
    for path, rate, duration in product(paths, (16_000, 22_050, 44_100), (None, 2.3, 6.0)):
        pieces = np.concatenate(list(stream_audio(path, rate, duration, 10_007)))
        np.testing.assert_array_equal(pieces, load_audio(path, rate, duration), err_msg=str(path))


@pytest.mark.parametrize("channel", ["mean", "left", "right"])
@pytest.mark.parametrize("duration", [None, 0.5, 3.0])
def test_samples_at_hand_become_what_a_file_of_them_becomes(tmp_path, channel, duration):
    samples = np.stack([noise(44_100), tone(44_100).astype(np.float32)], axis=1)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    expected = load_audio(path, 22_050, duration, channel=channel)
    np.testing.assert_array_equal(fit_waveform(samples, 44_100, 22_050, duration, channel=channel), expected)


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (np.zeros((2, 2, 2)), r"samples have shape \(2, 2, 2\), expected"),
        (np.zeros(0), r"samples have shape \(0,\), expected"),
        (np.zeros(5, np.int16), r"samples are int16, expected numbers in \[-1, 1\]: divide them"),
        (np.full(5, np.nan), "samples hold values that are not finite"),
    ],
)
def test_samples_that_cannot_be_used(samples, fault):
    with pytest.raises(AudioError, match=fault):
        fit_waveform(samples, 8_000, 8_000)
