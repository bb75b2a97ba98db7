import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import dha_utils as dha
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_behind, load_network, network_behind, weights_sha256
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.surgery import prune_network


class Plain(nn.Module):
    """As most people write them: one ReLU for all, functions between, two linear layers behind flattening."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Conv2d(1, 4, 3, padding=1)  # a name that `Network` itself has
        self.second, self.norm = nn.Conv2d(4, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.hidden, self.out = nn.Linear(6 * 9, 5), nn.Linear(5, 3)

    def forward(self, x):
        x = self.relu(self.layers(2 * x - 1))
        x = F.max_pool2d(self.relu(self.norm(self.second(x))), 2)
        return self.out(torch.relu(self.hidden(x.view(x.size(0), -1))))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b, self.deep = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, groups=8)
        self.relu, self.out = nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x):
        x = self.relu(self.norm(self.a(x)))
        x = self.relu(self.b(x) + x)
        return self.out(self.relu(self.deep(x)).mean((2, 3)))


def one_dimensional():
    return nn.Sequential(
        nn.Sequential(nn.Conv1d(1, 5, 9, stride=2), nn.BatchNorm1d(5), nn.GELU(), nn.MaxPool1d(4)),
        nn.Sequential(nn.Conv1d(5, 7, 5), nn.Tanh(), nn.AdaptiveAvgPool1d(3)),
        nn.Flatten(), nn.Dropout(), nn.Linear(21, 2),
    )  # fmt: skip


def fully_convolutional():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Conv2d(6, 3, 1), nn.AdaptiveAvgPool2d(1)
    )  # fmt: skip


CASES = {
    "plain": (Plain, (1, 8, 8), {}, {"layers": [1, 3], "second": [0, 2, 5]}),
    "one-dimensional": (one_dimensional, (400,), {"rate": 8_000}, {"0.0": [0, 4], "1.0": [1, 2, 6]}),
    "fully convolutional": (fully_convolutional, (1, 8, 8), {}, {"0": [1], "2": [0, 5, 3]}),
}


def wrapped(case):
    make, shape, options, keep = CASES[case]
    torch.manual_seed(0)
    module = make()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return Network.wrap(module, shape, **options), keep


def inputs(network, n=5):
    return torch.randn(n, *network.shape, generator=torch.Generator().manual_seed(1))


def silenced(network, keep):
    """Return the whole module, in which nothing reads the maps that are not kept."""
    silent = copy.deepcopy(network)
    convs = list(silent.layers)
    readers = [silent.get_submodule(name) for name in (*convs[1:], silent.heads[0])]
    for conv, reader in zip(convs, readers, strict=True):
        width = silent.get_submodule(conv).out_channels
        weight = reader.weight.view(len(reader.weight), width, -1)
        weight[:, [c for c in range(width) if c not in keep[conv]]] = 0
    return silent


@pytest.mark.parametrize("case", CASES)
def test_a_smaller_chain_gives_what_the_whole_one_gives_without_what_was_removed(case):
    network, keep = wrapped(case)
    x = inputs(network)
    small = prune_network(network, keep)
    torch.testing.assert_close(small(x), silenced(network, keep)(x), rtol=1e-5, atol=1e-5)
    assert list(small.widths.values()) == [len(kept) for kept in keep.values()]
    torch.testing.assert_close(small.module(network.given(x)), small(x))  # for use without the package
    with FlopCounterMode(display=False) as counter:
        small(x[:1])
    assert 2 * count_macs(small, heads=True)["macs"].sum() == counter.get_total_flops()


def test_taps_are_the_activations_behind_convolutions():
    network, _ = wrapped("plain")
    assert network.taps == ("relu", "relu_1")
    assert network.before == ("mul", "sub")
    assert network.chain == ("layers", "relu", "second", "norm", "relu_1", "max_pool2d")
    assert network.heads == ("hidden", "out")
    assert network.tap_maps == {"relu": 4, "relu_1": 6}
    assert wrapped("one-dimensional")[0].taps == ("0.2", "1.1")
    assert wrapped("fully convolutional")[0].heads == ("4",)
    bare = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )
    assert Network.wrap(bare, (1, 8, 8)).taps == ("1",)


def test_maps_are_those_of_hooks():
    network, _ = wrapped("plain")
    x, seen = inputs(network), []
    network.module.relu.register_forward_hook(lambda *call: seen.append(call[-1].clone()))
    network.module(x)
    expected = list(seen)
    for (_, maps), wanted in zip(network.features(x), expected, strict=True):
        torch.testing.assert_close(maps, wanted)


def test_what_was_given_stays_as_it_was():
    module = Plain().train()
    network = Network.wrap(module, (1, 8, 8))
    assert module.training
    assert module.relu.inplace
    assert module.layers.weight.requires_grad
    assert not network.module.layers.weight.requires_grad


def test_a_network_with_branches_is_read():
    network = Network.wrap(Residual(), (1, 8, 8))
    assert network.taps == ("relu", "relu_1", "relu_2")
    assert [network.layer_of(tap) for tap in ("relu", "relu_2", "norm")] == ["a", "deep", "a"]
    with pytest.raises(
        ParameterError, match="maps of relu_1 of network 'Residual' are not those of one convolution"
    ):
        network.layer_of("relu_1")
    with pytest.raises(ParameterError, match=r"network 'Residual' is no chain \(what b sees"):
        network.check_prunable()
    x = inputs(network)
    a = network.module.norm(network.module.a(x)).relu()
    b = (network.module.b(a) + a).relu()
    maps = dict(network.features(x))
    torch.testing.assert_close(maps["relu_1"], b)
    assert maps["relu_2"].shape == (5, 8, 6, 6)
    with FlopCounterMode(display=False) as counter:
        network(x[:1])
    linear = 8 * 3
    assert 2 * (count_macs(network)["macs"].sum() + linear) == counter.get_total_flops()


def test_a_network_with_branches_is_cut_along_its_graph():
    pytest.importorskip("torch_pruning")
    network = Network.wrap(Residual(), (1, 8, 8))
    small = prune_network(network, {"a": [0, 2, 5], "b": [0, 2, 7], "deep": [0, 2, 5, 7]})
    assert small.tap_maps == {"relu": 4, "relu_1": 4, "relu_2": 4}
    assert small(inputs(network)).shape == (5, 3)


def test_shapes_that_do_not_fit():
    with pytest.raises(
        ParameterError, match=r"'Plain' cannot take an input of shape \(1, 9, 9, 9\): give another shape"
    ):
        Network.wrap(Plain(), (1, 9, 9, 9))
    assert Network.wrap(nn.Conv2d(1, 3, 3), (1, 8, 8)).taps == ("0",)
    with pytest.raises(ParameterError, match="'Linear' calls no Conv1d or Conv2d"):
        Network.wrap(nn.Linear(3, 3), (3,))
    with pytest.raises(
        ParameterError, match=r"unknown tap 'relu1' \(did you mean 'relu'\?\)|unknown tap 'relu1'"
    ):
        Network.wrap(Plain(), (1, 8, 8), taps=["relu1"])
    with pytest.raises(ParameterError, match=r"shape is \(1, 8, 8\), expected the number of samples alone"):
        Network.wrap(Plain(), (1, 8, 8), rate=8_000)
    network, _ = wrapped("plain")
    with pytest.raises(DataError, match=r"inputs have shape \(2, 1, 4, 4\), expected \(clips, 1, 8, 8\)"):
        network.features(torch.zeros(2, 1, 4, 4)).__next__()


def test_a_head_that_mixes_maps_is_said():
    class Mixed(Plain):
        def forward(self, x):
            x = self.relu(self.norm(self.second(self.relu(self.layers(x)))))
            return self.out(self.hidden(F.max_pool2d(x, 2).cumsum(1).flatten(1)))

    network = Network.wrap(Mixed(), (1, 8, 8))
    with pytest.raises(
        ParameterError, match="hidden of network 'Mixed' does not read the maps of second one by one"
    ):
        prune_network(network, {"second": [1]})


def test_sounds_are_prepared():
    module = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())
    network = dha.Network.wrap(
        module, (512,), rate=8_000, prepare=lambda x: x.unfold(1, 64, 32).unsqueeze(1), name="own"
    )
    assert network.name == "own"
    assert network.shapes(1_024)["1"] == (3, 29, 62)
    assert network.check_duration(None, 8_000) == 0.064


def test_threads_do_not_see_one_another():
    from concurrent.futures import ThreadPoolExecutor

    network = Network.wrap(Residual(), (1, 8, 8))
    parts = [inputs(network) * scale for scale in np.linspace(0.1, 2, 16)]
    alone = [dict(network.features(part)) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda part: dict(network.features(part)), parts))
    for one, other in zip(alone, together, strict=True):
        for tap, maps in one.items():
            torch.testing.assert_close(other[tap], maps)


CODE = """
import torch
import dha_utils as dha

def build():
    torch.manual_seed({seed})
    return dha.Network.wrap(torch.nn.Sequential(torch.nn.Conv1d(1, 3, 5), torch.nn.ReLU()), (50,), rate=8_000)

def number():
    return 3

def broken():
    return 1 / 0
"""


def test_a_function_of_a_file_makes_a_network(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(CODE.format(seed=0))
    monkeypatch.chdir(tmp_path)
    network = load_network("mine.py:build")
    assert network.name == f"{tmp_path}/mine.py:build"
    assert load_network("mine.py:build") is network
    provenance = {"network": network.name, "parameters": {}, "weights_sha256": weights_sha256(network)}
    assert network_behind(provenance) is network
    assert load_behind(provenance) is network
    (tmp_path / "mine.py").write_text(CODE.format(seed=1))
    with pytest.raises(
        DataError, match=r"mine.py:build: has other weights than the network of the responses"
    ):
        load_behind(provenance)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("none.py:build", DataError, r"none.py: no such file; expected a function that makes a network"),
        (
            "mine.py:bild",
            ParameterError,
            r"mine.py:bild: AttributeError: module 'mine' has no attribute 'bild'",
        ),
        ("mine.py:number", ParameterError, r"mine.py:number returns a int: return dha.Network.wrap\(module"),
        ("mine.py:broken", ParameterError, r"mine.py:broken: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_makes_no_network_is_said(tmp_path, source, error, message):
    (tmp_path / "mine.py").write_text(CODE.format(seed=0))
    with pytest.raises(error, match=message):
        load_network(f"{tmp_path}/{source}")
