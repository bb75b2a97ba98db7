import numpy as np
import pytest

from dha_utils.core.errors import ParameterError
from dha_utils.networks.soundnet import SoundNet
from dha_utils.pruning.allocation import allocate
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.surgery import prune_network

MODEL = SoundNet()
LINEAR = {layer: np.linspace(1, 0, n + 1) for layer, n in MODEL.widths.items()}


@pytest.mark.parametrize("budget", [1.0, 0.83, 0.4, 0.1])
def test_budget_is_kept_and_used(budget):
    counts = allocate(MODEL, LINEAR, 110_250, budget)
    small = prune_network(MODEL, {layer: range(n) for layer, n in counts.items()})
    share = count_macs(small, 110_250)["macs"].sum() / count_macs(MODEL, 110_250)["macs"].sum()
    assert budget - 0.07 < share <= budget  # the last step is a map of conv1 or conv2: 1/16 of half of all


def test_all_of_the_budget_is_the_full_network():
    assert allocate(MODEL, LINEAR, 110_250, 1.0) == MODEL.widths


def test_maps_that_others_explain_go_first():
    curves = LINEAR | {"conv4": np.r_[np.linspace(1, 0, 9), np.zeros(120)]}  # 8 maps explain all 128
    counts = allocate(MODEL, curves, 110_250, 0.96)
    assert 8 <= counts.pop("conv4") < 128
    assert list(counts.values()) == [16, 32, 64, 256, 512, 1024]


def test_smaller_budgets_give_smaller_layers():
    sizes = [list(allocate(MODEL, LINEAR, 110_250, budget).values()) for budget in (0.8, 0.5, 0.2)]
    assert all(a >= b >= c for a, b, c in zip(*sizes, strict=True))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (0, "budget is 0, expected a fraction"),
        (1.5, "budget is 1.5"),
        (
            0.001,
            "a budget of 0.001 cannot be had: 1-1-2-4-8-16-32 maps, the fewest, take 0.02.. of the computation; give",
        ),
    ],
)
def test_impossible_budgets(budget, message):
    with pytest.raises(ParameterError, match=message):
        allocate(MODEL, LINEAR, 110_250, budget)
