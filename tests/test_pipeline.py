"""All notebooks on data sets that are not bundled: a miniature of DCASE-16, and sounds of one's own."""

import json

import pandas as pd
import pytest
from miniatures import make_dcase2016, write_clip

from dha_utils.book.runner import run_notebooks
from dha_utils.core.paths import repository
from dha_utils.findings.outcomes import CLAIMS

QUICK = {"rates": [22_050], "duration": 0.5, "workers": 1}
"""Parameters that make a run short; the sounds are short as well, and processes take longer to start than to work."""

FEW = {"seeds": 2, "fractions": [0.11], "budgets": [0.35]}
"""The same for the later notebooks."""


def read(results, name):
    return json.loads((results / f"{name}.json").read_text("utf-8"))


def test_the_book_on_dcase2016_with_its_evaluation_set(tmp_path):
    root = make_dcase2016(tmp_path / "data")
    given = QUICK | FEW | {"dataset": "dcase2016-evaluation", "root": str(root), "channel": "left"}
    executed = run_notebooks(given | {"results": str(tmp_path / "results")}, executed=tmp_path / "executed")
    names = sorted(path.stem for path in (repository() / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in executed] == [name for name in names if name != "15_second_network"]
    results = tmp_path / "results" / "dcase2016-evaluation"
    responses = read(results, "responses")
    assert (responses["clips"], responses["folds"], responses["channel"]) == (30, 1, "left")
    assert "a subset of 24 of the 1170 clips" in responses["source"]
    assert responses["provenance"]["22050"]["cut"] == {"a010_0_30": [[0.1, 0.25]]}
    # Only the evaluation set is tested, and everything else is learned from.
    predictions = read(results, "predictions")
    assert predictions["clips"] == [f"evaluation/{i}" for i in range(6)]
    assert len(predictions["full"]["22050"]) == 6
    assert read(results, "redundancy")["jaccard"] is None  # one training set agrees with nothing
    outcomes = read(results, "outcomes")
    assert list(outcomes["claims"]) == list(CLAIMS)
    assert outcomes["on"] == "the evaluation set of DCASE-16"


def test_a_table_of_ones_own_with_a_bad_file(tmp_path):
    rows = []
    for label, name in enumerate(("dog", "rain")):
        for i in range(6):
            write_clip(tmp_path / f"{name}{i}.wav", label, 10 * label + i, 0.5, 1)
            rows.append((f"{name}{i}.wav", name))
    (tmp_path / "dog5.wav").write_text("words")
    table = tmp_path / "mine.csv"
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(table, index=False)
    given = QUICK | {"dataset": str(table), "skip_bad": True, "results": str(tmp_path / "results")}
    run_notebooks(given, only=("01", "06"), executed=tmp_path / "executed")
    responses = read(tmp_path / "results" / "mine", "responses")
    assert responses["clips"] == 11
    assert [row["clip"] for row in responses["left_out"]] == ["dog5.wav"]


@pytest.fixture
def lines(tmp_path, capsys):
    """Return a function that runs notebook 01 on a table and returns what was printed."""

    def run(table):
        given = QUICK | {"dataset": str(table), "results": str(tmp_path / "results")}
        run_notebooks(given, only=("01",), executed=tmp_path / "executed")
        return capsys.readouterr().out

    return run


def test_a_changed_table_or_sound_is_run_again(tmp_path, lines):
    rows = []
    for label, name in enumerate(("dog", "rain")):
        for i in range(4):
            write_clip(tmp_path / "data" / f"{name}{i}.wav", label, 10 * label + i, 0.5, 1)
            rows.append((f"data/{name}{i}.wav", name))
    table = tmp_path / "mine.csv"
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(table, index=False)
    assert not lines(table).endswith("unchanged\n")
    assert lines(table).endswith("unchanged\n")
    write_clip(tmp_path / "data" / "dog0.wav", 0, 99, 0.5, 1)
    assert not lines(table).endswith("unchanged\n")
    pd.DataFrame(rows[1:], columns=["path", "label"]).to_csv(table, index=False)
    assert not lines(table).endswith("unchanged\n")
