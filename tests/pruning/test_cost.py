import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from zoo import ZOO, build, example

from dha_utils.core.errors import ParameterError
from dha_utils.evaluation.ensemble import Layer, LayerEnsemble
from dha_utils.networks.base import Network
from dha_utils.networks.registry import outline
from dha_utils.networks.soundnet import TAP_MAPS, SoundNet
from dha_utils.pruning.cost import (
    count_classifier_macs,
    count_macs,
    kept_filters,
    needed_filters,
    pooling_additions,
    saving,
    savings_table,
)
from dha_utils.pruning.graphs import ChannelGraph, cut
from dha_utils.pruning.surgery import prune_network

RNG = np.random.default_rng(0)
WIDTHS = list(SoundNet().widths.values())
MASKS = {tap: RNG.random(n) < 0.11 for tap, n in TAP_MAPS.items()}


@pytest.mark.parametrize("n_samples", [4_574, 110_250, 220_500, 661_500])
@pytest.mark.parametrize("keep", [{}, {"conv1": range(5), "conv4": range(17), "conv7": range(100)}])
def test_equal_to_the_counts_of_torch(random_network, n_samples, keep):
    model = prune_network(random_network, keep)
    heads = n_samples > 209_374
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, n_samples)) if heads else list(model.features(torch.zeros(1, n_samples)))
    table = count_macs(model, n_samples, heads=True)
    assert 2 * table["macs"].sum() == counter.get_total_flops()
    own = sum(p.numel() for p in model.parameters()) + 2 * sum(model.widths.values())
    assert table["parameters"].sum() == own


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize("with_norm", [True, False])
def test_equal_to_the_counts_of_torch_for_any_architecture(name, with_norm):
    x = example(name, 1)
    network = Network.wrap(build(name, with_norm), x.shape[1:])
    readers = ChannelGraph(network.module, x).readers
    keep = {layer: np.arange(len(part.weight)) % 2 == 0 for layer, part in [*readers.items()][:-1]}
    for whole in (network, network.holding(cut(network.module, x, keep))):
        with FlopCounterMode(display=False) as counter:
            whole(x)
        table = count_macs(whole, heads=True)
        assert 2 * table["macs"].sum() == counter.get_total_flops()
        if name == "densenet" and with_norm:  # its norms come before the convolutions
            continue
        vectors = sum(b.numel() for n, b in whole.named_buffers() if n.endswith(("mean", "var")))
        own = sum(p.numel() for p in whole.parameters()) + vectors
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
    vectors = [len(c[-1].vectors_) for c in ensemble.classifiers_]
    assert table["support_vectors"].tolist() == vectors
    # A product of 4 maps, 3 multiplications for the power, 2 coefficients (pairs with the other classes) per vector.
    assert table["macs"].tolist() == [vectors[0] * (4 + 3 + 2), vectors[1] * (5 + 2 + 2)]


def test_saving():
    assert saving([100], [18]) == pytest.approx(0.82)


def test_what_is_needed_is_what_something_reads():
    """Oracle: a filter is needed if taking it out changes a kept map, found by asking every reader in turn."""
    for taps in (TAP_MAPS, [t for t in TAP_MAPS if int(t[-1]) <= 5], ["pool1", "relu3"]):
        masks = {tap: MASKS[tap] for tap in taps}
        expected = {}
        for number in range(len(WIDTHS), 0, -1):
            readers = expected.get(number + 1, [])
            expected[number] = [
                any(readers) or any(m[f] for tap, m in masks.items() if int(tap[-1]) == number)
                for f in range(WIDTHS[number - 1])
            ]
        needed = needed_filters(masks)
        assert [mask.tolist() for mask in needed.values()] == [expected[n] for n in range(1, 8)]
    assert needed["conv3"].sum() == MASKS["relu3"].sum()
    assert not needed["conv4"].any()


def test_filters_that_nothing_reads_leave_every_kept_map_as_it_was(random_network):
    needed = needed_filters(MASKS)
    assert [layer for layer, mask in needed.items() if not mask.all()] == ["conv7"]
    waveforms = torch.from_numpy((0.02 * RNG.normal(size=(2, 8_000))).astype(np.float32))
    full = dict(random_network.features(waveforms))
    small = dict(prune_network(random_network, needed).features(waveforms))
    for tap, mask in MASKS.items():
        computed = needed[outline().layer_of(tap)]
        torch.testing.assert_close(small[tap][:, mask[computed]], full[tap][:, mask], rtol=1e-5, atol=1e-5)


def test_a_mask_of_another_network_is_refused():
    with pytest.raises(ParameterError, match=r"the mask of relu7 has shape \(100,\), its layer 1024 filters"):
        kept_filters({"relu7": np.ones(100, bool)})


def test_pooling_additions_are_the_values_that_are_averaged(random_network):
    waveforms = torch.zeros(1, 110_250)
    values = {tap: maps[0].numel() for tap, maps in random_network.features(waveforms)}
    for tap, n in TAP_MAPS.items():
        assert pooling_additions({tap: n}, 110_250) == values[tap]


def test_savings():
    table = savings_table(MASKS, 0.11, classifiers=1_000, kept_classifiers=100, n_samples=110_250)
    table = table.set_index("name")
    macs = count_macs(SoundNet(), 110_250)["macs"]
    read = (MASKS["bn7"] | MASKS["relu7"]).mean()
    assert table.loc["ignoring", "network"] == pytest.approx(macs[6] * (1 - read) / macs.sum())
    pooled = [
        pooling_additions(
            {tap: int(mask.sum() if kept else len(mask)) for tap, mask in MASKS.items()}, 110_250
        )
        for kept in (True, False)
    ]
    left = macs.sum() - macs[6] * (1 - read) + 100 + pooled[0]
    assert table.loc["ignoring", "all"] == pytest.approx(1 - left / (macs.sum() + 1_000 + pooled[1]))
    union = {layer: mask for layer, mask in kept_filters(MASKS).items() if layer not in ("conv1", "conv2")}
    small = count_macs(prune_network(SoundNet(), union), 110_250)["macs"].sum()
    assert table.loc["removing_union", "network"] == pytest.approx(1 - small / macs.sum())
    assert table.loc["removing_fraction", "network"] < table.loc["cap", "network"]
    assert table.loc["psnet", "network"] == pytest.approx(0.171, abs=0.001)
    assert table.loc["psnet", "all"] != table.loc["psnet", "all"]  # NaN: no classifier to go by
