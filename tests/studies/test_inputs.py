from pathlib import Path

import numpy as np
import pytest
import soundfile

from dha_utils.core import paths
from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled
from dha_utils.responses import outputs
from dha_utils.studies import inputs as module
from dha_utils.studies.inputs import Inputs, is_bundled, load_inputs, start_from


@pytest.fixture
def sounds(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("buzz", "hiss"):
        (tmp_path / label).mkdir()
        for i in range(4):
            soundfile.write(tmp_path / label / f"{i}.wav", rng.uniform(-0.3, 0.3, 8000), 16_000)
    return tmp_path


def test_from_audio_and_back(sounds, random_network, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_network", lambda *_: random_network)
    inputs = load_inputs(str(sounds), rates=[16_000], duration=0.5)
    assert inputs.source.startswith("These results start from the audio")
    assert list(inputs.spectrograms) == ["buzz", "hiss"]
    inputs.save(tmp_path / "kept")
    loaded = Inputs.load(tmp_path / "kept", [16_000], "")
    np.testing.assert_array_equal(loaded.responses[16_000]["bn5"], inputs.responses[16_000]["bn5"])
    np.testing.assert_array_equal(loaded.mfcc["mfcc"], inputs.mfcc["mfcc"])
    np.testing.assert_array_equal(loaded.spectrograms["hiss"], inputs.spectrograms["hiss"])


def test_bundled_where_there_is_no_audio(monkeypatch, tmp_path):
    monkeypatch.setenv("DHA_DATA", "")
    inputs = load_inputs("esc10")
    assert "bundled" in inputs.source
    assert [len(responses) for responses in inputs.responses.values()] == [400, 400]
    monkeypatch.delenv("DHA_DATA")  # nothing was fetched, or another data set
    for fetched in (tmp_path / "none", tmp_path):
        monkeypatch.setattr(paths, "fetch_dir", lambda folder=fetched: folder)
        assert "bundled" in load_inputs("esc10").source


def test_bundled_artifacts_of_a_copy_say_so(monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    for inputs in (load_inputs("esc50", root=None), start_from("esc50", [22_050], None, Path("none"))):
        assert (
            "a copy: FLAC at 16000 Hz, where nothing above 8 kHz survives; 4 recordings lie" in inputs.source
        )
        assert [*inputs.responses] == [22_050]


def test_audio_that_is_given_and_cannot_be_used_stops_the_run(monkeypatch, tmp_path):
    (tmp_path / "partial" / "001 - Dog bark").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for name, fault in (
        ("mistyped", "there is no folder"),
        ("other", "neither ESC-10 nor ESC-50"),
        ("partial", "400 of the 400 clips of ESC-10 are missing"),
    ):
        monkeypatch.setenv("DHA_DATA", str(tmp_path / name))
        with pytest.raises(
            DataError, match=rf"^\$DHA_DATA cannot be used: {fault}.*; or .* `DHA_DATA= dha run`$"
        ):
            load_inputs("esc10")
        monkeypatch.setenv("DHA_DATA", "")
        with pytest.raises(
            DataError, match=f"^root cannot be used: {fault}.*`DHA_DATA= dha run` and no root$"
        ):
            load_inputs("esc10", root=tmp_path / name)
    monkeypatch.delenv("DHA_DATA")
    monkeypatch.setattr(paths, "fetch_dir", lambda: tmp_path / "partial")
    with pytest.raises(DataError, match=r"^what was fetched cannot be used: 400 of the 400 clips"):
        load_inputs("esc10")


def test_what_is_kept_is_extracted_once_and_a_copy_of_the_bundled_does_not_count(
    sounds, random_network, tmp_path_factory, monkeypatch
):
    kept = tmp_path_factory.mktemp("kept")
    monkeypatch.setattr(module, "load_network", lambda *_: random_network)
    how = {"rates": [16_000], "duration": 0.5, "folder": kept}
    first = load_inputs(str(sounds), **how)
    monkeypatch.setattr(outputs, "run_blocks", None)
    again = load_inputs(str(sounds), **how)
    np.testing.assert_array_equal(again.responses[16_000]["bn5"], first.responses[16_000]["bn5"])
    first.responses[16_000].provenance["bundled"] = True
    first.save(kept)
    with pytest.raises(TypeError, match="not callable"):
        load_inputs(str(sounds), **how)


def test_what_is_not_bundled_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("DHA_DATA", "")
    with pytest.raises(DataError, match=r"no responses at 16000 Hz .* \(there are: 22050, 44100\)"):
        load_inputs("esc10", rates=[16_000])
    with pytest.raises(DataError, match=r"hold 5.0 s per clip, not 3.0 s"):
        load_inputs("esc10", duration=3.0)
    with pytest.raises(DataError, match="neither ESC-10 nor ESC-50"):
        load_inputs("esc10", root=tmp_path)
    with pytest.raises(DataError, match="did you mean 'esc10'"):
        load_inputs("esc-10")


def test_bundled_files_carry_their_provenance():
    inputs = Inputs.load(bundled("esc10"), [22_050, 44_100], "")
    assert (bundled("esc10") / "provenance.json").read_text() == module.provenance_json(inputs)
    for rate, responses in inputs.responses.items():
        assert responses.provenance["parameters"]["rate"] == rate
        assert responses.provenance["clips"] == 400


def test_a_notebook_opened_alone_starts_from_what_is_bundled_or_was_made_here(tmp_path):
    folder = tmp_path / "esc10"
    inputs = start_from("esc10", [22_050], None, folder)
    assert inputs.source.endswith("responses that are bundled of esc10; notebook 01 has not been run here.")
    inputs.save(folder)
    assert is_bundled(folder)
    assert len(start_from("esc10", [44_100], None, folder).responses[44_100]) == 400
    inputs.responses[22_050].take(slice(0, 390)).save(folder / "responses_22050.safetensors")
    mine = start_from("esc10", [22_050], None, folder)
    assert len(mine.responses[22_050]) == 390
    assert mine.source == "These results start from the responses kept in results/esc10."
    with pytest.raises(DataError, match=r"made here, none at 44100 Hz: .*`dha run --only 01 -p rates '"):
        start_from("esc10", [22_050, 44_100], None, folder)


def test_a_notebook_opened_alone_on_sounds_of_ones_own_makes_its_responses(
    sounds, random_network, tmp_path_factory, monkeypatch
):
    monkeypatch.setattr(module, "load_network", lambda *_: random_network)
    folder = tmp_path_factory.mktemp("results") / sounds.name
    made = start_from(str(sounds), [16_000], None, folder)
    assert made.source.startswith("These results start from the audio of")
    monkeypatch.setattr(module, "load_inputs", None)
    again = start_from(str(sounds), [16_000], None, folder)
    np.testing.assert_array_equal(again.responses[16_000]["bn5"], made.responses[16_000]["bn5"])
