from dha_utils.book import fingerprint
from dha_utils.book.fingerprint import fingerprint_inputs


def test_fingerprint_sees_code_artifacts_versions_and_audio(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "repository", lambda: tmp_path)
    monkeypatch.setenv("DHA_DATA", "")
    audio = tmp_path / "audio"
    changes = [
        (tmp_path / "dha_utils" / "criteria" / "anova.py", {}),
        (tmp_path / "dha_utils" / "datasets" / "classes.csv", {}),
        (tmp_path / "data" / "esc10" / "responses.safetensors", {}),
        (tmp_path / "requirements.lock", {}),
        (audio / "dog" / "1.ogg", {"root": str(audio)}),
        (audio / "dog" / "2.ogg", {"dataset": str(audio)}),
    ]
    for path, given in changes:
        before = fingerprint_inputs(given)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new")
        assert fingerprint_inputs(given) != before, path
        assert fingerprint_inputs(given) == fingerprint_inputs(given)
    without = fingerprint_inputs({})
    monkeypatch.setenv("DHA_DATA", str(audio))
    assert fingerprint_inputs({}) != without
