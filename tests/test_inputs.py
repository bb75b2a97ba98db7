import numpy as np
import pytest
import soundfile

from dha_utils import inputs as module
from dha_utils.errors import DataError
from dha_utils.inputs import Inputs, load_inputs
from dha_utils.paths import bundled


@pytest.fixture
def sounds(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("buzz", "hiss"):
        (tmp_path / label).mkdir()
        for i in range(4):
            soundfile.write(tmp_path / label / f"{i}.wav", rng.uniform(-0.3, 0.3, 8000), 16_000)
    return tmp_path


def test_from_audio_and_back(sounds, random_network, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_soundnet", lambda: random_network)
    inputs = load_inputs(str(sounds), rates=[16_000], duration=0.5, progress=False)
    assert inputs.source.startswith("These results start from the audio")
    assert list(inputs.spectrograms) == ["buzz", "hiss"]
    inputs.save(tmp_path / "kept")
    loaded = Inputs.load(tmp_path / "kept", [16_000], "")
    np.testing.assert_array_equal(loaded.responses[16_000]["bn5"], inputs.responses[16_000]["bn5"])
    np.testing.assert_array_equal(loaded.mfcc["mfcc"], inputs.mfcc["mfcc"])
    np.testing.assert_array_equal(loaded.spectrograms["hiss"], inputs.spectrograms["hiss"])


def test_bundled_where_there_is_no_audio(monkeypatch, tmp_path):
    monkeypatch.setenv("DHA_DATA", "")
    inputs = load_inputs("esc10", progress=False)
    assert "bundled artifacts" in inputs.source
    assert [len(responses) for responses in inputs.responses.values()] == [400, 400]
    monkeypatch.setenv("DHA_DATA", str(tmp_path))  # set, but ESC-10 is not there
    assert "bundled artifacts" in load_inputs("esc10", progress=False).source


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
