import numpy as np
import pytest
import torch
from torch import nn

from dha_utils.core.errors import ParameterError
from dha_utils.networks.base import Network
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.shrinking import shrink_network

X = np.random.default_rng(0).normal(size=(40, 1, 8, 8)).astype(np.float32)
Y = np.arange(40) % 2


@pytest.fixture(scope="module")
def network():
    """Every map of the first layer is there twice: half of them are enough."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    with torch.no_grad():
        module[0].weight[4:], module[0].bias[4:] = module[0].weight[:4], module[0].bias[:4]
    return Network.wrap(module, (1, 8, 8))


def test_what_is_there_twice_is_removed_for_nothing(network):
    x = torch.from_numpy(X)
    small = shrink_network(network, X, size="4-4")
    assert small.widths == {"0": 4, "2": 4}
    error = (small(x) - network(x)).pow(2).mean() / network(x).var()
    assert error < 0.02  # the ridge holds the kernels back a little
    drawn = shrink_network(network, X, Y, size="4-4", criterion="random", seed=1, compensation="removed")
    assert (drawn(x) - network(x)).pow(2).mean() / network(x).var() > 2 * error


def test_a_budget_is_kept_within_and_labels_are_asked_for(network):
    small = shrink_network(network, X, Y, size=0.5, criterion="anova")
    full = count_macs(network)["macs"].sum()
    assert 0.25 * full < count_macs(small)["macs"].sum() <= 0.5 * full
    with pytest.raises(
        ParameterError, match="criterion 'anova', or that of widths, is computed from responses: give y"
    ):
        shrink_network(network, X, criterion="anova")
