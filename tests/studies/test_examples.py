import numpy as np
import pandas as pd
import pytest
import soundfile

from dha_utils.audio.inspection import identify
from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled, data_dir
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.responses import maps as maps_module
from dha_utils.responses import provenance as provenance_module
from dha_utils.responses.maps import iterate_maps
from dha_utils.responses.table import Responses
from dha_utils.studies.examples import EXAMPLE_TAPS, Examples, compute_examples, load_examples


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i, label in enumerate(["hum", "hiss", "hum", "hiss"]):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, rng.uniform(-0.5, 0.5, 8000) * (1 + i) / 4, 22_050, subtype="FLOAT")
        rows.append({"clip": f"c{i}", "path": str(path), "label": label, "fold": 1, "recording": f"r{i}"})
    return Clips("made-up", tmp_path, pd.DataFrame(rows))


def test_first_clip_of_each_class(clips, random_network, tmp_path):
    examples = compute_examples(clips, rate=22_050, duration=0.4, model=random_network)
    examples.save(tmp_path / "examples.safetensors")
    loaded = Examples.load(tmp_path / "examples.safetensors")
    assert loaded.provenance == examples.provenance
    assert loaded.provenance["parameters"]["clips"] == ["c1", "c0"]
    for tap, maps in iterate_maps(clips, EXAMPLE_TAPS, model=random_network, duration=0.4):
        assert list(loaded.maps[tap]) == ["hiss", "hum"]
        np.testing.assert_allclose(loaded.maps[tap]["hiss"], maps[1], rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(loaded.maps[tap]["hum"], maps[0], rtol=2e-3, atol=1e-3)


def test_bundled_go_with_the_bundled_responses(esc10, tmp_path):
    examples = load_examples(esc10, tmp_path)
    assert not list(tmp_path.iterdir())
    assert list(examples.maps) == list(EXAMPLE_TAPS)
    assert list(examples.maps["relu3"]) == esc10.classes
    assert examples.maps["pool5"]["rain"].shape == (256, 13)
    # The average over time of a full map is the pooled response.
    first = esc10.table["clip"].tolist().index(examples.provenance["parameters"]["clips"][0])
    means = examples.maps["relu3"][esc10.table["label"][first]].astype(float).mean(axis=1)
    np.testing.assert_allclose(means, esc10["relu3"][first], rtol=5e-3, atol=1e-2)


def test_others_are_computed_once(clips, random_network, tmp_path, monkeypatch):
    some = identify(clips).take([1, 2, 3])  # c0 was left out
    provenance = {"dataset": "made-up", "parameters": {"rate": 22_050, "duration": 0.4}}
    arrays = {"relu3": np.zeros((3, 64), np.float32)}
    responses = Responses(arrays, some.table.drop(columns="path"), provenance)
    asked = []
    monkeypatch.setattr(provenance_module, "load_clips", lambda *where, **how: asked.append(where) or clips)
    monkeypatch.setattr(maps_module, "load_behind", lambda provenance: random_network)
    first = load_examples(responses, tmp_path, dataset="path/to/made-up")
    assert asked == [("path/to/made-up", None)]  # where it lies, not the name that the responses bear
    assert first.provenance["parameters"]["clips"] == ["c1", "c2"]
    kept = tmp_path / "examples_22050.safetensors"
    content = kept.read_bytes()
    kept.write_bytes(content[:500])  # damaged: made anew
    load_examples(responses, tmp_path)
    assert kept.read_bytes() == content
    monkeypatch.setattr(provenance_module, "load_clips", None)
    assert load_examples(responses, tmp_path).provenance == first.provenance


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file; `dha bundle` computes it from audio"):
        Examples.load(tmp_path / "none.safetensors")


@pytest.mark.skipif(data_dir() is None, reason="DHA_DATA is not set: no real audio at hand")
def test_bundled_examples_are_recomputed_from_audio():
    stored = Examples.load(bundled("esc10") / "examples_22050.safetensors")
    fresh = compute_examples(load_clips("esc10"), rate=22_050, duration=5.0)
    assert fresh.provenance["parameters"] == stored.provenance["parameters"]
    for tap, labels in stored.maps.items():
        for label, maps in labels.items():
            np.testing.assert_allclose(fresh.maps[tap][label], maps, rtol=5e-3, atol=1e-2)
