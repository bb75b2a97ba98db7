from copy import deepcopy

import numpy as np
import pytest
import torch

from dha_utils.core.errors import DataError, ParameterError
from dha_utils.networks.activations import layer_activations, windows
from dha_utils.pruning.compensation import COMPENSATIONS, compensate
from dha_utils.pruning.surgery import prune_network

RNG = np.random.default_rng(0)
WAVEFORMS = (0.02 * RNG.normal(size=(12, 16_000))).astype(np.float32)
OTHERS = (0.02 * RNG.normal(size=(6, 16_000))).astype(np.float32)


@pytest.fixture(scope="module")
def network(random_network):
    """A network whose upper layers are narrow, so that fitting them takes no time."""
    narrow = {"conv3": 48, "conv4": 16, "conv5": 16, "conv6": 12, "conv7": 10}
    return prune_network(random_network, {layer: np.arange(n) for layer, n in narrow.items()})


def maps(model, waveforms, number):
    """What layer `number` hands on."""
    return layer_activations(model, waveforms)[number]


def compensated(model, keep, method, **options):
    return compensate(model, keep, layer_activations(model, WAVEFORMS), method, **options)


def doubled(network):
    """A network in which maps 8 to 15 of the first layer are multiples of maps 0 to 7: they can go at no cost."""
    model = deepcopy(network)
    for tensor in (model.conv1.weight, model.conv1.bias):
        tensor[8:] = tensor[:8]
    for name in ("running_mean", "running_var"):
        model.bn1.get_buffer(name)[8:] = model.bn1.get_buffer(name)[:8]
    for tensor in (model.bn1.weight, model.bn1.bias):
        tensor[8:] = 2 * tensor[:8]
    return model


FIRST_HALF = {"conv1": np.arange(8)}


def test_layer_output_and_windows_are_those_of_the_network(network):
    stages = dict(network.stages(torch.from_numpy(WAVEFORMS)))
    torch.testing.assert_close(maps(network, WAVEFORMS, 2), stages["pool2"])
    conv = network.conv3
    by_product = torch.cat([w @ conv.weight.flatten(1).T + conv.bias for w in windows(stages["pool2"], conv)])
    expected = stages["conv3"].transpose(1, 2).reshape(len(by_product), -1)
    torch.testing.assert_close(by_product, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", COMPENSATIONS)
def test_nothing_removed_changes_nothing(network, method):
    same = compensated(network, {}, method)
    torch.testing.assert_close(maps(same, OTHERS, 7), maps(network, OTHERS, 7), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["merged", "refitted"])
def test_maps_that_are_multiples_of_others_go_at_no_cost(network, method):
    model = doubled(network)
    small = compensated(model, FIRST_HALF, method, ridge=1e-9)
    expected = maps(model, OTHERS, 2)
    torch.testing.assert_close(maps(small, OTHERS, 2), expected, rtol=2e-3, atol=2e-3 * float(expected.max()))
    removed = maps(compensated(model, FIRST_HALF, "removed"), OTHERS, 2)
    assert (removed - expected).abs().mean() > 20 * (maps(small, OTHERS, 2) - expected).abs().mean()


def test_refit_is_least_squares(network):
    """Against numpy.linalg.lstsq on the windows of one layer, with next to no pull towards the original kernel."""
    keep = {"conv1": np.arange(3)}
    small = compensated(network, keep, "refitted", ridge=1e-9)
    inputs = torch.cat(list(windows(maps(small, WAVEFORMS, 1), small.conv2))).double().numpy()
    inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
    targets = (
        network.conv2(maps(network, WAVEFORMS, 1)).transpose(1, 2).reshape(len(inputs), -1).double().numpy()
    )
    solution, *_ = np.linalg.lstsq(inputs, targets, rcond=None)
    fitted = np.hstack([small.conv2.weight.flatten(1).numpy(), small.conv2.bias[:, None].numpy()]).T
    np.testing.assert_allclose(
        inputs @ fitted, inputs @ solution, rtol=1e-3, atol=1e-3 * np.abs(targets).max()
    )


def test_refit_comes_closer_than_the_other_ways_on_clips_that_it_has_not_seen(network):
    keep = {"conv1": np.arange(10), "conv2": np.arange(20), "conv3": np.arange(40)}
    expected = maps(network, OTHERS, 3)[:, keep["conv3"]]
    error = {
        method: float((maps(compensated(network, keep, method), OTHERS, 3) - expected).pow(2).mean())
        for method in COMPENSATIONS
    }
    assert min(error, key=error.get) == "refitted"
    assert error["recalibrated"] < error["removed"]


def test_recalibration_restores_mean_and_variance(network):
    keep = {"conv1": np.arange(4)}
    small = compensated(network, keep, "recalibrated")
    before, now = (dict(m.stages(torch.from_numpy(WAVEFORMS)))["bn2"] for m in (network, small))
    torch.testing.assert_close(now.mean((0, 2)), before.mean((0, 2)), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(now.var((0, 2)), before.var((0, 2)), rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("method", ["merged", "refitted"])
def test_the_norm_behind_takes_what_a_layer_without_a_bias_cannot(network, method):
    """Against the same network with biases of zero."""
    with_biases = deepcopy(network)
    with_biases.conv2.bias.zero_()
    without = deepcopy(with_biases)
    without.conv2.bias = None
    keep = {"conv1": np.arange(5)}
    expected = maps(compensated(with_biases, keep, method), OTHERS, 2)
    torch.testing.assert_close(
        maps(compensated(without, keep, method), OTHERS, 2), expected, rtol=1e-4, atol=1e-4
    )


def test_a_map_that_has_become_constant_keeps_its_mean(network):
    model = deepcopy(network)
    model.conv2.weight[0, :4] = 0  # map 0 of conv2 hears the removed maps alone
    small = compensated(model, {"conv1": np.arange(4)}, "recalibrated")
    before, now = (dict(m.stages(torch.from_numpy(WAVEFORMS)))["bn2"][:, 0] for m in (model, small))
    assert torch.isfinite(now).all()
    torch.testing.assert_close(now.mean(), before.mean(), rtol=1e-3, atol=1e-3)


def test_the_full_network_is_left_alone_and_the_result_is_repeatable(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    one, two = (compensated(network, {"conv1": [0, 1]}, "refitted") for _ in range(2))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    removed = prune_network(network, {"conv1": [0, 1]})
    assert torch.equal(one.conv1.weight, removed.conv1.weight)


def test_what_does_not_fit_is_refused(network):
    with pytest.raises(ParameterError, match=r"unknown compensation 'refited' \(did you mean 'refitted'"):
        compensated(network, {}, "refited")
    with pytest.raises(DataError, match=r"waveforms have shape \(2, 100\)"):
        layer_activations(network, np.zeros((2, 100), np.float32))
