import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import dha_utils as dha
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.criteria.selection import order_filters, select
from dha_utils.datasets import load_clips
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.networks.activations import layer_activations, windows
from dha_utils.networks.base import Network
from dha_utils.networks.registry import NETWORKS, Entry, load_network, outline, read_network, save_network
from dha_utils.networks.soundnet import TAP_MAPS, TAPS, SoundNet
from dha_utils.pruning.allocation import allocate
from dha_utils.pruning.compensation import COMPENSATIONS, compensate
from dha_utils.pruning.compressor import Compressor, Trial, network_responses
from dha_utils.pruning.cost import count_macs, needed_filters, pooling_additions
from dha_utils.pruning.finetuning import fine_tune
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.maps import iterate_maps
from dha_utils.responses.pooling import pool_maps, pool_stream
from dha_utils.responses.provenance import key_of, weights_sha256
from dha_utils.studies.scores import compute_scores
from dha_utils.studies.sweeps import Cell, sweep

RATE, N_SAMPLES = 8_000, 4_000


class Toy(Network):
    """Two convolutions over the logarithm of a spectrogram, one with batch norm, and a head."""

    def __init__(self):
        chain = {
            "a": nn.Conv2d(1, 6, 3, padding=1), "a_norm": nn.BatchNorm2d(6), "a_relu": nn.ReLU(), "a_pool": nn.MaxPool2d(2),
            "b": nn.Conv2d(6, 8, (5, 3), stride=(2, 1)), "b_relu": nn.ReLU(),
        }  # fmt: skip
        heads = {"head": nn.Conv2d(8, 3, 4)}
        taps = ("a_norm", "a_pool", "b_relu")
        super().__init__(chain, taps, name="toy", rate=RATE, min_samples=1_000, heads=heads)
        self.register_buffer("window", torch.hann_window(64), persistent=False)

    def prepare(self, waveforms):
        spectra = torch.stft(waveforms, 64, window=self.window, return_complex=True)
        return (spectra.abs() + 1e-3).log().unsqueeze(1)


@pytest.fixture(scope="module")
def toy():
    torch.manual_seed(0)
    network = Toy()
    network.a_norm.running_var.uniform_(0.5, 2)
    return network.eval().requires_grad_(False)


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(NETWORKS, "toy", Entry(Toy, Toy))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two classes: a high and a low tone in noise."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(24):
        label = ("high", "low")[i % 2]
        tone = np.sin(2 * np.pi * (2_000 if i % 2 else 500) * np.arange(N_SAMPLES) / RATE)
        soundfile.write(folder / f"{i}.wav", 0.1 * tone + 0.02 * rng.normal(size=N_SAMPLES), RATE)
        rows.append((f"{i}.wav", label, i // 2 % 3 + 1, str(i)))
    table = pd.DataFrame(rows, columns=["path", "label", "fold", "recording"])
    table.to_csv(folder / "table.csv", index=False)
    return load_clips(str(folder / "table.csv"))


@pytest.fixture(scope="module")
def waveforms(clips):
    return np.stack([soundfile.read(path, dtype="float32")[0] for path in clips.table["path"]])


@pytest.fixture(scope="module")
def responses(toy, clips):
    return extract_responses(clips, toy, duration=N_SAMPLES / RATE, device="cpu")


def test_what_follows_from_the_chain(toy):
    assert {name: layer.stages for name, layer in toy.layers.items()} == {
        "a": ("a", "a_norm", "a_relu", "a_pool"), "b": ("b", "b_relu")
    }  # fmt: skip
    assert toy.layers["a"].norm is toy.a_norm
    assert toy.layers["b"].norm is None
    assert toy.tap_maps == {"a_norm": 6, "a_pool": 6, "b_relu": 8}
    assert toy.last_taps == {"a": "a_pool", "b": "b_relu"}


def test_soundnet_is_what_it_was():
    model = SoundNet()
    assert model.tap_maps == TAP_MAPS
    assert model.last_taps == dict(
        zip(model.layers, ("pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7"), strict=True)
    )
    names = [name for n in range(1, 8) for name in (f"conv{n}.weight", f"conv{n}.bias", f"bn{n}.weight")]
    assert [name for name, _ in model.named_parameters() if name in names] == names


def patterned():
    """A SoundNet whose weights are the same numbers on every machine: whole numbers, over 1009."""
    model = SoundNet()
    for name, tensor in model.state_dict().items():
        if tensor.ndim:
            pattern = (torch.arange(tensor.numel()) * 7_919 % 1_009).view(tensor.shape) / 1_009
            kernel = name.startswith("conv") and tensor.ndim == 3
            tensor.copy_((pattern - 0.5) / tensor.shape[2] if kernel else pattern + 0.1)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("case", ["full", "some", "all"])
def test_soundnet_whole_and_pruned_gives_what_it_gave_before(case):
    """Weights bit for bit, costs, and responses up to rounding; recorded while pruning was written for SoundNet alone."""
    before = json.loads((Path(__file__).parents[1] / "made_before" / "soundnet.json").read_text())[case]
    small = prune_network(patterned(), before["keep"])
    assert weights_sha256(small) == before["weights_sha256"]
    for n_samples, macs in before["macs"].items():
        table = count_macs(small, int(n_samples), heads=True)
        assert table["macs"].tolist() == macs
        assert table["parameters"].tolist() == before["parameters"]
    sound = 0.1 * ((torch.arange(2 * 9_000) * 7_919 % 1_009).view(2, -1) / 1_009 - 0.5).numpy()
    pooled = pool_maps(small.features, list(sound))
    assert list(pooled) == list(before["responses"])
    for tap, means in before["responses"].items():
        np.testing.assert_allclose(pooled[tap].mean(axis=1), means, rtol=1e-4)


def test_taps_are_bit_for_bit_those_of_plain_functions(random_network):
    weights, x = random_network.state_dict(), torch.sin(torch.arange(2 * 9_000.0)).view(2, -1)
    maps, expected = 256 * x[:, None], {}
    for number, (kernel, pool) in enumerate(
        zip((64, 32, 16, 8, 4, 4, 4), (8, 8, 0, 0, 4, 0, 0), strict=True), 1
    ):
        conv, bn = f"conv{number}.", f"bn{number}."
        maps = F.conv1d(maps, weights[conv + "weight"], weights[conv + "bias"], 2, kernel // 2)
        statistics = (weights[bn + name] for name in ("running_mean", "running_var", "weight", "bias"))
        expected[f"bn{number}"] = maps = F.batch_norm(maps, *statistics)
        expected[f"relu{number}"] = maps = F.relu(maps)
        expected[f"pool{number}"] = maps = F.max_pool1d(maps, pool) if pool else maps
    for tap, got in random_network.features(x):
        assert torch.equal(got, expected[tap]), tap


def test_shapes_are_those_of_the_maps(toy, random_network):
    for network, n in ((toy, 4_001), (random_network, 20_000)):
        with torch.inference_mode():
            maps = {name: tuple(x.shape[1:]) for name, x in network.stages(torch.zeros(1, n))}
        assert network.shapes(n) == maps
    with pytest.raises(ParameterError, match="n_samples is 999, the network needs at least 1000"):
        toy.shapes(999)


@pytest.mark.parametrize("keep", [{}, {"a": [1, 4], "b": [0, 2, 5]}])
def test_macs_are_those_that_torch_counts(toy, keep):
    network = prune_network(toy, keep)
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, N_SAMPLES))
    table = count_macs(network, N_SAMPLES, heads=True)
    assert 2 * table["macs"].sum() == counter.get_total_flops()
    own = sum(parameter.numel() for parameter in network.parameters())
    assert table["parameters"].sum() == own + 2 * network.a.out_channels  # and what batch norm has seen


def test_responses_are_averages_over_both_axes(toy, clips, waveforms, responses):
    assert responses.provenance["network"] == "toy"
    assert responses.provenance["parameters"]["rate"] == RATE
    with torch.inference_mode():
        for tap, maps in toy.features(torch.from_numpy(waveforms)):
            assert maps.ndim == 4
            np.testing.assert_allclose(responses[tap], maps.mean((2, 3)), rtol=1e-4, atol=1e-5)
    whole = {tap: maps for tap, maps in iterate_maps(clips, model=toy, duration=0.5)}
    assert whole["b_relu"].shape[:2] == (24, 8)


def test_long_sounds_go_the_plain_way(toy, waveforms):
    pieces = [waveforms[0][:1_234], waveforms[0][1_234:]]
    pooled = pool_stream(toy.fast().stream(pieces))
    with torch.inference_mode():
        for tap, maps in toy.features(torch.from_numpy(waveforms[:1])):
            np.testing.assert_allclose(pooled[tap], maps[0].mean((1, 2)), rtol=1e-6, atol=1e-7)


def test_it_is_cross_validated_and_selected_from(responses):
    selection = select(responses, "anova", keep=0.5)
    assert [mask.sum() for mask in selection.masks.values()] == [3, 3, 4]
    run = cross_validate(responses, lambda part: select(part, "anova", keep=0.5))
    assert run.accuracy() == 1  # a high and a low tone
    assert list(key_of("sweep", responses)["parameters"]["taps"]) == list(responses.taps)


def test_scores_of_maps_and_weights(toy, clips):
    scores = compute_scores(clips, rate=RATE, duration=0.5, model=toy)
    assert scores.get("l1", 1)["a_pool"].score == pytest.approx(toy.a.weight.abs().sum((1, 2, 3)).numpy())
    assert scores.get("apoz", 1)["b_relu"].score.shape == (8,)
    with pytest.raises(DataError, match="no scores of criterion 'psnet'"):  # filters of another network
        scores.get("psnet", 1)


def test_controls_ask_the_registry_which_taps_share_a_layer(responses, registered):
    (cell,) = sweep(responses, [Cell("anova", 0.5, 0, "permuted")])
    assert cell["ignored"] == 0.5


def test_of_a_network_that_nobody_registered_responses_know_which_taps_share_a_layer(responses):
    assert responses.provenance["layers"] == {"a_norm": "a", "a_pool": "a", "b_relu": "b"}
    (cell,) = sweep(responses, [Cell("anova", 0.5, 0, "permuted")])
    assert cell["ignored"] == 0.5


def test_pruning_equals_silence(toy, waveforms):
    """Against a network whose removed maps are zero behind batch norm."""
    keep = {"a": [1, 4, 5], "b": [0, 2]}
    small, silent = prune_network(toy, keep), Toy()
    silent.load_state_dict(toy.state_dict())
    removed = [0, 2, 3]
    silent.a_norm.weight.data[removed], silent.a_norm.bias.data[removed] = 0, 0
    silent.eval().requires_grad_(False)
    x = torch.from_numpy(waveforms[:3])
    for (tap, maps), (_, expected) in zip(small.features(x), silent.features(x), strict=True):
        torch.testing.assert_close(maps, expected[:, keep[tap[0]]], rtol=1e-4, atol=1e-5)
    assert torch.equal(small.b.weight, toy.b.weight[[0, 2]][:, [1, 4, 5]])
    assert torch.equal(small.head.weight, toy.head.weight[:, [0, 2]])


def test_windows_are_what_a_convolution_sees(toy, waveforms):
    x = layer_activations(toy, waveforms[:2])[1]
    by_product = torch.cat([w @ toy.b.weight.flatten(1).T + toy.b.bias for w in windows(x, toy.b)])
    expected = toy.b(x).movedim(1, -1).reshape(len(by_product), -1)
    torch.testing.assert_close(by_product, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", COMPENSATIONS)
def test_it_is_compensated(toy, waveforms, method):
    activations = layer_activations(toy, waveforms)
    keep = {"a": [0, 1, 2, 4, 5]}
    if method == "recalibrated":
        with pytest.raises(ParameterError, match="recalibrated sets batch norm, and none follows b"):
            compensate(toy, keep, activations, method)
        return
    error = {}
    for way in ("removed", method):
        out = layer_activations(compensate(toy, keep, activations, way), waveforms)[-1]
        error[way] = float((out - activations[-1]).pow(2).mean())
    assert error[method] <= error["removed"]
    if method == "refitted":
        assert error[method] < 0.5 * error["removed"]


def test_trials(toy, waveforms, responses):
    compressor = Compressor(toy, waveforms, network_responses(toy, waveforms, responses))
    for criterion in ("explained_variance", "next_layer", "anova", "l1"):
        small = compressor.small_network(Trial(criterion, "3-4"))
        assert small.widths == {"a": 3, "b": 4}
    costs = [
        count_macs(n, N_SAMPLES)["macs"].sum() for n in (compressor.small_network(Trial("l1", "0.4")), toy)
    ]
    assert costs[0] <= 0.4 * costs[1]


def test_cost_of_a_mask(toy):
    masks = {"a_norm": np.arange(6) < 2, "b_relu": np.arange(8) < 3}
    assert [int(mask.sum()) for mask in needed_filters(masks, toy).values()] == [6, 3]
    positions = {name: shape[1] * shape[2] for name, shape in toy.shapes(N_SAMPLES).items()}
    assert pooling_additions({"a_norm": 2, "b_relu": 3}, N_SAMPLES, toy) == (
        2 * positions["a_norm"] + 3 * positions["b_relu"]
    )
    lost = {"a": np.linspace(1, 0, 7), "b": np.linspace(1, 0, 9)}
    assert allocate(toy, lost, N_SAMPLES, 1.0) == toy.widths


def test_a_layer_without_a_tap_has_no_responses_to_be_ranked_by(waveforms, responses):
    class Upper(Toy):
        def __init__(self):
            super().__init__()
            self.taps = ("b_relu",)

    with pytest.raises(ParameterError, match="'anova' is computed from responses: a has no tap"):
        order_filters("anova", Upper(), statistics={}, responses=responses)


def test_files(toy, registered, tmp_path):
    small = prune_network(toy, {"a": [1, 2, 3]})
    save_network(tmp_path / "small.safetensors", small, {"rate": RATE})
    network, metadata = read_network(tmp_path / "small.safetensors")
    assert metadata == {"rate": RATE}
    assert network.widths == {"a": 3, "b": 8}
    x = torch.sin(torch.arange(4_000.0))[None]
    for (_, maps), (_, expected) in zip(network.features(x), small.features(x), strict=True):
        assert torch.equal(maps, expected)
    assert load_network(tmp_path / "small.safetensors").widths == {"a": 3, "b": 8}


def test_loading_by_name(toy, registered):
    assert load_network(toy) is toy
    assert isinstance(load_network("toy"), Toy)
    assert dha.load_network(toy) is toy
    with pytest.raises(ParameterError, match=r"unknown network 'soundnet' \(did you mean 'soundnet8'\?\)"):
        load_network("soundnet")
    with pytest.raises(
        ParameterError, match=r"network is 'mine\.py'; name the function that makes it too, as mine\.py:build"
    ):
        load_network("mine.py")
    with pytest.raises(DataError, match="no such file; `dha prune` makes one"):
        load_network("none.safetensors")


def test_responses_are_no_network(tmp_path, make_responses):
    make_responses().save(tmp_path / "responses.safetensors")
    with pytest.raises(
        DataError, match=r"responses\.safetensors: not a network of .*\(it holds responses, or other tables\)"
    ):
        load_network(tmp_path / "responses.safetensors")


def test_an_outline_has_no_weights():
    network = outline("soundnet8")
    assert {tensor.device.type for tensor in network.parameters()} == {"meta"}
    assert network.taps == TAPS
    assert outline("soundnet8", padding="released").min_samples == 45_534


@pytest.mark.parametrize(
    ("chain", "taps", "message"),
    [
        ({"a": nn.Conv1d(1, 2, 3)}, ("b",), "tap 'b' names no module of own"),
        ({"a": nn.ReLU(), "b": nn.Conv1d(1, 2, 3)}, ("b",), "'own' begins with no convolution"),
        ({}, (), "'own' begins with no convolution"),
        ({"features": nn.Conv1d(1, 2, 3)}, (), "cannot have a module named 'features': the name is taken"),
        ({"taps": nn.Conv1d(1, 2, 3)}, (), "cannot have a module named 'taps'"),
        ({"a.b": nn.Conv1d(1, 2, 3)}, (), "cannot have a module named 'a.b'"),
        (
            {"a": nn.Conv1d(1, 2, 3), "b": nn.ModuleList([nn.Conv1d(2, 2, 3)])},
            (),
            "'b'.*a ModuleList, holds convolutions",
        ),
    ],
)
def test_what_is_no_network(chain, taps, message):
    with pytest.raises(ParameterError, match=message):
        Network(chain, taps, name="own", rate=8_000, min_samples=3)


def test_a_sequence_is_taken_apart():
    block = nn.Sequential(nn.Conv1d(1, 4, 5, bias=False), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU()))
    plain = {"conv": block[0], "norm": block[1][0], "relu": block[1][1], "last": nn.Conv1d(4, 3, 3)}
    how = {"rate": RATE, "min_samples": 7}
    network = Network(
        {"block": block, "last": plain["last"]}, ("block.1.1", "last"), name="own", **how
    ).eval()
    expected = Network(plain, ("relu", "last"), name="plain", **how).eval()
    assert network.chain == ("block.0", "block.1.0", "block.1.1", "last")
    assert network.tap_maps == {"block.1.1": 4, "last": 3}
    x = torch.sin(torch.arange(60.0)).view(2, 30)
    for keep in ([0, 1, 2, 3], [1, 3]):
        small, other = prune_network(network, {"block.0": keep}), prune_network(expected, {"conv": keep})
        for (_, maps), (_, maps_too) in zip(small.features(x), other.features(x), strict=True):
            assert torch.equal(maps, maps_too)
    tuned = fine_tune(small, x.numpy(), np.array([0, 1]), epochs=1)
    assert not torch.equal(tuned.get_submodule("block.0").weight, other.get_submodule("conv").weight)


def test_too_small_a_shortest_sound_is_found_before_any_work(clips):
    chain = {"a": nn.Conv1d(1, 2, 5), "a_pool": nn.MaxPool1d(4), "b": nn.Conv1d(2, 2, 3)}
    network = Network(chain, ("b",), name="own", rate=RATE, min_samples=6).eval()
    message = (
        r"^a_pool of network 'own' cannot take what reaches it of 6 samples: give a larger min_samples than 6"
    )
    with pytest.raises(ParameterError, match=message):
        extract_responses(clips, network)


@pytest.mark.parametrize("how", [{"groups": 2}, {"dilation": 2}, {"padding": "same"}])
def test_convolutions_whose_filters_cannot_be_removed(clips, waveforms, how):
    chain = {"a": nn.Conv1d(1, 4, 5), "b": nn.Conv1d(4, 4, 3, **how)}
    network = Network(chain, ("a", "b"), name="own", rate=RATE, min_samples=30).eval().requires_grad_(False)
    responses = extract_responses(clips, network, duration=0.5)
    assert responses["b"].shape == (24, 4)
    for refused in (
        lambda: prune_network(network, {"a": [0, 1]}),
        lambda: Compressor(network, waveforms, responses),
    ):
        with pytest.raises(
            ParameterError, match=r"b of network 'own' is Conv1d\(.*can be selected, its filters not removed"
        ):
            refused()


def test_a_layer_without_a_bias_has_none_to_be_set(waveforms):
    chain = {"a": nn.Conv1d(1, 4, 5), "b": nn.Conv1d(4, 4, 3, bias=False)}
    network = Network(chain, ("a", "b"), name="own", rate=RATE, min_samples=30).eval().requires_grad_(False)
    activations = layer_activations(network, waveforms)
    with pytest.raises(ParameterError, match="merged sets biases, and b has none"):
        compensate(network, {"a": [0, 1]}, activations, "merged")
    assert compensate(network, {"a": [0, 1]}, activations, "refitted").b.bias is None


def test_a_plain_network_sees_the_waveforms():
    network = Network({"a": nn.Conv1d(1, 2, 3)}, ("a",), name="own", rate=8_000, min_samples=3)
    ((tap, maps),) = network.features(torch.zeros(4, 10))
    assert (tap, maps.shape) == ("a", (4, 2, 8))
    with pytest.raises(DataError, match=r"\(4, 2\), expected \(clips, samples\) with at least 3"):
        list(network.features(torch.zeros(4, 2)))
