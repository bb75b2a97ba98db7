import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LinearRegression

from dha_utils.core.errors import AudioError, DataError, ParameterError
from dha_utils.networks.registry import read_network, save_network
from dha_utils.pruning import export as deploy
from dha_utils.pruning.export import (
    Exported,
    export_torch,
    load_ensemble,
    save_ensemble,
)
from dha_utils.pruning.opening import load_network
from dha_utils.responses.pooling import pool_maps

BEFORE = Path(__file__).parents[1] / "made_before"
N_SAMPLES = 8_000
WAVEFORMS = 0.1 * torch.randn(3, N_SAMPLES, generator=torch.Generator().manual_seed(1))
METADATA = {"rate": 16_000, "duration": 0.5, "channel": "mean", "classes": ["loud", "soft"]}


@pytest.fixture(scope="module")
def ensemble(ensemble_of):
    return ensemble_of(["loud", "soft"])


def test_network_comes_back_bit_for_bit(small, tmp_path):
    save_network(tmp_path / "a.safetensors", small, METADATA)
    model, metadata = read_network(tmp_path / "a.safetensors")
    assert metadata == METADATA
    assert list(model.widths.values()) == [4, 6, 8, 8, 8, 8, 8]
    before = small.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_heads_that_nobody_reads_are_left_out(small, tmp_path):
    save_network(tmp_path / "a.safetensors", small.headless(), METADATA)
    model = load_network(tmp_path / "a.safetensors")
    assert model.heads == ()
    assert {name.partition(".")[0] for name in model.state_dict()} == {*model.chain} - {
        name for name in model.chain if name.startswith(("relu", "pool"))
    }
    assert small.heads == ("conv8_objects", "conv8_scenes")
    for (_, maps), (_, expected) in zip(model.features(WAVEFORMS), small.features(WAVEFORMS), strict=True):
        assert torch.equal(maps, expected)
    with pytest.raises(
        ParameterError, match="network 'soundnet8' has no classifiers: make a file with `dha prune`"
    ):
        small.predict("a.wav")


def test_padding_comes_back(output_padded_network, tmp_path):
    save_network(tmp_path / "a.safetensors", output_padded_network, METADATA)
    model, _ = read_network(tmp_path / "a.safetensors")
    assert model.padding == "released"


def test_what_is_no_network_is_refused(small, tmp_path):
    with pytest.raises(DataError, match="no such file; `dha prune` makes one"):
        read_network(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"x": torch.zeros(2)}, tmp_path / "other.safetensors")
    header = {"widths": [16] * 7, "input_scale": 1.0, "metadata": {}}
    save_file({"x": torch.zeros(2)}, tmp_path / "short.safetensors", metadata={"dha": json.dumps(header)})
    for name in ("text", "other", "short"):
        with pytest.raises(DataError, match=f"{name}.safetensors: not a network of `dha prune`, or damaged"):
            read_network(tmp_path / f"{name}.safetensors")


def test_classifiers_come_back_and_say_the_same(ensemble, tmp_path):
    save_ensemble(tmp_path / "a.skops", ensemble)
    x = np.random.default_rng(1).normal(size=(5, ensemble.n_features_in_))
    np.testing.assert_array_equal(
        load_ensemble(tmp_path / "a.skops").predict_proba(x), ensemble.predict_proba(x)
    )


def said_before():
    """Noise as in ``made_before/README.md``, and what the network and the classifiers said of it."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(2, 8_000)) * np.array([[0.01], [0.1]])
    return list(noise.astype(np.float32)), json.loads((BEFORE / "small.json").read_text())


def test_a_network_that_was_made_before_still_loads():
    network, metadata = read_network(BEFORE / "small.safetensors")
    assert metadata == {"rate": 16_000, "duration": 0.5, "channel": "mean", "classes": ["soft", "loud"]}
    noise, said = said_before()
    pooled = pool_maps(network.features, noise)
    assert {tap: pooled[tap].shape for tap in said["responses"]} == {
        tap: (2, n) for tap, n in network.tap_maps.items()
    }
    for tap, responses in said["responses"].items():
        np.testing.assert_allclose(pooled[tap], responses, rtol=1e-4, atol=1e-5, err_msg=tap)


@pytest.mark.parametrize("moved", [False, True])
def test_classifiers_that_were_made_before_still_load(moved, tmp_path, monkeypatch):
    file = BEFORE / "small.skops"
    if moved:  # as if the classifiers had been elsewhere before
        with ZipFile(file) as before, ZipFile(tmp_path / "moved.skops", "w") as after:
            for name in before.namelist():
                after.writestr(
                    name,
                    before.read(name).replace(b'"dha_utils.ensemble"', b'"dha_utils.elsewhere"'),
                )
        file = tmp_path / "moved.skops"
        with pytest.raises(DataError, match=r"not trusted|not a file of classifiers"):
            load_ensemble(file)
        monkeypatch.setattr(deploy, "WERE", ("dha_utils.elsewhere",))
    ensemble = load_ensemble(file)
    _, said = said_before()
    x = np.concatenate([np.array(responses, np.float32) for responses in said["responses"].values()], axis=1)
    np.testing.assert_allclose(ensemble.predict_proba(x), said["scores"], rtol=1e-6)


def test_what_is_no_ensemble_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file; the classifiers"):
        load_ensemble(tmp_path / "none.skops")
    (tmp_path / "text.skops").write_text("hello")
    with pytest.raises(DataError, match="not a file of classifiers, or damaged"):
        load_ensemble(tmp_path / "text.skops")
    (tmp_path / "line.skops").write_bytes(skops.io.dumps(LinearRegression()))
    with pytest.raises(DataError, match="holds a LinearRegression"):
        load_ensemble(tmp_path / "line.skops")
    (tmp_path / "foreign.skops").write_bytes(skops.io.dumps({"a": AudioError}))
    with pytest.raises(DataError, match="holds types that are not trusted"):
        load_ensemble(tmp_path / "foreign.skops")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch.*", "ignore::FutureWarning:torch.*")
def test_exported_program_gives_the_same_taps(small, tmp_path):
    export_torch(small, N_SAMPLES, tmp_path / "a.pt2")
    outputs = torch.export.load(tmp_path / "a.pt2").module()(WAVEFORMS)
    for ours, expected in zip(outputs, Exported(small)(WAVEFORMS), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
