import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from dha_utils.core.artifacts import make_key
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import select
from dha_utils.datasets.clips import Clips
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.networks.fused import FusedTaps
from dha_utils.networks.streamed import StreamedTaps
from dha_utils.pruning.compressor import network_responses
from dha_utils.pruning.cost import kept_filters
from dha_utils.responses import pooling
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.pooling import POOLINGS, pool_maps, pool_stream, side_by_side
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses

RATE = 22_050


def noise(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, n).astype(np.float32)


def naive(network, waveform, name):
    """Look at one value after the other, map by map."""
    found = {}
    with torch.inference_mode():
        for tap, maps in network.features(torch.from_numpy(waveform)[None]):
            means, largest = [], []
            for values in maps[0].double().flatten(1).tolist():
                total, top = 0.0, -np.inf
                for value in values:
                    total, top = total + value, max(top, value)
                means.append(total / len(values))
                largest.append(top)
            found[tap] = {"mean": means, "max": largest, "mean_max": means + largest}[name]
    return found


@pytest.mark.parametrize("name", POOLINGS)
def test_against_a_naive_loop(narrow_network, name):
    waveforms = [noise(9_000), noise(7_001, 1), noise(9_000, 2)]
    plain = pool_maps(narrow_network.features, waveforms, name)
    fast = pool_maps(FusedTaps(narrow_network), waveforms, name)
    for row, waveform in enumerate(waveforms):
        pieces = (waveform[i : i + 1_111] for i in range(0, len(waveform), 1_111))
        streamed = pool_stream(StreamedTaps(narrow_network).stream(pieces), name)
        for tap, expected in naive(narrow_network, waveform, name).items():
            near = {"rtol": 1e-5, "atol": 1e-5 * np.abs(expected).max(), "err_msg": tap}
            for got in (plain[tap][row], fast[tap][row], streamed[tap]):
                np.testing.assert_allclose(got, expected, **near)
            assert streamed[tap].dtype == plain[tap].dtype == np.float32


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two classes, one louder; the last clip is shorter than the others."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    for i in range(12):
        path = folder / f"{i}.wav"
        soundfile.write(path, (0.1 + 0.4 * (i % 2)) * noise(9_000 - 1_500 * (i == 11), i), RATE)
        rows.append((f"c{i}", str(path), "ab"[i % 2], i // 2 % 3 + 1, f"r{i}"))
    return Clips(
        "made-up", folder, pd.DataFrame(rows, columns=["clip", "path", "label", "fold", "recording"])
    )


@pytest.fixture(scope="module")
def extracted(clips, narrow_network):
    return {name: extract_responses(clips, narrow_network, duration=0.4, pooling=name) for name in POOLINGS}


def test_pooling_is_a_parameter_of_extraction(extracted, narrow_network):
    for name, responses in extracted.items():
        assert responses.provenance["parameters"]["pooling"] == name
        padded = np.zeros(8_820, np.float32)
        padded[:7_500] = 0.5 * noise(7_500, 11)
        # Files hold 16 bits.
        for tap, expected in naive(narrow_network, padded, name).items():
            atol = 1e-3 * np.abs(expected).max()
            np.testing.assert_allclose(responses[tap][11], expected, rtol=0, atol=atol, err_msg=tap)


def test_the_largest_value_is_exact_in_long_sounds(clips, extracted, narrow_network, monkeypatch):
    whole = extract_responses(clips, narrow_network, duration=None, pooling="mean_max")
    streamed, plain = [], StreamedTaps.stream
    monkeypatch.setattr(StreamedTaps, "stream", lambda *a: streamed.append(a) or plain(*a))
    monkeypatch.setattr(pooling, "STREAM_SECONDS", 0.2)
    pieces = extract_responses(clips, narrow_network, duration=None, pooling="mean_max")
    assert len(streamed) == len(clips)
    for tap in whole.taps:
        scale = np.abs(whole[tap]).max()
        np.testing.assert_allclose(pieces[tap], whole[tap], rtol=1e-5, atol=1e-6 * scale, err_msg=tap)


def test_the_usual_pooling_keeps_its_key_and_others_have_their_own(extracted):
    keys = {name: key_of("responses", responses) for name, responses in extracted.items()}
    assert "pooling" not in keys["mean"]["parameters"]
    assert [keys[name]["parameters"]["pooling"] for name in ("max", "mean_max")] == ["max", "mean_max"]
    kept = Responses.load(bundled("esc10") / "responses_22050.safetensors")
    named = kept.provenance | {"parameters": kept.provenance["parameters"] | {"pooling": "mean"}}
    assert make_key("responses", kept.table, named) == key_of("responses", kept)


def test_both_are_the_two_side_by_side(extracted):
    both = side_by_side(extracted["mean"], extracted["max"])
    assert both.provenance == extracted["mean_max"].provenance
    for tap in both.taps:
        np.testing.assert_array_equal(both[tap], extracted["mean_max"][tap])
    for pair in (("max", "mean"), ("mean", "mean")):
        with pytest.raises(DataError, match="responses by mean and by max are needed, of the same clips"):
            side_by_side(*(extracted[name] for name in pair))
    with pytest.raises(DataError, match="of the same clips"):
        side_by_side(extracted["mean"], extracted["max"].take(np.arange(11)))


@pytest.mark.parametrize("rule", [{"keep": 0.3}, {"alpha": 0.05}])
def test_both_columns_of_a_map_stay_or_go(extracted, narrow_network, rule):
    selection = select(extracted["mean_max"], "anova", **rule)
    alone = {name: select(extracted[name], "anova", keep=0.3) for name in ("mean", "max")}
    for tap, mask in selection.masks.items():
        first, second = np.split(mask, 2)
        np.testing.assert_array_equal(first, second)
        best = np.maximum(*(alone[name].scores[tap].score for name in alone))
        np.testing.assert_array_equal(selection.scores[tap].score, best)
    if "keep" in rule:
        assert (selection.n_maps, selection.n_kept) == (alone["mean"].n_maps, alone["mean"].n_kept)
    for other in (selection.complement(), selection.permute_channels(0, narrow_network.layer_of)):
        assert all(np.array_equal(*np.split(mask, 2)) for mask in other.masks.values())
    halves = {tap: np.split(mask, 2)[0] for tap, mask in selection.masks.items()}
    expected = kept_filters(halves, narrow_network)
    for layer, kept in kept_filters(selection.masks, narrow_network).items():
        np.testing.assert_array_equal(kept, expected[layer])


def test_two_columns_are_cross_validated(extracted):
    run = cross_validate(extracted["mean_max"], lambda part: select(part, "anova", keep=0.5))
    assert run.accuracy() > 0.9


@pytest.mark.parametrize("name", ["max", "mean_max"])
def test_smaller_networks_are_heard_by_the_same_pooling(extracted, narrow_network, name):
    waveforms = np.stack([noise(8_820, i) for i in range(12)])
    found = network_responses(narrow_network, waveforms, extracted[name])
    expected = pool_maps(narrow_network.fast(), list(waveforms), name)
    for tap in found.taps:
        np.testing.assert_allclose(found[tap], expected[tap], rtol=1e-5, atol=1e-5)


def test_an_unknown_pooling_is_refused(clips, narrow_network):
    with pytest.raises(ParameterError, match=r"unknown pooling 'maximum'.*mean, max, mean_max"):
        extract_responses(clips, narrow_network, pooling="maximum")
