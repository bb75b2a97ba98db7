import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dha_utils.complexity import count_classifier_macs, count_macs, saving, savings_table
from dha_utils.ensemble import Layer, LayerEnsemble
from dha_utils.errors import ParameterError
from dha_utils.pruning import prune_network
from dha_utils.soundnet import SoundNet


@pytest.mark.parametrize("n_samples", [4_574, 110_250, 220_500, 661_500])
@pytest.mark.parametrize("keep", [{}, {"conv1": range(5), "conv4": range(17), "conv7": range(100)}])
def test_equal_to_the_counts_of_torch(random_network, n_samples, keep):
    model = prune_network(random_network, keep)
    heads = n_samples > 209_374
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, n_samples)) if heads else list(model.taps(torch.zeros(1, n_samples)))
    table = count_macs(model, n_samples, heads=True)
    assert 2 * table["macs"].sum() == counter.get_total_flops()
    own = sum(p.numel() for p in model.parameters()) + 2 * sum(layer.maps_out for layer in model.layers)
    assert table["parameters"].sum() == own


def test_heads_count_only_where_asked_for():
    assert count_macs(SoundNet(), 661_500)["layer"].tolist() == [f"conv{n}" for n in range(1, 8)]
    table = count_macs(SoundNet(), 110_250, heads=True)
    assert table["macs"].tolist()[-2:] == [0, 0]  # 4 positions are fewer than the heads' kernel of 8


def test_too_short_a_clip_is_refused():
    with pytest.raises(ParameterError, match="n_samples is 4573, the network needs at least 4574"):
        count_macs(SoundNet(), 4_573)


def test_classifier():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 9)), np.repeat([0, 1, 2], 20)
    ensemble = LayerEnsemble([Layer("bn6", 4, 3, 1.0), Layer("bn7", 5, 2, 1.0)]).fit(x, y)
    table = count_classifier_macs(ensemble)
    vectors = [
        c[-1].calibrated_classifiers_[0].estimator.support_vectors_.shape[0] for c in ensemble.classifiers_
    ]
    assert table["support_vectors"].tolist() == vectors
    # A product of 4 maps, 3 multiplications for the power, 2 coefficients (pairs with the other classes) per vector.
    assert table["macs"].tolist() == [vectors[0] * (4 + 3 + 2), vectors[1] * (5 + 2 + 2)]


def test_saving():
    assert saving([100], [18]) == pytest.approx(0.82)


def test_savings():
    table = savings_table(
        0.11, classifiers=1_000, kept_classifiers=100, rate=22_050, durations=(5, 30)
    ).set_index("what")
    ignoring = table.loc["ignoring 89 % of the maps"]
    assert ignoring["network_5"] == 0  # no convolution is saved
    total = count_macs(SoundNet(), 110_250)["macs"].sum()
    assert ignoring["all_5"] == pytest.approx(900 / (total + 1_000))
    cap = table.loc["all that conv1 and conv2, left whole, leave to be saved", "network_5"]
    assert table.loc["removing 89 % of the filters of conv3 to conv7", "network_5"] < cap
    assert table.loc["removing those that p-Snet removes", "network_5"] == pytest.approx(0.171, abs=0.001)
