import librosa
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dha_utils.audio import load_audio
from dha_utils.errors import AudioError, DataError, ParameterError
from dha_utils.extraction import pool_maps
from dha_utils.fused import FusedTaps
from dha_utils.pruning import prune_network
from dha_utils.soundnet import MIN_SAMPLES, TAPS
from dha_utils.streaming import StreamedMeans, one_ahead, pool_stream, stream_audio


def noise(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)


def cut(waveform, sizes):
    """Cut a waveform into pieces whose sizes are taken in turn."""
    start, i = 0, 0
    while start < len(waveform):
        yield waveform[start : start + sizes[i % len(sizes)]]
        start += sizes[i % len(sizes)]
        i += 1


def assert_same(got, network, waveform):
    """Compare with averages in float64: of the same steps' maps over the whole, and of the plain network's."""
    x = torch.from_numpy(waveform)[None]
    with torch.inference_mode():
        pairs = zip(FusedTaps(network)(x), network.taps(x), strict=True)
        for (tap, maps), (_, plain) in pairs:
            expected, oracle = (m[0].double().mean(dim=1).numpy() for m in (maps, plain))
            scale = plain.abs().max().item()
            np.testing.assert_allclose(got[tap], expected, rtol=1e-5, atol=3e-6 * scale, err_msg=tap)
            np.testing.assert_allclose(got[tap], oracle, rtol=1e-5, atol=3e-6 * scale, err_msg=tap)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    n=st.integers(MIN_SAMPLES, 60_000),
    sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=4).filter(lambda s: sum(s) > 300),
)
def test_equals_the_whole_for_any_length_and_pieces(random_network, n, sizes):
    waveform = noise(n)
    assert_same(pool_stream(FusedTaps(random_network), cut(waveform, sizes)), random_network, waveform)


@pytest.mark.parametrize("n", range(MIN_SAMPLES, MIN_SAMPLES + 70, 3))
def test_equals_the_whole_around_the_shortest(random_network, n):
    waveform = noise(n)
    got = pool_stream(FusedTaps(random_network), cut(waveform, [997]))
    assert tuple(got) == TAPS
    assert_same(got, random_network, waveform)


def test_equals_the_whole_for_a_pruned_network(random_network):
    small = prune_network(random_network, {"conv1": [4], "conv2": range(3, 20), "conv6": [1, 500]})
    waveform = noise(30_001)
    assert_same(pool_stream(FusedTaps(small), cut(waveform, [7001, 300])), small, waveform)


def test_equals_pooling_of_the_whole_in_the_same_precision(random_network):
    taps = FusedTaps(random_network, dtype=torch.bfloat16)
    waveform = noise(50_001)
    whole, streamed = pool_maps(taps, [waveform]), pool_stream(taps, cut(waveform, [7919]))
    for tap in TAPS:
        np.testing.assert_allclose(streamed[tap], whole[tap][0], rtol=0, atol=1e-3 * np.abs(whole[tap]).max())


def test_too_short_a_recording_is_refused(random_network):
    with pytest.raises(DataError, match=r"\(1, 4573\), expected \(clips, samples\) with at least 4574"):
        pool_stream(FusedTaps(random_network), cut(noise(MIN_SAMPLES - 1), [1000]))


def test_the_released_padding_is_refused(output_padded_network):
    with pytest.raises(ParameterError, match="needs padding 'input', not 'released': cut the clips"):
        pool_stream(FusedTaps(output_padded_network), cut(noise(60_000), [1000]))


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
    # The decoder of MP3 rounds anew where reading starts anew.
    np.testing.assert_allclose(pieces, load_audio(path, 22_050), rtol=0, atol=1e-7)


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


def test_what_is_kept_does_not_grow_with_length(random_network):
    means = StreamedMeans(FusedTaps(random_network))
    kept = []
    with torch.inference_mode():
        for seed in range(12):
            means.add(noise(2**15, seed))
            kept.append(sum(carry.rest.numel() for carry in means.carries))
    assert max(kept[6:]) <= max(kept[:6])
    assert kept[-1] < 20_000
