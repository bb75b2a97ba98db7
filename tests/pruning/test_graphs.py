import ast
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import COUPLED, READ, ZOO, build, example

from dha_utils.core.errors import ParameterError
from dha_utils.pruning import couplings
from dha_utils.pruning.graphs import ChannelGraph, cut

NETWORKS = [(name, with_norm) for name in ZOO for with_norm in (True, False)]
GROUPS = {"conv2": 2, "conv3": 3}


def some_masks(name: str, share: float = 0.5) -> dict[str, np.ndarray]:
    """One mask for every layer whose maps somebody reads; those of the grouped one suit its groups."""
    network, rng = build(name), np.random.default_rng(0)
    masks = {}
    for layer in {source for sources in READ[name].values() for source in sources}:
        part = network.get_submodule(layer)
        width = len(part.weight)
        masks[layer] = rng.permutation(np.arange(width) < max(1, round(share * width)))
    if name == "grouped":  # every group keeps as many, but not the same
        masks = {
            "conv1": np.array([1, 0, 1, 0, 0, 0, 1, 1], bool),
            "conv2": np.array([1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0], bool),
            "conv3": np.array([1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 1, 1], bool),
        }
    return masks


def without_contributions(name: str, network: nn.Module, masks: dict[str, np.ndarray]) -> nn.Module:
    """The whole network, in which every weight that reads a removed map is zero."""
    whole = deepcopy(network)
    for reader, sources in READ[name].items():
        weight = whole.get_submodule(reader).weight.data
        mask = np.concatenate([masks[source] for source in sources])
        if isinstance(whole.get_submodule(reader), nn.Linear):
            mask = np.repeat(mask, weight.shape[1] // len(mask))
        for rows, columns in zip(
            weight.chunk(GROUPS.get(reader, 1)), np.split(mask, GROUPS.get(reader, 1)), strict=True
        ):
            rows[:, torch.from_numpy(~columns)] = 0
    return whole


@pytest.mark.parametrize(("name", "with_norm"), NETWORKS)
def test_equal_to_the_whole_network_without_the_contributions_of_removed_maps(name, with_norm):
    network, x, masks = build(name, with_norm), example(name), some_masks(name)
    small = cut(network, x, masks)
    expected = without_contributions(name, network, masks)(x)
    torch.testing.assert_close(small(x), expected, rtol=1e-5, atol=1e-5)
    assert (expected - network(x)).abs().max() > 1e-2  # something was removed
    for layer, mask in masks.items():
        assert len(small.get_submodule(layer).weight) == mask.sum()


@pytest.mark.parametrize("name", ZOO)
def test_what_every_module_gives_is_what_it_gave_at_the_maps_that_stay(name):
    network, x, masks = build(name), example(name), some_masks(name)
    left = ChannelGraph(network, x).combine(masks).outputs
    given: list[dict] = [{}, {}]
    for into, whole in zip(
        given, (without_contributions(name, network, masks), cut(network, x, masks)), strict=True
    ):
        for module in left:
            whole.get_submodule(module).register_forward_hook(
                lambda _, __, out, into=into, module=module: into.update({module: out.detach()})
            )
        whole(x)
    for module, mask in left.items():
        torch.testing.assert_close(
            given[1][module], given[0][module][:, torch.from_numpy(mask)], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize(("name", "with_norm"), NETWORKS)
def test_tensors_are_slices_and_the_network_is_left_alone(name, with_norm):
    network, x = build(name, with_norm), example(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    small = cut(network, x, some_masks(name))
    assert not small.training
    values = {key: set(tensor.flatten().tolist()) for key, tensor in before.items()}
    for key, tensor in small.state_dict().items():
        assert set(tensor.flatten().tolist()) <= values[key]
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    whole = cut(network, x, {})
    assert all(torch.equal(tensor, before[key]) for key, tensor in whole.state_dict().items())
    assert torch.equal(whole(x), network(x))


@pytest.mark.parametrize("name", ZOO)
def test_groups_are_those_of_the_architecture(name):
    network = build(name)
    groups = {frozenset(group) for group in ChannelGraph(network, example(name)).groups}
    coupled = {frozenset(group) for group in COUPLED.get(name, [])}
    layers = {n for n, m in network.named_modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)}
    assert groups == coupled | {frozenset([layer]) for layer in layers.difference(*coupled)}


@pytest.mark.parametrize("name", COUPLED)
def test_a_coupled_channel_goes_only_if_all_masks_let_it_go(name):
    network, x, rng = build(name), example(name), np.random.default_rng(1)
    for group in COUPLED[name]:
        width = len(network.get_submodule(group[0]).weight)
        masks = {layer: rng.random(width) < 0.4 for layer in group}
        union = np.any([*masks.values()], axis=0)
        left = ChannelGraph(network, x).combine(masks).outputs
        assert all(np.array_equal(left[layer], union) for layer in group)
        one = ChannelGraph(network, x).combine({group[1]: masks[group[1]]}).outputs  # the others follow it
        assert all(np.array_equal(one[layer], masks[group[1]]) for layer in group)


def test_any_module_can_be_named_by_what_it_gives():
    network, x = build("resnet"), example("resnet")
    graph = ChannelGraph(network, x)
    mask = np.arange(8) < 3
    by_conv = graph.combine({"stem": mask}).outputs
    for module in ("norm", "stage1.0", "stage1.1.shortcut", "stage1"):
        assert all(np.array_equal(graph.combine({module: mask}).outputs[n], m) for n, m in by_conv.items())
    dense = ChannelGraph(build("densenet"), example("densenet"))
    last = np.arange(18) >= 6  # of what block1 gives, the maps of the stem are the first six
    assert dense.combine({"block1": last, "stem": [2, 4]}).outputs["stem"].tolist() == [0, 0, 1, 0, 1, 0]


class Again(nn.Module):
    """One activation for all, and no bias: of noughts comes nought."""

    def __init__(self, mixing: bool):
        super().__init__()
        self.a, self.b = (nn.Conv2d(n, 6, 1, bias=False) for n in (1, 6))
        self.relu, self.mixing = nn.ReLU(), mixing

    def forward(self, x):
        x = self.relu(self.a(x))
        return self.relu(self.b(x - x.mean(1, keepdim=True) if self.mixing else x))


def test_what_is_called_again_is_named_by_its_number():
    left = (
        ChannelGraph(Again(False), torch.zeros(1, 1, 4, 4)).combine({"relu": [0, 1], "relu_1": [2]}).outputs
    )
    assert np.flatnonzero(left["a"]).tolist() == [0, 1]
    assert np.flatnonzero(left["b"]).tolist() == [2]


def test_an_example_of_noughts_does_not_hide_a_wrong_cut():
    with pytest.raises(ParameterError, match="does something with its maps that Torch-Pruning does not see"):
        cut(Again(True), torch.zeros(1, 1, 4, 4), {"a": [0, 1]})
    assert cut(Again(False), torch.zeros(1, 1, 4, 4), {"a": [0, 1]}).b.in_channels == 2


def test_groups_of_a_convolution_are_made_of_one_size():
    network, x = build("grouped"), example("grouped")
    masks = {"conv1": np.array([0, 0, 1, 0, 1, 1, 0, 1], bool), "conv2": np.arange(12) >= 6}
    left = ChannelGraph(network, x).combine(masks)
    assert left.outputs["conv1"].tolist() == [1, 1, 1, 0, 1, 1, 0, 1]
    # conv2 gives 0 and 6 maps, and its first group is read from: all stay.
    assert left.outputs["conv2"].all()
    small = cut(network, x, masks)
    assert small.conv2.weight.shape == (12, 3, 5)
    assert small.conv2.groups == 2


def test_a_group_of_which_nothing_is_left_vanishes():
    network, x = build("grouped"), example("grouped")
    masks = {"conv1": np.arange(8) >= 4, "conv2": np.arange(12) >= 8, "conv3": np.arange(12) >= 8}
    small = cut(network, x, masks)
    assert (small.conv2.groups, small.conv2.in_channels, small.conv2.out_channels) == (1, 4, 4)
    assert (small.conv3.groups, small.conv3.in_channels, small.conv3.out_channels) == (1, 4, 4)
    expected = without_contributions("grouped", network, masks)(x)
    torch.testing.assert_close(small(x), expected, rtol=1e-5, atol=1e-5)


class Scaled(nn.Module):
    """Maps with a learned scale each, of which two sets are returned."""

    def __init__(self):
        super().__init__()
        self.conv, self.deep = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 4, 1)
        self.scale = nn.Parameter(torch.arange(6.0)[:, None, None])

    def forward(self, x):
        maps = F.relu(self.conv(x)) * self.scale
        return maps, self.deep(maps)


def test_what_is_returned_is_what_stays_and_a_scale_of_its_own_goes_with_its_map():
    network, x = Scaled().eval(), torch.randn(2, 1, 8, 8)
    small = cut(network, x, {"conv": [1, 5], "deep": [0, 3]})
    maps, _ = network(x)
    assert small.scale.flatten().tolist() == [1, 5]
    torch.testing.assert_close(small(x)[0], maps[:, [1, 5]])
    expected = F.conv2d(maps[:, [1, 5]], network.deep.weight[:, [1, 5]], network.deep.bias)[:, [0, 3]]
    torch.testing.assert_close(small(x)[1], expected)


class Recurrent(nn.Module):
    """What follows the second convolution is more than Torch-Pruning knows; what it gives is a dict."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = (
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 6, 3, padding=1),
        )
        self.layer_norm, self.rnn = nn.LayerNorm(48), nn.GRU(6 * 8, 5, batch_first=True)
        self.prelu = nn.PReLU()

    def forward(self, x):
        x = F.max_pool2d(self.b(self.prelu(self.norm(self.a(x)))), 2)
        states, _ = self.rnn(self.layer_norm(x.permute(0, 3, 1, 2).flatten(2)))
        return {"logits": states[:, -1], "axes": 3}


def test_layers_before_what_cannot_be_followed_can_be_cut():
    network, x = Recurrent().eval(), torch.randn(2, 1, 16, 16)
    small = cut(network, x, {"a": [1, 4, 5]})
    whole = deepcopy(network)
    whole.b.weight.data[:, [0, 2, 3, 6, 7]] = 0
    torch.testing.assert_close(small(x)["logits"], whole(x)["logits"], rtol=1e-5, atol=1e-5)
    assert small.a.weight.shape == (3, 1, 3, 3)
    with pytest.raises(ParameterError, match="Torch-Pruning cannot follow the maps of b: keep them all"):
        cut(network, x, {"b": [0, 1]})


class Upwards(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.down = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 6, 3, 2, 1)
        self.up, self.out = nn.ConvTranspose2d(6, 4, 2, 2), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = self.a(x)
        return self.out(torch.cat([x, self.up(self.down(x))], 1))


def test_beside_a_transposed_convolution_maps_can_be_removed_before_it_not():
    network, x = Upwards().eval(), torch.randn(2, 1, 8, 8)
    small = cut(network, x, {"a": [0, 3]})
    assert small.out.weight.shape == (2, 6, 1, 1)
    assert torch.equal(small.up.weight, network.up.weight)
    with pytest.raises(ParameterError, match="up is a ConvTranspose2d: of the maps that reach it none can"):
        cut(network, x, {"down": [0, 3]})


def test_layers_are_told_in_the_order_in_which_they_are_called():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Conv1d(4, 2, 1), nn.Conv1d(1, 4, 1)

        def forward(self, x):
            return self.last(self.first(x).relu())

    assert [*ChannelGraph(Backwards(), torch.randn(1, 1, 5)).readers] == ["first", "last"]


def test_a_cut_network_can_be_trained_and_cut_again():
    network, x = build("resnet"), example("resnet")
    once = cut(network, x, {"stem": [0, 2, 4, 6]})
    twice = cut(once, x, {"stem": [1, 2]})
    directly = cut(network, x, {"stem": [2, 4]})
    assert all(torch.equal(a, b) for a, b in zip(twice.parameters(), directly.parameters(), strict=True))
    twice.train()(x).sum().backward()
    assert all(p.grad is not None for p in twice.parameters())


def of(middle: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3), middle, nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()


class Counting(nn.Module):
    def forward(self, x):
        return x.reshape(len(x), 8, 14, 14)


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(1, keepdim=True)


@pytest.mark.parametrize(
    ("middle", "message"),
    [
        (nn.GroupNorm(2, 8), "1 is a GroupNorm: of the maps that reach it none can be removed"),
        (nn.LayerNorm([8, 14, 14]), "1 is a LayerNorm: of the maps that reach it none can be removed"),
        (nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 1)), "the weight of 1 is computed from other"),
        (Counting(), "Sequential cannot run with fewer maps, perhaps as its forward counts on their number"),
        (Mixing(), "does something with its maps that Torch-Pruning does not see"),
    ],
)
def test_what_cannot_be_cut_is_said(middle, message):
    with pytest.raises(ParameterError, match=message):
        cut(of(middle), torch.randn(2, 1, 16, 16), {"0": [0, 1, 2]})


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"stm": [0]}, r"unknown module 'stm' \(did you mean 'stem'"),
        ({"stem": [8]}, "keep of stem names channel 8, the layer has 0 to 7"),
        ({"stem": []}, "keep leaves stem empty"),
    ],
)
def test_masks_that_do_not_fit_are_refused(keep, message):
    with pytest.raises(ParameterError, match=message):
        cut(build("resnet"), example("resnet"), keep)


def test_an_example_that_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match=r"cannot follow Resnet on an example of shape \(3, 2, 16, 16\)"):
        cut(build("resnet"), torch.randn(3, 2, 16, 16), {})


def test_without_torch_pruning_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(ParameterError, match=r"to cut a Resnet, .* pip install torch-pruning"):
        cut(build("resnet"), example("resnet"), {})


def test_torch_pruning_is_imported_when_it_is_needed():
    imports = [
        node
        for node in ast.parse(Path(couplings.__file__).read_text()).body
        if isinstance(node, ast.ImportFrom)
    ]
    assert imports
    assert not any("torch_pruning" in node.module for node in imports)
