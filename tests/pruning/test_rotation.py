"""Components that hold everything change nothing; a few hold more than any few maps."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from dha_utils.networks.activations import layer_activations
from dha_utils.networks.base import Network
from dha_utils.pruning.compensation import compensate
from dha_utils.pruning.rotation import _projection, rotated_maps

RNG = np.random.default_rng(0)
X, ASKED = RNG.normal(size=(2, 60, 1, 8, 8)).astype(np.float32)


def said_by(network, counts):
    *_, (_, said) = rotated_maps(network, layer_activations(network, X), ASKED, counts)
    return said


@pytest.fixture
def module():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3),
    ).eval()  # fmt: skip


def test_all_components_are_all_that_there_is(module):
    network = Network.wrap(module, (1, 8, 8))
    before = {name: value.clone() for name, value in network.module.state_dict().items()}
    said = said_by(network, network.widths)
    torch.testing.assert_close(said, module(torch.from_numpy(ASKED)), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.module.state_dict().items())


def test_maps_of_few_components_lose_nothing(module):
    with torch.no_grad():  # filters 3 to 5 are multiples of the first three, so are their maps after a ReLU
        module[0].weight[3:] = 2 * module[0].weight[:3]
        module[0].bias[3:] = 2 * module[0].bias[:3]
    network = Network.wrap(module, (1, 8, 8))
    first, second = network.widths
    said = said_by(network, {first: 3, second: 8})
    torch.testing.assert_close(said, module(torch.from_numpy(ASKED)), rtol=1e-3, atol=1e-3)
    less = said_by(network, {first: 2, second: 8})
    assert (less - module(torch.from_numpy(ASKED))).abs().max() > 0.01


def test_no_maps_hold_more_than_as_many_components(module):
    maps = module[:3](torch.from_numpy(X)).detach()
    flat = maps.transpose(0, 1).flatten(1).double().numpy()
    flat -= flat.mean(axis=1, keepdims=True)
    lost = float((_projection(maps, 2)(maps) - maps).square().sum())
    assert lost == pytest.approx((np.linalg.svd(flat, compute_uv=False)[2:] ** 2).sum(), rel=1e-4)
    for pair in combinations(range(6), 2):
        made = np.linalg.lstsq(flat[[*pair]].T, flat.T, rcond=None)[0]
        assert lost < ((flat[[*pair]].T @ made - flat.T) ** 2).sum()


def test_they_say_more_of_the_whole_network_than_maps_drawn(module):
    network = Network.wrap(module, (1, 8, 8))
    first, second = network.widths
    wanted = module(torch.from_numpy(ASKED))
    said = said_by(network, {first: 3, second: 4})
    keep = {first: [0, 1, 2], second: [0, 1, 2, 3]}
    small = compensate(network, keep, layer_activations(network, X))
    assert (said - wanted).square().mean() < (small(torch.from_numpy(ASKED)) - wanted).square().mean()


def test_a_tap_is_seen_in_components_of_its_own_maps(module):
    network = Network.wrap(module, (1, 8, 8), taps=["0", "2", "5"])
    first, second = network.widths
    activations = layer_activations(network, X)
    wanted = dict(network.features(torch.from_numpy(ASKED)))
    whole = dict(rotated_maps(network, activations, ASKED, network.widths))
    assert list(whole)[:3] == ["0", "2", "5"]
    for tap, maps in wanted.items():
        torch.testing.assert_close(whole[tap], maps, rtol=1e-4, atol=1e-4)
    few = dict(rotated_maps(network, activations, ASKED, {first: 2, second: 8}))
    for tap in ("0", "2"):
        covariance = few[tap].transpose(0, 1).flatten(1).cov()
        assert torch.linalg.matrix_rank(covariance, tol=1e-4) == 2
    project = _projection(module[:1](torch.from_numpy(X)).detach(), 2)
    torch.testing.assert_close(few["0"], project(wanted["0"]), rtol=1e-4, atol=1e-4)
