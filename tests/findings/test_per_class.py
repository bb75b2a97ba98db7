import numpy as np
import pandas as pd
import pytest

from dha_utils.evaluation.crossvalidation import CrossValidation
from dha_utils.evaluation.inference import paired_difference
from dha_utils.findings.per_class import (
    changed_clips,
    class_changes,
    confused_pairs,
    confusion,
    summarise_changes,
)
from dha_utils.responses.table import Responses

CLASSES = ["dog", "rain", "sea"]
TRUE = np.repeat([0, 1, 2], 20)
TABLE = pd.DataFrame(
    {
        "clip": [f"clip{i:02d}" for i in range(60)],
        "label": np.array(CLASSES)[TRUE],
        "fold": 1,
        "recording": "r",
    }
)


def run_that_says(said):
    probabilities = np.eye(3)[said][None]
    recordings = np.array([f"r{i // 2}" for i in range(60)])
    return CrossValidation(("relu7",), probabilities, TRUE, np.arange(60) % 5 + 1, recordings, {}, {})


BEFORE = TRUE.copy()
BEFORE[20:22] = 2  # two clips of rain are taken for the sea
AFTER = TRUE.copy()
AFTER[:15] = 1  # most dogs for rain
FULL, KEPT = run_that_says(BEFORE), run_that_says(AFTER)


def test_classes_that_lose_come_first():
    changes = class_changes(FULL, KEPT, CLASSES)
    assert changes["label"].tolist() == ["dog", "sea", "rain"]
    assert changes["change"].tolist() == pytest.approx([-0.75, 0, 0.1])
    expected = paired_difference(FULL.correct()[:20], KEPT.correct()[:20], FULL.recordings[:20])
    assert tuple(changes.loc[0, ["change", "low", "high"]]) == expected
    summary = summarise_changes(changes)
    assert (summary["classes"], summary["lower"], summary["higher"]) == (3, 1, 1)
    assert (summary["lose"], summary["gain"]) == (["dog"], [])
    assert summary["most"]["label"] == "dog"


def test_changed_clips_are_those_that_are_right_once():
    changed = changed_clips(FULL, KEPT, Responses({}, TABLE))
    assert len(changed) == 17
    assert changed.iloc[0].tolist() == ["clip00", "dog", "dog", "rain"]
    assert changed.iloc[-1].tolist() == ["clip21", "rain", "sea", "rain"]


def test_confusion():
    assert confusion(FULL).tolist() == [[20, 0, 0], [0, 18, 2], [0, 0, 20]]
    pairs = confused_pairs(confusion(KEPT) + confusion(FULL), CLASSES)
    assert pairs.to_dict("records") == [
        {"label": "dog", "other": "rain", "clips": 15},
        {"label": "rain", "other": "sea", "clips": 2},
    ]
