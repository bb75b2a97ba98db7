import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from zoo import ZOO, build, example

from dha_utils.core.errors import ParameterError
from dha_utils.networks.activations import layer_activations, windows
from dha_utils.networks.base import Network
from dha_utils.pruning.compensation import compensate
from dha_utils.pruning.graphs import ChannelGraph, cut
from dha_utils.pruning.refitting import fit, refit

NETWORKS = [(name, with_norm) for name in ZOO for with_norm in (True, False)]


def every_other(name: str, network: nn.Module) -> dict[str, np.ndarray]:
    """Masks that keep channels 0, 2, 4, ... of all layers but the last."""
    readers = ChannelGraph(network, example(name)).readers
    return {layer: np.arange(len(part.weight)) % 2 == 0 for layer, part in [*readers.items()][:-1]}


@pytest.mark.parametrize(("name", "with_norm"), NETWORKS)
def test_maps_that_are_there_twice_go_at_no_cost(name, with_norm):
    network = build(name, with_norm)
    masks = every_other(name, network)
    for layer, part in network.named_modules():
        if layer in masks or isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in part.state_dict().values():
                if tensor.ndim:
                    tensor[1::2] = tensor[0::2]
    # Where a linear layer reads a hundred values, it takes more clips than that.
    x, others = example(name, 150 if name in ("vgg", "grouped") else 20), -example(name, 5).flip(-1)
    whole, removed = network(others).detach(), cut(network, x[:2], masks)(others)
    small = refit(network, x, masks, ridge=1e-7)
    scale = float(whole.abs().max())
    torch.testing.assert_close(small(others), whole, rtol=1e-3, atol=1e-3 * scale)
    assert (removed - whole).abs().max() > 0.05 * scale
    small = refit(network, x[:2], masks)  # of few clips: what is there is held on to
    assert (small(others) - whole).abs().mean() < (removed - whole).abs().mean()


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_a_network_of_ones_own_is_refitted_up_to_its_head(name):
    """The first a chain, by our own surgery, the second not."""
    x, others = example(name, 100).numpy(), -example(name, 5).flip(-1)
    network = Network.wrap(build(name), x.shape[1:])
    assert network.is_chain == (name == "vgg")
    keep = {layer: np.arange(width) < 0.6 * width for layer, width in network.widths.items()}
    activations = layer_activations(network, x)
    error = {}
    for method in ("removed", "refitted"):
        small = compensate(network, keep, activations, method)
        error[method] = float((small(others) - network(others)).pow(2).mean())
    assert error["refitted"] < 0.5 * error["removed"]
    if name == "resnet":
        with pytest.raises(ParameterError, match="merged is for chains, and network 'Resnet' is none"):
            compensate(network, keep, activations, "merged")


def test_the_head_of_a_chain_is_fitted_by_least_squares():
    """Against numpy.linalg.lstsq, on what reaches it."""
    network = Network.wrap(
        nn.Sequential(nn.Conv1d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 2)), (1, 7)
    )
    x = np.random.default_rng(0).normal(size=(80, 1, 7)).astype(np.float32)
    small = compensate(network, {"0": [0, 2, 5]}, layer_activations(network, x), ridge=1e-9)
    inputs = np.hstack([small.module[:3](torch.from_numpy(x)).double().numpy(), np.ones((80, 1))])
    solution, *_ = np.linalg.lstsq(inputs, network(torch.from_numpy(x)).double().numpy(), rcond=None)
    np.testing.assert_allclose(small(torch.from_numpy(x)).numpy(), inputs @ solution, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "with_norm"), NETWORKS)
def test_nothing_removed_changes_nothing(name, with_norm):
    network, x = build(name, with_norm), example(name)
    same = refit(network, x, {})
    before = network.state_dict()
    assert all(torch.equal(tensor, before[key]) for key, tensor in same.state_dict().items())


def test_what_reads_a_residual_way_is_fitted_by_least_squares():
    """Against numpy.linalg.lstsq, on what reaches the head of a cut network."""
    network, x = build("resnet"), example("resnet", 40)
    keep = {"stage2.1": np.arange(12) < 5}
    small = refit(network, x, keep, ridge=1e-9)
    seen = []
    small.head.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    given = small(x)
    inputs = np.hstack([seen[0].double().numpy(), np.ones((40, 1))])
    solution, *_ = np.linalg.lstsq(inputs, network(x).detach().double().numpy(), rcond=None)
    np.testing.assert_allclose(given.detach().numpy(), inputs @ solution, rtol=1e-3, atol=1e-3)


def test_the_ridge_pulls_towards_what_is_there():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    weight, bias = rng.normal(size=(2, 4)), rng.normal(size=2)
    pairs = [
        tuple(torch.tensor(part[rows]) for part in (inputs, targets)) for rows in (slice(20), slice(20, 50))
    ]
    got = fit(torch.tensor(weight), torch.tensor(bias), pairs, 0.7)
    # The pull as further observations: each input alone, with what its weight gives as target.
    pull = np.sqrt(0.7 * (inputs**2).sum(0))
    rows = np.vstack([np.hstack([inputs, np.ones((50, 1))]), np.hstack([np.diag(pull), np.zeros((4, 1))])])
    solution, *_ = np.linalg.lstsq(rows, np.vstack([targets, pull[:, None] * weight.T]), rcond=None)
    np.testing.assert_allclose(torch.cat([got[0], got[1][:, None]], 1).numpy().T, solution, atol=1e-10)


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv1d(3, 4, 5, stride=2, dilation=3, padding=4),
        nn.Conv1d(3, 4, 5, dilation=2, padding="same"),
        nn.Conv2d(3, 4, (3, 5), stride=(1, 2), padding=(2, 0), dilation=(1, 2)),
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 4, 2, padding="valid"),
    ],
    ids=str,
)
def test_windows_are_what_any_convolution_sees(conv):
    x = torch.randn(9, 3, *[20] * (conv.weight.ndim - 2))
    got = torch.cat([F.linear(w, conv.weight.flatten(1), conv.bias) for w in windows(x, conv)])
    torch.testing.assert_close(got, conv(x).movedim(1, -1).reshape(len(got), -1), rtol=1e-4, atol=1e-5)


def test_inputs_that_are_always_zero_leave_the_weights_as_they_are():
    weight, bias = torch.tensor([[2.0], [3.0]]), torch.zeros(2)
    targets = torch.tensor([[1.0, -1.0], [3.0, 1.0]])
    fitted, offset = fit(weight, bias, [(torch.zeros(2, 1), targets)])
    torch.testing.assert_close(fitted, weight)
    torch.testing.assert_close(offset, targets.mean(0))
