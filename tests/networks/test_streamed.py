import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dha_utils.core.errors import DataError, ParameterError
from dha_utils.networks.fused import FusedTaps
from dha_utils.networks.soundnet import MIN_SAMPLES, TAPS
from dha_utils.networks.streamed import Stream, StreamedTaps
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.pooling import pool_maps, pool_stream


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
        pairs = zip(FusedTaps(network)(x), network.features(x), strict=True)
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
    assert_same(
        pool_stream(StreamedTaps(random_network).stream(cut(waveform, sizes))), random_network, waveform
    )


@pytest.mark.parametrize("n", range(MIN_SAMPLES, MIN_SAMPLES + 70, 3))
def test_equals_the_whole_around_the_shortest(random_network, n):
    waveform = noise(n)
    got = pool_stream(StreamedTaps(random_network).stream(cut(waveform, [997])))
    assert tuple(got) == TAPS
    assert_same(got, random_network, waveform)


def test_equals_the_whole_for_a_pruned_network(random_network):
    small = prune_network(random_network, {"conv1": [4], "conv2": range(3, 20), "conv6": [1, 500]})
    waveform = noise(30_001)
    assert_same(pool_stream(StreamedTaps(small).stream(cut(waveform, [7001, 300]))), small, waveform)


def test_equals_pooling_of_the_whole_in_the_same_precision(random_network):
    taps = StreamedTaps(random_network, dtype=torch.bfloat16)
    waveform = noise(50_001)
    whole, streamed = pool_maps(taps, [waveform]), pool_stream(taps.stream(cut(waveform, [7919])))
    for tap in TAPS:
        np.testing.assert_allclose(streamed[tap], whole[tap][0], rtol=0, atol=1e-3 * np.abs(whole[tap]).max())


def test_too_short_a_recording_is_refused(random_network):
    with pytest.raises(DataError, match=r"\(1, 4573\), expected \(clips, samples\) with at least 4574"):
        list(StreamedTaps(random_network).stream(cut(noise(MIN_SAMPLES - 1), [1000])))


def test_the_released_padding_is_refused(output_padded_network):
    with pytest.raises(ParameterError, match="needs padding 'input', not 'released': cut the clips"):
        next(StreamedTaps(output_padded_network).stream(cut(noise(60_000), [1000])))


def test_what_is_kept_does_not_grow_with_length(random_network):
    stream = Stream(FusedTaps(random_network))
    kept = []
    with torch.inference_mode():
        for seed in range(12):
            list(stream.add(noise(2**15, seed)))
            kept.append(sum(carry.rest.numel() for carry in stream.carries))
    assert max(kept[6:]) <= max(kept[:6])
    assert kept[-1] < 20_000
