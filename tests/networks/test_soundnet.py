import numpy as np
import pytest
import torch
from scipy import signal

from dha_utils.core.errors import DataError, ParameterError
from dha_utils.core.paths import cache_dir
from dha_utils.networks.soundnet import BLOCKS, MIN_SAMPLES, PADDINGS, TAP_MAPS, TAPS, SoundNet, load_soundnet
from dha_utils.networks.weights import FILE


def scipy_stages(model, waveform):
    """An independent SoundNet in float64: SciPy's correlation per map, NumPy for the rest."""
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    x = waveform.astype(np.float64)[None] * model.input_scale
    for number, layer in enumerate(BLOCKS, 1):
        kernel, bias = weights[f"conv{number}.weight"], weights[f"conv{number}.bias"]
        padded = np.pad(x, ((0, 0), (layer.padding,) * 2)) if model.padding == "input" else x
        # A correlation in two dimensions that is as high as the input: it sums over the channels.
        maps = [
            signal.correlate(padded, kernel[o], mode="valid", method="direct")[0, ::2]
            for o in range(layer.maps)
        ]
        x = np.stack(maps) + bias[:, None]
        if model.padding == "released":
            x = np.pad(x, ((0, 0), (layer.padding // 2,) * 2))
        yield f"conv{number}", x
        scale = weights[f"bn{number}.weight"] / np.sqrt(weights[f"bn{number}.running_var"] + 1e-5)
        x = (x - weights[f"bn{number}.running_mean"][:, None]) * scale[:, None]
        x = x + weights[f"bn{number}.bias"][:, None]
        yield f"bn{number}", x
        x = np.maximum(x, 0)
        yield f"relu{number}", x
        if layer.pool:
            n = x.shape[1] // layer.pool
            x = x[:, : n * layer.pool].reshape(len(x), n, layer.pool).max(axis=2)
            yield f"pool{number}", x


def check_against_scipy(model, waveform):
    with torch.inference_mode():
        ours = {name: maps[0].numpy() for name, maps in model.stages(torch.from_numpy(waveform)[None])}
    for name, expected in scipy_stages(model, waveform):
        assert ours[name].shape == expected.shape
        np.testing.assert_allclose(
            ours[name], expected, rtol=0, atol=2e-6 * np.abs(expected).max(), err_msg=name
        )


def test_every_stage_equals_an_independent_implementation(random_network):
    waveform = np.random.default_rng(0).uniform(-1, 1, MIN_SAMPLES + 300).astype(np.float32)
    check_against_scipy(random_network, waveform)


def test_the_released_padding_equals_an_independent_implementation(output_padded_network):
    waveform = np.random.default_rng(0).uniform(-1, 1, PADDINGS["released"] + 301).astype(np.float32)
    check_against_scipy(output_padded_network, waveform)


def test_maps_are_as_long_with_either_padding(random_network, output_padded_network):
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 60_001)).astype(np.float32))
    ours, theirs = dict(random_network.stages(x)), dict(output_padded_network.stages(x))
    assert {name: maps.shape for name, maps in ours.items()} == {name: m.shape for name, m in theirs.items()}
    # The ends are the same whatever is heard: zeros after the convolution.
    assert not theirs["conv7"][:, :, [0, -1]].any()
    assert theirs["conv7"][:, :, 1:-1].any()


def test_shortest_waveform_of_the_released_padding(output_padded_network):
    n = PADDINGS["released"]
    assert all(maps.shape[2] > 0 for _, maps in output_padded_network.features(torch.zeros(1, n)))
    with pytest.raises(DataError, match=f"at least {n} samples"):
        list(output_padded_network.features(torch.zeros(1, n - 1)))


def test_unknown_padding_is_refused():
    with pytest.raises(ParameterError, match=r"unknown padding .realeased. .did you mean .released."):
        SoundNet(padding="realeased")


@pytest.mark.skipif(
    not (cache_dir() / FILE).is_file(), reason="no weights in the cache: run `dha fetch weights`"
)
def test_pretrained_network_equals_an_independent_implementation():
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, MIN_SAMPLES + 1000).astype(np.float32)
    model = load_soundnet()
    check_against_scipy(model, waveform)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_taps_are_the_published_fifteen(random_network):
    maps = dict(random_network.features(torch.zeros(1, 22_050)))
    assert tuple(maps) == TAPS
    assert {tap: value.shape[1] for tap, value in maps.items()} == TAP_MAPS
    assert sum(TAP_MAPS.values()) == 4336


def test_shortest_waveform(random_network):
    assert all(maps.shape[2] > 0 for _, maps in random_network.features(torch.zeros(1, MIN_SAMPLES)))
    with pytest.raises(DataError, match=f"at least {MIN_SAMPLES} samples: pad the clips"):
        list(random_network.features(torch.zeros(1, MIN_SAMPLES - 1)))
    with pytest.raises(DataError, match=r"shape \(4574,\), expected \(clips, samples\)"):
        list(random_network.features(torch.zeros(MIN_SAMPLES)))


def test_heads_give_logits(random_network):
    objects, scenes = random_network(torch.zeros(2, 209_374))
    assert objects.shape == (2, 1000, 1)
    assert scenes.shape == (2, 401, 1)


def test_input_scale_is_a_parameter():
    torch.manual_seed(0)
    full, half = SoundNet().eval(), SoundNet(input_scale=128.0).eval()
    half.load_state_dict(full.state_dict())
    x = torch.rand(1, MIN_SAMPLES)
    with torch.inference_mode():
        expected, got = dict(full.features(x / 2)), dict(half.features(x))
    assert all(torch.equal(expected[tap], got[tap]) for tap in TAPS)
