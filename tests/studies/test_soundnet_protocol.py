import json

import numpy as np
import pytest
from miniatures import make_sounds

from dha_utils.audio.waveforms import load_audio
from dha_utils.core.paths import bundled
from dha_utils.datasets import load_clips
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.table import Responses
from dha_utils.studies import soundnet_protocol as module
from dha_utils.studies.soundnet_protocol import (
    TAP,
    cut_windows,
    evaluate_windows,
    extract_windows,
    load_soundnet_protocol,
)


def test_windows_are_of_the_repeated_sound(random_network, tmp_path, monkeypatch):
    """A window holds a second's positions of each map; at 22 050 Hz that is 3, and 10 s are 9 of them."""
    monkeypatch.setattr(module, "load_behind", lambda provenance: random_network)
    clips = load_clips(make_sounds(tmp_path / "sounds", seconds=1.2)).take(range(2))
    responses = extract_responses(clips, random_network, duration=1.2)
    windows, n_windows, positions = extract_windows(clips, responses)
    assert (n_windows, positions) == (9, 3)
    sound = np.resize(load_audio(clips.table["path"].iloc[1], 22_050, 1.2), 220_500)
    maps = next(
        maps for name, maps in random_network.features(module.torch.from_numpy(sound[None])) if name == TAP
    )
    expected = [maps[0, :, 3 * k : 3 * k + 3].detach().numpy().ravel() for k in range(9)]
    found = windows[TAP][1].reshape(9, -1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_windows_leave_out_a_rest():
    assert cut_windows(np.zeros((4, 11)), positions=3).shape == (3, 12)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_scores_of_windows_are_averaged(make_responses, n_classes):
    """Each window alone says little; all together they say it."""
    responses = make_responses({TAP: 9 * 6}, n_classes=n_classes, n_good=0)
    rng = np.random.default_rng(0)
    means = np.tile(rng.normal(size=(n_classes, 6)), 9)[responses.y]
    x = means + 1.5 * rng.normal(size=means.shape)
    windows = Responses({TAP: x.astype(np.float32)}, responses.table, responses.provenance)
    together = evaluate_windows(windows, 9).mean()
    first = Responses({TAP: windows[TAP][:, :6]}, responses.table, responses.provenance)
    assert together > evaluate_windows(first, 1).mean()
    assert together > 0.9


def test_without_audio_a_sentence_says_so(make_responses, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "clips_at_hand", lambda *arguments, **options: None)
    assert load_soundnet_protocol(make_responses(), tmp_path, dataset="made_up") == {}
    assert capsys.readouterr().out == ""  # nothing is published of it
    assert load_soundnet_protocol(make_responses(), tmp_path, dataset="esc10") == {}
    assert "not bundled and needs the audio" in capsys.readouterr().out


@pytest.mark.parametrize("dataset", ["esc10"])
def test_what_is_bundled_belongs_to_the_responses(dataset):
    responses = Responses.load(bundled(dataset) / "responses_22050.safetensors")
    content = json.loads((bundled(dataset) / "soundnet_protocol_22050.json").read_text())
    assert content["key"] == module._key(responses)
    assert content["windows"] * content["positions"] == 27
