from copy import deepcopy

import numpy as np
import pytest
import torch

from dha_utils.core.errors import DataError
from dha_utils.networks import fused
from dha_utils.networks.fused import FusedTaps
from dha_utils.networks.soundnet import MIN_SAMPLES, TAPS
from dha_utils.pruning.surgery import prune_network


def waveforms(n_samples, clips=3):
    return torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (clips, n_samples)).astype(np.float32))


def taps(function, x):
    with torch.inference_mode():
        return {tap: maps.float().clone() for tap, maps in function(x)}


def assert_close(got, expected, atol):
    assert tuple(got) == TAPS
    for tap in TAPS:
        scale = expected[tap].abs().max().clamp(min=1e-3)  # a few maps may answer with zeros throughout
        torch.testing.assert_close(got[tap] / scale, expected[tap] / scale, rtol=0, atol=atol)


@pytest.mark.parametrize("n_samples", [MIN_SAMPLES, MIN_SAMPLES + 1, 11_025, 22_051])
@pytest.mark.parametrize("row_values", [1, 3000, 2**18])
def test_equals_the_plain_taps(random_network, n_samples, row_values, monkeypatch):
    monkeypatch.setattr(fused, "ROW_VALUES", row_values)
    x = waveforms(n_samples)
    assert_close(taps(FusedTaps(random_network), x), taps(random_network.features, x), atol=3e-6)


@pytest.mark.parametrize("n_samples", [45_534, 60_001])
def test_equals_the_plain_taps_with_the_released_padding(output_padded_network, n_samples):
    x = waveforms(n_samples, clips=2)
    assert_close(
        taps(FusedTaps(output_padded_network), x), taps(output_padded_network.features, x), atol=3e-6
    )


@pytest.mark.parametrize(
    "kept",
    [
        {"conv1": 1, "conv2": 17},
        {"conv1": 5, "conv2": 1, "conv3": 7, "conv4": 100, "conv5": 13, "conv6": 64, "conv7": 33},
        {"conv7": 90},
    ],
)
def test_equals_the_plain_taps_of_a_pruned_network(random_network, kept):
    # The last so many, so that a network which took the first ones would be noticed.
    full = dict(zip(kept, (random_network.get_submodule(layer).out_channels for layer in kept), strict=True))
    small = prune_network(
        random_network, {layer: range(full[layer] - count, full[layer]) for layer, count in kept.items()}
    )
    x = waveforms(9001)
    function = FusedTaps(small)
    assert_close(taps(function, x), taps(small.features, x), atol=3e-6)
    assert {tap: maps.shape[1] for tap, maps in function(x)} == small.tap_maps


def test_a_clip_does_not_see_the_others_of_its_batch(random_network):
    function, x = FusedTaps(random_network), waveforms(5003, clips=5)
    together = taps(function, x)
    for row in range(5):
        alone = taps(function, x[[row]])
        for tap in TAPS:
            scale = together[tap].abs().max()
            torch.testing.assert_close(alone[tap][0] / scale, together[tap][row] / scale, rtol=0, atol=2e-7)


@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 5e-2), (torch.float16, 5e-3)])
def test_half_precision_is_near(random_network, dtype, error):
    x = waveforms(5003, clips=2)
    plain, half = taps(random_network.features, x), taps(FusedTaps(random_network, dtype=dtype), x)
    assert_close(half, plain, atol=error)
    assert any((half[tap] - plain[tap]).abs().max() > 1e-5 * plain[tap].abs().max() for tap in TAPS)


def test_too_short_is_refused(random_network, output_padded_network):
    with pytest.raises(DataError, match="at least 4574 samples"):
        list(FusedTaps(random_network)(torch.zeros(1, 4000)))
    with pytest.raises(DataError, match="at least 45534 samples"):
        list(FusedTaps(output_padded_network)(torch.zeros(1, 45_000)))


@pytest.mark.parametrize("tap", ["conv3", "relu1"])
def test_a_tap_that_no_step_gives_is_had_the_plain_way(random_network, tap):
    network = deepcopy(random_network)
    network.taps = ("pool1", tap) if tap == "conv3" else (tap, "pool1")
    x = waveforms(11_025)
    assert taps(network.fast(), x).keys() == taps(network.features, x).keys() == {*network.taps}
