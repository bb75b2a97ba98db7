"""What the page `hear` says of maps, on responses whose answer is known, and on what is bundled."""

import base64

import numpy as np
import pandas as pd
import pytest

from dha_utils.book import hearing
from dha_utils.book.hearing import hear, named_maps, tap_content, telling_clips
from dha_utils.responses.table import Responses

LABELS = np.repeat(["dog", "rain"], 8)


def responses_of(x):
    names = [f"clip{number:02}" for number in range(16)]
    table = pd.DataFrame({"clip": names, "label": LABELS, "fold": [1, 2] * 8, "recording": names})
    return Responses({"pool1": np.asarray(x, np.float32)}, table, {})


def unpacked(packed, kind, *shape):
    return np.frombuffer(base64.b64decode(packed), kind).reshape(shape)


@pytest.fixture
def responses():
    """Map 0 tells the classes, map 1 is one clip, map 2 follows silence, map 3 is constant, the others are noise."""
    x = np.random.default_rng(0).normal(size=(16, 9))
    x[:, 0] = np.where(LABELS == "dog", 10, 0) + np.arange(16) / 8
    x[:, 1] = np.arange(16) / 100
    x[5, 1] = 40
    x[:, 2] = -np.arange(16)
    x[:, 3] = 1
    return responses_of(x)


def test_maps_are_put_into_groups(responses):
    groups = {group["name"]: group["maps"] for group in named_maps(responses, np.arange(16) / 15)}
    assert groups["kept"] == {"pool1": [0]}
    assert groups["one clip"] == {"pool1": [1]}
    assert groups["silence"]["pool1"][0] == 2
    assert {3} <= {*groups["ignored"]["pool1"]} <= {*range(1, 9)}


def test_clips_at_the_ends_are_chosen(responses):
    x = np.zeros((16, 5))
    x[[1, 9]], x[[2, 10]], x[[3, 11]] = 3, 2, -2
    allowed = np.arange(16) != 9
    rows = telling_clips(responses_of(x), allowed, 2)
    assert len(rows) == 4
    assert {1, 10} <= {*rows}
    assert 9 not in rows


def test_what_is_said_of_a_map_can_be_unpacked(responses):
    rows = np.array([0, 5, 7, 8, 12, 15])
    maps = np.zeros((6, 9, 100), np.float32)
    maps[:, 0] = np.arange(100)
    maps[0, 0] += 50
    (tap,) = tap_content(responses, rows, [("pool1", maps)])
    assert (tap["name"], tap["maps"], tap["positions"]) == ("pool1", 9, 48)
    means = unpacked(tap["means"], np.int8, 9, 2) / 16
    x = responses["pool1"][:, 0].astype(float)
    standard = (x - x.mean()) / x.std()
    assert means[0] == pytest.approx([standard[:8].mean(), standard[8:].mean()], abs=1 / 32)
    assert (means[3] == 0).all()
    ends, places = unpacked(tap["ends"], np.uint8, 9, 6), unpacked(tap["places"], "<u2", 9, 6)
    assert rows[ends[0]].tolist() == [7, 5, 0, 8, 12, 15]  # the largest three, then the smallest three
    assert places[0].tolist() == [1, 3, 8, 16, 12, 9]
    assert unpacked(tap["eta2"], np.uint8, 9)[0] > 240
    course = unpacked(tap["over_time"], np.uint8, 9, 6, 48)
    assert course[0, 2, -1] == 255  # clip 0, which is shown third
    assert course[0, 0, 0] == 0
    assert (np.diff(course[0].astype(int), axis=1) >= 0).all()
    assert (course[1] == 0).all()


def test_maps_whose_course_is_unknown_say_so(responses):
    (tap,) = tap_content(responses, np.array([0, 5, 7, 15]), [])
    assert (tap["positions"], tap["over_time"]) == (0, "")
    assert unpacked(tap["ends"], np.uint8, 9, 4).shape == (9, 4)


def test_without_audio_a_clip_of_every_class_is_rebuilt(tmp_path, monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    monkeypatch.setattr(hearing, "rebuild", lambda spectrogram, rate, n_samples: np.zeros(n_samples))
    content = hear("esc10", tmp_path / "heard")
    assert not content["real"]
    assert sorted(clip["label"] for clip in content["clips"]) == content["classes"]
    assert sum(tap["maps"] for tap in content["taps"]) == 4336
    assert [tap["name"] for tap in content["taps"] if tap["positions"]] == ["relu3", "pool5"]
    assert [group["name"] for group in content["groups"]] == ["kept", "ignored", "one clip", "silence"]
    for clip in content["clips"]:
        assert (tmp_path / "heard" / f"{clip['name']}.mp3").is_file()
        assert (tmp_path / "heard" / f"{clip['name']}.png").is_file()
