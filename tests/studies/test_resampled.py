import json

import pytest

from dha_utils.core.paths import bundled
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.paper import KEEP
from dha_utils.responses.provenance import key_of
from dha_utils.studies import resampled
from dha_utils.studies.resampled import find_copy, keep_copy


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Return a function that says which folders hold a copy, by their notes, and gives the clips of the first."""

    def make(table, **notes):
        clips = {
            tmp_path / name: Clips("mine", tmp_path / name, table, noted) for name, noted in notes.items()
        }
        for folder in [*clips, tmp_path / "other"]:
            folder.mkdir()

        def load(name, folder):
            if folder not in clips:
                return load_clips("esc10", folder)  # there is none
            return clips[folder]

        monkeypatch.setattr(resampled, "load_clips", load)
        return next(iter(clips.values()))

    return make


def test_a_copy_is_what_has_notes_of_its_own(copies, make_responses):
    clips = copies(
        make_responses().table.assign(path=""),
        published=("subset",),
        same=("subset",),
        z=("16 kHz", "subset"),
    )
    assert find_copy(clips).root.name == "z"


def test_without_a_copy_nothing_is_written(copies, make_responses, tmp_path, capsys):
    clips = copies(make_responses().table.assign(path=""), published=())
    assert find_copy(clips) is None
    keep_copy(make_responses(), clips, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    assert "no copy at another rate lies beside" in capsys.readouterr().out


def test_the_same_sounds_cost_nothing(copies, make_responses, tmp_path, monkeypatch):
    ours = make_responses()
    ours.provenance["parameters"] = {"rate": 22_050, "duration": 5.0, "channel": "mean"}
    clips = copies(ours.table.assign(path=""), published=(), copy=("16 kHz",))
    monkeypatch.setattr(resampled, "extract_responses", lambda copy, **how: ours)
    keep_copy(ours, clips, tmp_path)
    effects = json.loads((tmp_path / "copy_22050.json").read_text())
    assert effects["notes"] == ["16 kHz"]
    assert [row["difference"] for row in effects["taps"]] == [0] * len(ours.taps)
    assert [row["change"] for row in effects["sounds"]] == [0] * 4
    assert {row["sounds"] for row in effects["selections"]} == {"published", "copy"}


def test_what_is_bundled_belongs_to_the_copy_and_to_the_clips_of_esc10(esc10):
    effects = json.loads((bundled("esc10") / "copy_22050.json").read_text())
    own = key_of("sweep", esc10, keep=KEEP)
    assert {part for part in own if own[part] != effects["key"][part]} == {"sound"}
