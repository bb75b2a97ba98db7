import torch
from torch import nn

from dha_utils.pruning import distilling
from dha_utils.pruning.distilling import distil


def test_a_network_of_the_same_kind_learns_what_another_says(monkeypatch):
    monkeypatch.setattr(distilling, "LEARNING_RATE", 0.05)
    torch.manual_seed(0)
    full, small = (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)).eval() for _ in range(2))
    x, other = torch.randn(200, 6), torch.randn(50, 6)
    with torch.no_grad():
        wanted, before = full(x).sigmoid(), (small(other) - full(other)).square().mean()
    statistics = small[1].running_mean.clone()
    distil(small, small, x, wanted, epochs=40)
    with torch.no_grad():
        assert (small(other) - full(other)).square().mean() < 0.05 * before
    assert torch.equal(small[1].running_mean, statistics)
    assert not any(parameter.requires_grad for parameter in small.parameters())


def test_the_order_of_inputs_is_drawn_with_the_seed():
    x, wanted, ends = torch.randn(120, 3), torch.rand(120, 2), []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        network = nn.Linear(3, 2)
        distil(network, network, x, wanted, epochs=2, seed=seed)
        ends.append(network.weight)
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])
