import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from dha_utils.datasets.clips import COLUMNS, Clips
from dha_utils.datasets.labels import describe_labels


def clips(*labels, folds=None):
    rows = [
        (f"{i}", f"/x/{i}.wav", label, 1 + i % 2 if folds is None else folds[i], f"{i}")
        for i, label in enumerate(labels)
    ]
    return Clips("mine", Path("/x"), pd.DataFrame(rows, columns=COLUMNS))


ALIKE = "classes whose labels differ in capitals, spaces or invisible characters alone: "


@pytest.mark.parametrize(
    ("labels", "note"),
    [
        (("dog", "Dog", "Dog", "rain"), f"{ALIKE}'Dog' (2) and 'dog' (1)"),
        (("rain", "rain\u200b"), f"{ALIKE}'rain' (1) and 'rain\\u200b' (1)"),
        (("sea waves", "sea_waves", "rain"), f"{ALIKE}'sea waves' (1) and 'sea_waves' (1)"),
        (
            ("flüssig", unicodedata.normalize("NFD", "flüssig")),
            f"{ALIKE}'flu\\u0308ssig' (1) and 'fl\\xfcssig' (1)",
        ),
        (("nan", "nan", "rain"), "label 'nan' is a class of its own here (2 clips): was none given?"),
        (("N/A", "rain"), "label 'N/A' is a class of its own here (1 clips): was none given?"),
    ],
)
def test_labels_that_look_wrong_are_said_once(labels, note):
    assert describe_labels(clips(*labels)) == [note]


def test_fold_0_is_said():
    assert describe_labels(clips("a", "b", "a", "b", folds=[0, 1, 2, 0])) == [
        "fold 0 (2 clips) is always learned from and never tested"
    ]


def test_labels_as_they_should_be():
    assert describe_labels(clips("dog", "rain", "none of these", "日本", "🌧️")) == []
