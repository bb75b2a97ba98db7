import json

import numpy as np
import pytest

from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.responses.table import Responses
from dha_utils.studies import padding
from dha_utils.studies.padding import compare_ensembles, compare_responses, keep_padding


@pytest.fixture
def both(make_responses):
    """Responses, and those of another padding: other values, and a few maps that say nothing any more."""
    made = make_responses()
    provenance = made.provenance | {"parameters": {"rate": 22_050, "duration": 5.0, "channel": "mean"}}
    rng = np.random.default_rng(1)
    other = {}
    for tap, array in made.arrays.items():
        other[tap] = (array + rng.normal(0.5, 0.7, array.shape)).astype(np.float32)
        other[tap][:, -3:] = 7.3
    return Responses(made.arrays, made.table, provenance), Responses(other, made.table, provenance)


def test_tables_equal_naive_loops(both):
    ours, theirs = both
    rows = compare_responses(ours, theirs)
    assert [row["tap"] for row in rows] == list(ours.taps)
    for row in rows:
        a, b = ours[row["tap"]].astype(float), theirs[row["tap"]].astype(float)
        n_maps = a.shape[1]
        correlations = [np.corrcoef(a[:, c], b[:, c])[0, 1] for c in range(n_maps - 3)]
        assert row["constant"] == 3
        assert row["correlation"] == pytest.approx(np.median(correlations))
        spread = np.mean([a[:, c].var() for c in range(n_maps)])
        assert row["difference"] == pytest.approx(np.sqrt(np.mean((a - b) ** 2) / spread))
    # 5 s at 22 050 Hz are 7 positions of layer 6 and 4 of layer 7; padding is 2 of either.
    assert [row["edges"] for row in rows] == [2 / 7, 2 / 4]


def test_the_same_responses_do_not_move(both):
    for row in compare_responses(both[0], both[0]):
        assert (row["correlation"], row["difference"], row["constant"]) == (pytest.approx(1), 0, 0)


def test_accuracies_are_those_of_the_ensemble(both):
    ours, theirs = both
    rows = compare_ensembles(ours, theirs, keep=0.3)
    assert [(row["classifier"], row["padding"]) for row in rows] == [
        ("converging", "input"),
        ("converging", "released"),
        ("released", "input"),
        ("released", "released"),
    ]
    full = cross_validate(theirs)
    kept = cross_validate(theirs, lambda part: select(part, "anova", keep=0.3))
    assert (rows[1]["full"], rows[1]["kept"]) == (full.accuracy(), kept.accuracy())
    assert rows[1]["change"] == pytest.approx(kept.accuracy() - full.accuracy())
    assert rows[1]["low"] <= rows[1]["change"] <= rows[1]["high"]


def test_bundled_with_the_key_of_the_other_padding(both, tmp_path, monkeypatch):
    ours, theirs = both
    asked = {}

    def extract(clips, **options):
        asked.update(options)
        parameters = theirs.provenance["parameters"] | {"padding": options["padding"]}
        return Responses(theirs.arrays, theirs.table, theirs.provenance | {"parameters": parameters})

    monkeypatch.setattr(padding, "extract_responses", extract)
    keep_padding(ours, None, tmp_path)
    assert asked == {"padding": "released", "rate": 22_050, "duration": 5.0, "channel": "mean"}
    effects = json.loads((tmp_path / "padding_22050.json").read_text())
    assert effects["key"]["parameters"]["padding"] == "released"
    assert effects["key"]["parameters"]["keep"] == 0.11
    assert effects["taps"] == compare_responses(ours, theirs)
    assert len(effects["ensembles"]) == 4
