import json

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

import dha_utils as dha
from dha_utils.core.errors import DataError
from dha_utils.evaluation.ensemble import Layer, LayerEnsemble
from dha_utils.pruning import onnx
from dha_utils.pruning.onnx import export_onnx
from dha_utils.responses.pooling import pool_maps

METADATA = {"rate": 16_000, "duration": 0.5, "classes": ["loud", "middle", "soft"], "provenance": "long"}


def run(path, waveforms):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, session.run(None, {"waveforms": waveforms})


def test_one_file_says_what_network_and_classifiers_say_of_clips_of_any_length(small, ensemble_of, tmp_path):
    ensemble = ensemble_of(METADATA["classes"])
    deviation, any_length = export_onnx(small, ensemble, 8_000, tmp_path / "a.onnx", METADATA)
    assert any_length
    assert deviation <= 1e-4
    rng = np.random.default_rng(2)
    for n_samples in (small.min_samples, 8_000, 50_001):  # one position of the deepest layer, and several
        waveforms = (rng.normal(size=(3, n_samples)) * np.array([[0.1], [0.01], [0.001]])).astype(np.float32)
        session, (*responses, scores) = run(tmp_path / "a.onnx", waveforms)
        pooled = pool_maps(small.features, list(waveforms))
        x = np.concatenate([pooled[tap] for tap in small.taps], axis=1)
        np.testing.assert_allclose(np.concatenate(responses, axis=1), x, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(scores, ensemble.predict_proba(x), atol=1e-4)
    assert [output.name for output in session.get_outputs()] == [*small.taps, "scores"]
    told = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(value) for name, value in told.items()} == {
        name: METADATA[name] for name in ("rate", "duration", "classes")
    }


class Halves(nn.Module):
    """An average whose number of positions a trace counts out."""

    def forward(self, x):
        return torch.stack([x[..., : int(x.shape[-1]) // 2].mean(-1)] * int(x.shape[-1] > 300), -1)


def wrapped():
    """A network of another kind, of 2 000 samples, and classifiers of its responses."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv1d(1, 4, 8, 4), nn.ReLU(), Halves(), nn.Conv1d(4, 3, 1), nn.ReLU())
    network = dha.Network.wrap(module, (2_000,), rate=8_000)
    x, y = np.random.default_rng(0).normal(size=(20, 7)), np.arange(20) % 2
    return network, LayerEnsemble([Layer(tap, n) for tap, n in network.tap_maps.items()]).fit(x, y)


def test_a_network_of_another_kind(tmp_path):
    deviation, _ = export_onnx(*wrapped(), 2_000, tmp_path / "a.onnx", {})
    assert deviation <= 1e-4
    *_, scores = run(tmp_path / "a.onnx", np.zeros((5, 2_000), np.float32))[1]
    assert scores.shape == (5, 2)


def test_where_the_exporter_cannot_follow_the_length_it_is_fixed(tmp_path, monkeypatch):
    export = torch.export.export

    def unable(module, example, dynamic_shapes):
        if 1 in dynamic_shapes["waveforms"]:
            raise RuntimeError("Constraints violated (samples)!")
        return export(module, example, dynamic_shapes=dynamic_shapes)

    monkeypatch.setattr(torch.export, "export", unable)
    deviation, any_length = export_onnx(*wrapped(), 2_000, tmp_path / "a.onnx", {})
    assert deviation <= 1e-4
    assert not any_length


def test_what_deviates_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "TOLERANCE", -1.0)
    with pytest.raises(DataError, match=r"ONNX deviates from PyTorch by .* not written"):
        export_onnx(*wrapped(), 2_000, tmp_path / "a.onnx", {})
    assert list(tmp_path.iterdir()) == []
