import numpy as np
import pytest
import torch

from dha_utils.core.errors import ParameterError
from dha_utils.core.paths import cache_dir
from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.networks.soundnet import load_soundnet
from dha_utils.networks.weights import FILE
from dha_utils.pruning.surgery import prune_network

KEEP = {"conv1": [0, 3, 5], "conv3": np.arange(64) % 2 == 0, "conv7": [1000, 2]}
WAVEFORMS = torch.sin(torch.arange(2 * 20_000.0) / 7).view(2, -1)


def silenced(model, keep):
    """A copy of the network in which removed maps are zero behind batch norm, as the reference for removal."""
    copy = type(model)()
    copy.load_state_dict(model.state_dict())
    for layer, kept in keep.items():
        norm = copy.get_submodule(layer.replace("conv", "bn"))
        mask = torch.zeros(norm.num_features, dtype=bool)
        mask[torch.as_tensor(np.flatnonzero(kept) if np.asarray(kept).dtype == bool else kept)] = True
        norm.weight.data[~mask], norm.bias.data[~mask] = 0, 0
    return copy.eval().requires_grad_(False)


def test_taps_equal_those_of_a_network_whose_removed_maps_are_silent(random_network):
    small, reference = prune_network(random_network, KEEP), silenced(random_network, KEEP)
    kept = {
        layer: np.sort(np.arange(999_999)[: len(k)][k] if np.asarray(k).dtype == bool else k)
        for layer, k in KEEP.items()
    }
    for (name, maps), (_, expected) in zip(
        small.features(WAVEFORMS), reference.features(WAVEFORMS), strict=True
    ):
        rows = kept.get(f"conv{name[-1]}", np.arange(expected.shape[1]))
        torch.testing.assert_close(maps, expected[:, rows], rtol=1e-4, atol=1e-4)


def test_forward_gives_both_heads(random_network):
    waveforms = torch.sin(torch.arange(220_000.0) / 7)[None]
    small, reference = prune_network(random_network, KEEP), silenced(random_network, KEEP)
    for logits, expected in zip(small(waveforms), reference(waveforms), strict=True):
        torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_keeping_everything_is_the_identity(random_network):
    for keep in ({}, {layer: np.ones(n, bool) for layer, n in random_network.widths.items()}):
        small = prune_network(random_network, keep)
        full = random_network.state_dict()
        assert all(torch.equal(tensor, full[name]) for name, tensor in small.state_dict().items())


def test_mask_and_indices_in_any_order_are_the_same_and_the_network_is_left_alone(random_network):
    before = {name: tensor.clone() for name, tensor in random_network.state_dict().items()}
    mask = np.zeros(64, bool)
    mask[[5, 1, 40]] = True
    by_mask, by_index = (prune_network(random_network, {"conv3": k}) for k in (mask, [40, 1, 5]))
    assert all(torch.equal(a, b) for a, b in zip(by_mask.parameters(), by_index.parameters(), strict=True))
    by_mask.conv1.weight.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in random_network.state_dict().items())


def test_a_pruned_network_can_be_pruned_again(random_network):
    once = prune_network(random_network, {"conv2": [4, 9, 17]})
    twice = prune_network(once, {"conv2": [0, 2]})
    expected = prune_network(random_network, {"conv2": [4, 17]})
    assert all(torch.equal(a, b) for a, b in zip(twice.parameters(), expected.parameters(), strict=True))


def test_psnet_is_a_slice_of_the_published_weights():
    if not (cache_dir() / FILE).is_file():
        pytest.skip("the weights are not in the cache: `dha fetch weights`")
    full = load_soundnet()
    kept = psnet_kept_filters()
    tensors, small = full.state_dict(), prune_network(full, kept)
    assert list(small.widths.values()) == [16, 32, 41, 56, 88, 235, 59]
    inputs = [[0], *kept.values()]
    for number, (layer, filters) in enumerate(kept.items()):
        kernel = tensors[f"{layer}.weight"].numpy()[np.ix_(filters, inputs[number])]
        assert np.array_equal(small.get_parameter(f"{layer}.weight").numpy(), kernel)
        assert np.array_equal(
            small.get_parameter(f"{layer}.bias").numpy(), tensors[f"{layer}.bias"].numpy()[filters]
        )
        norm = layer.replace("conv", "bn")
        for vector in ("weight", "bias", "running_mean", "running_var"):
            sliced = tensors[f"{norm}.{vector}"].numpy()[filters]
            assert np.array_equal(small.state_dict()[f"{norm}.{vector}"].numpy(), sliced)
    for head in ("conv8_objects", "conv8_scenes"):
        sliced = tensors[f"{head}.weight"].numpy()[:, inputs[7]]
        assert np.array_equal(small.get_parameter(f"{head}.weight").numpy(), sliced)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"conv9": [0]}, r"unknown layer 'conv9' \(did you mean"),
        ({"relu3": [0]}, "unknown layer 'relu3'"),
        ({"conv2": [3, 1, 3]}, "keep of conv2 names channel 3 more than once"),
        ({"conv2": [0, 32]}, "keep of conv2 names channel 32, the layer has 0 to 31"),
        ({"conv2": [-1]}, "keep of conv2 names channel -1"),
        ({"conv2": []}, "keep leaves conv2 empty"),
        ({"conv2": np.zeros(32, bool)}, "keep leaves conv2 empty"),
        ({"conv2": np.ones(31, bool)}, "the mask of conv2 has 31 entries, the layer has 32 maps"),
        ({"conv2": [0.5, 1.0]}, "keep of conv2 holds float64 numbers"),
        ({"conv2": 7}, r"keep of conv2 has shape \(\)"),
    ],
)
def test_what_does_not_fit_is_refused(random_network, keep, message):
    with pytest.raises(ValueError, match=message):
        prune_network(random_network, keep)


def test_a_network_that_pads_otherwise_is_refused(output_padded_network):
    with pytest.raises(
        ParameterError, match="padding 'released' is for extraction alone: prune one with 'input'"
    ):
        prune_network(output_padded_network, {"conv1": [0]})
