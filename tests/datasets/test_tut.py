import numpy as np
import pytest
import soundfile
from miniatures import DEVELOPMENT, EVALUATION, SCENES, make_dcase2016

from dha_utils.audio.waveforms import clip_waveforms, load_audio
from dha_utils.core.errors import AudioError
from dha_utils.datasets import default_duration, load_clips
from dha_utils.responses.extraction import extract_responses


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_dcase2016(tmp_path_factory.mktemp("data"))


def test_the_four_official_folds(root):
    clips = load_clips("dcase2016", root)
    assert (len(clips), clips.classes, clips.test_folds) == (24, sorted(SCENES), [1, 2, 3, 4])
    row = clips.table.set_index("clip").loc["a021_30_60"]
    assert row["path"] == str(root / DEVELOPMENT / "audio" / "a021_30_60.wav")
    assert (row["label"], row["fold"], row["recording"]) == ("cafe/restaurant", 2, "a021")
    assert (clips.table.groupby("recording")["fold"].nunique() == 1).all()
    assert clips.notes == (f"a subset of 24 of the 1170 clips of {DEVELOPMENT}",)
    assert load_clips("dcase2016", root / DEVELOPMENT).table.equals(clips.table)
    assert (default_duration("dcase2016"), default_duration("esc50"), default_duration("mine")) == (30, 5, 5)


def test_the_protocol_of_the_challenge(root):
    clips = load_clips("dcase2016-evaluation", root)
    development = load_clips("dcase2016", root)
    assert clips.test_folds == [1]
    trained = clips.take(clips.folds == 0).table
    assert trained["clip"].tolist() == development.table["clip"].tolist()
    row = clips.table.set_index("clip").loc["evaluation/3"]
    assert row["path"] == str(root / EVALUATION / "audio" / "3.wav")
    assert (row["label"], row["recording"]) == ("cafe/restaurant", "b001")
    assert len(clips.notes) == 2


def test_erroneous_seconds_are_cut_out(root):
    clips = load_clips("dcase2016", root)
    cuts = dict(zip(clips.table["clip"], clips.cuts, strict=True))
    assert cuts.pop("a010_0_30") == [(0.1, 0.25)]
    assert not any(cuts.values())
    one = clips.take(clips.table["clip"] == "a010_0_30")
    (waveform,) = clip_waveforms(one, 44_100, None)
    samples, _ = soundfile.read(one.table["path"][0], dtype="float32")
    expected = np.delete(samples.mean(axis=1), np.arange(4410, 11_025))
    np.testing.assert_allclose(waveform, expected, atol=1e-6)
    with pytest.raises(AudioError, match="all of it is marked as erroneous; leave the clip out"):
        load_audio(one.table["path"][0], 22_050, cut=[(0, 9)])


def test_channels(root):
    path = root / DEVELOPMENT / "audio" / "a010_0_30.wav"
    samples, rate = soundfile.read(path, dtype="float32")
    got = {channel: load_audio(path, rate, channel=channel) for channel in ("left", "right", "mean")}
    np.testing.assert_array_equal(got["left"], samples[:, 0])
    np.testing.assert_array_equal(got["right"], samples[:, 1])
    np.testing.assert_allclose(got["mean"], samples.mean(axis=1), atol=1e-7)
    with pytest.raises(AudioError, match="no channel 'both'; choose one of mean, left, right"):
        load_audio(path, rate, channel="both")


def test_a_mono_file_has_one_channel(tmp_path):
    soundfile.write(tmp_path / "mono.wav", np.linspace(-0.5, 0.5, 100), 8000)
    left, right = (load_audio(tmp_path / "mono.wav", 8000, channel=channel) for channel in ("left", "right"))
    np.testing.assert_array_equal(left, right)


def test_extraction_says_what_was_done(root, random_network):
    clips = load_clips("dcase2016", root)
    options = {"model": random_network, "duration": 0.4}
    left, mean = (extract_responses(clips, channel=channel, **options) for channel in ("left", "mean"))
    assert left.provenance["parameters"]["channel"] == "left"
    assert left.provenance["cut"] == {"a010_0_30": [[0.1, 0.25]]}
    assert left.provenance["notes"] == list(clips.notes)
    assert np.abs(left["pool1"] - mean["pool1"]).max() > 0
