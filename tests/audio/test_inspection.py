import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from miniatures import write_clip

from dha_utils.audio.inspection import inspect_clips, usable_clips
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.datasets import load_clips
from dha_utils.networks.registry import outline
from dha_utils.studies import inputs


@pytest.fixture
def table(tmp_path):
    """A table of 2 classes of 5 sounds, one of which is missing, one empty, one twice."""
    rows = []
    for label, name in enumerate(("dog", "rain")):
        for i in range(5):
            write_clip(tmp_path / f"{name}{i}.wav", label, 10 * label + i, 0.4, 1)
            rows.append((f"{name}{i}.wav", name, i % 5 + 1))
    (tmp_path / "dog1.wav").unlink()
    (tmp_path / "dog2.wav").write_bytes(b"")
    shutil.copy(tmp_path / "rain3.wav", tmp_path / "rain4.wav")
    file = tmp_path / "mine.csv"
    pd.DataFrame(rows, columns=["path", "label", "fold"]).to_csv(file, index=False)
    return file


FAULTS = {
    "dog1.wav": "no such file",
    "dog2.wav": "is empty (0 bytes); get the file again",
    "rain4.wav": "the same content as rain3.wav",
}


def test_the_report_names_every_fault(table):
    report = inspect_clips(load_clips(table, allow_missing=True))
    assert report.faults == FAULTS
    assert report.lines()[0] == "mine: 10 clips, 2 classes, clips per fold 1: 2, 2: 2, 3: 2, 4: 2, 5: 2"
    assert report.lines()[1:] == [f"  {clip}: {fault}" for clip, fault in FAULTS.items()]


def test_stop_or_go_on_without(table):
    clips = load_clips(table, allow_missing=True)
    with pytest.raises(
        DataError, match=r"3 of the 10 clips of mine cannot be used \(dog1.wav: no such file; .*--skip-bad"
    ):
        usable_clips(clips)
    kept = usable_clips(clips, skip_bad=True)
    assert len(kept) == 7
    assert kept.left_out == tuple({"clip": clip, "fault": fault} for clip, fault in FAULTS.items())
    assert kept.take([0, 1]).left_out == kept.left_out


def test_a_file_that_is_too_short_for_the_network_is_named(table):
    clips = load_clips(table, allow_missing=True)
    assert outline().check_duration(5.0, 22_050) == 0.0
    shortest = outline().check_duration(None, 11_025)
    found = inspect_clips(clips, shortest=shortest).faults
    assert set(found) == set(clips.table["clip"])
    assert (
        found["dog0.wav"]
        == "lasts 0.400 s, too short for the network: it needs 0.415, or a duration to pad to"
    )
    assert inspect_clips(clips, shortest=outline().check_duration(None, 22_050)).faults == FAULTS
    with pytest.raises(
        ParameterError, match=r"0.2 s is too short for the network at 22050 Hz: give at least 0.207"
    ):
        outline().check_duration(0.2, 22_050)
    with pytest.raises(ParameterError, match="is too short for the network at 22050 Hz"):
        inputs.load_inputs("esc10", duration=0.1)


def test_what_was_left_out_is_in_the_results(table, random_network, monkeypatch):
    monkeypatch.setattr(inputs, "load_network", lambda *_: random_network)
    options = {"rates": [22_050], "duration": 0.4}
    with pytest.raises(DataError, match="1 of the 10 clips of mine are missing"):
        inputs.load_inputs(str(table), **options)
    found = inputs.load_inputs(str(table), skip_bad=True, **options)
    assert found.source.endswith("7 clips, decoded here; 3 that cannot be used were left out.")
    assert [row["clip"] for row in found.responses[22_050].provenance["left_out"]] == list(FAULTS)


def test_mixed_rates_are_no_fault(tmp_path):
    for label in ("dog", "rain"):
        (tmp_path / label).mkdir()
        for i, rate in enumerate((8000, 16_000)):
            noise = np.random.default_rng(i + 2 * (label == "dog")).uniform(-0.5, 0.5, 500)
            soundfile.write(tmp_path / label / f"{label}{i}.wav", noise, rate)
    report = inspect_clips(load_clips(tmp_path))
    assert report.faults == {}
    assert report.notes == ["mixed sampling rates (2 of 8000 Hz, 2 of 16000 Hz); all are resampled"]


def test_a_class_that_gets_too_small_is_named(table):
    for name in ("dog0.wav", "dog3.wav"):
        (table.parent / name).write_text("words")
    clips = load_clips(table, allow_missing=True)
    # The one sound that is left of the class is a fault of its own: there is nothing to test or to learn it on.
    report = inspect_clips(clips)
    assert report.faults["dog4.wav"].startswith("the only recording of class 'dog'")
    with pytest.raises(DataError, match="nothing is left of class 'dog' of mine"):
        usable_clips(clips, skip_bad=True)
    write_clip(table.parent / "dog0.wav", 0, 77, 0.4, 1)
    with pytest.raises(
        DataError, match=r"after leaving out 4 clips .*, class 'dog' has 1 clip outside fold 1"
    ):
        usable_clips(clips, skip_bad=True)


def test_published_duplicates_are_noted_only(table):
    clips = load_clips(table, allow_missing=True)
    published = type(clips)("esc50", clips.root, clips.table)
    report = inspect_clips(published)
    assert "rain4.wav" not in report.faults
    assert report.notes == ["rain3.wav, rain4.wav have the same content, in this data set as published"]
