import json
import os

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from dha_utils.book import check as module
from dha_utils.book import runner
from dha_utils.book.check import (
    Comparison,
    Headline,
    check,
    compare,
    format_table,
    quote_headline,
    read_number,
    recompute_cells,
)
from dha_utils.core.errors import DataError
from dha_utils.core.paths import repository
from dha_utils.studies.sweeps import Cell, sweep

ACCURACY = Headline("ensemble.json", "rates.22050.accuracy", 0.5, "%")
KEPT = Headline("redundancy.json", "taps.1.kept", 0, "maps")


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository with one notebook that writes two results files."""
    monkeypatch.setattr(runner, "repository", lambda: tmp_path)
    monkeypatch.setattr(module, "repository", lambda: tmp_path)
    monkeypatch.setattr(module, "HEADLINES", (ACCURACY, KEPT))
    monkeypatch.setattr(module, "recompute_cells", list)
    monkeypatch.setenv("DHA_DATA", str(tmp_path / "audio"))
    (tmp_path / "README.md").write_text("before\n<!-- headline -->\nold\n<!-- /headline -->\nafter\n")
    write_notebook(tmp_path, accuracy=91.0)
    return tmp_path


def write_notebook(root, accuracy, outcome="holds"):
    code = f"""
import json, os
from pathlib import Path
assert dataset == "esc10" and not os.environ["DHA_DATA"]
folder = Path(results, dataset)
folder.mkdir(parents=True)
(folder / "ensemble.json").write_text(json.dumps({{"rates": {{"22050": {{"accuracy": {accuracy}}}}}}}))
row = {{"claim": "cost", "part": "in points", "text": "a claim", "measured": "a number", "outcome": "{outcome}"}}
(folder / "outcomes.json").write_text(json.dumps({{"on": "ESC-10", "table": [row], "parts": [row]}}))
(folder / "redundancy.json").write_text(json.dumps({{"taps": [{{"kept": 3}}, {{"kept": 7}}]}}))
"""
    parameters = new_code_cell("dataset = ''\nresults = None", metadata={"tags": ["parameters"]})
    notebook = new_notebook(
        cells=[parameters, new_code_cell(code)],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )
    (root / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, root / "notebooks" / "01_all.ipynb")


def test_reference_is_written_holds_and_moves(repo, capsys):
    reference = repo / "results" / "reference" / "esc10"
    reference.mkdir(parents=True)
    (reference / "dropped.json").write_text("{}")
    assert check(write_reference=True)
    assert sorted(path.name for path in reference.iterdir()) == [
        "ensemble.json",
        "outcomes.json",
        "redundancy.json",
    ]
    quoted = (repo / "README.md").read_text()
    assert "| claim | outcome | measured on ESC-10 |" in quoted
    assert "| a claim | holds | a number |\n<!-- /headline -->\nafter\n" in quoted
    assert quoted.startswith("before\n")
    assert "\nold\n" not in quoted
    assert not (repo / "book").exists()  # the user's executed notebooks and results are left alone
    assert [path.name for path in (repo / "results").iterdir()] == ["reference"]

    capsys.readouterr()
    assert check()
    assert capsys.readouterr().out.splitlines()[-1] == "3 numbers and outcomes as they were"
    assert os.environ["DHA_DATA"] == str(repo / "audio")

    write_notebook(repo, accuracy=90.25)
    assert not check()
    header, row = capsys.readouterr().out.splitlines()[-2:]
    assert header.split() == ["number", "reference", "now", "difference", "tolerance", "unit"]
    assert row.split() == ["ensemble.json:rates.22050.accuracy", "91", "90.25", "-0.75", "0.5", "%"]

    write_notebook(repo, accuracy=91.0, outcome="undecided")
    assert not check()
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("outcomes.json:cost, in points  holds      undecided")


def test_nothing_to_compare_is_an_error(repo, monkeypatch):
    with pytest.raises(
        DataError, match=r"no reference numbers in .*esc10: `dha check --write-reference` makes"
    ):
        check()
    (repo / "results" / "reference" / "esc10").mkdir(parents=True)
    (repo / "results" / "reference" / "esc10" / "ensemble.json").write_text("{}")
    monkeypatch.setattr(module, "HEADLINES", ())
    with pytest.raises(DataError, match="no headline numbers to compare"):
        check()


def test_read_number(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"x": [1, {"y": 2.5}], "text": "1", "flag": True, "n": None}))
    assert read_number(tmp_path, "a.json", "x.0") == 1
    assert read_number(tmp_path, "a.json", "x.1.y") == 2.5
    for key in ("z", "x.2", "x.y", "x.0.y", "n.y"):
        with pytest.raises(DataError, match=f"no number {key} in .*a.json: run the notebooks again"):
            read_number(tmp_path, "a.json", key)
    for key, value in (("text", "'1'"), ("flag", "True"), ("n", "None"), ("x", r"\[1, ")):
        with pytest.raises(DataError, match=f"{key} in .*a.json is not a number but {value}"):
            read_number(tmp_path, "a.json", key)
    (tmp_path / "half.json").write_text('{"x": ')
    for file in ("absent.json", "half.json"):
        with pytest.raises(DataError, match=f"no number x in .*{file}"):
            read_number(tmp_path, file, "x")


@pytest.mark.parametrize(
    ("reference", "now", "holds"),
    [
        (90.0, 90.5, True),
        (90.0, 89.5, True),
        (90.0, 90.51, False),
        (90.0, 89.49, False),
        (90.0, float("nan"), False),
        (float("nan"), float("nan"), False),
        (None, 90.0, False),
        (90.0, None, False),
    ],
)
def test_tolerance_is_absolute_and_missing_or_nan_never_holds(reference, now, holds):
    assert Comparison(ACCURACY, reference, now).holds is holds


def test_missing_numbers_are_in_the_table(tmp_path):
    (tmp_path / "ensemble.json").write_text('{"rates": {"22050": {"accuracy": 91}}}')
    comparisons = compare(tmp_path, tmp_path / "nowhere", [ACCURACY, KEPT])
    rows = [line.split() for line in format_table(comparisons).splitlines()]
    assert rows[1] == ["ensemble.json:rates.22050.accuracy", "91", "missing", "0.5", "%"]
    assert rows[2] == ["redundancy.json:taps.1.kept", "missing", "missing", "0", "maps"]


def test_readme_quotes_the_reference(tmp_path):
    readme = (repository() / "README.md").read_text("utf-8")
    copy = tmp_path / "README.md"
    copy.write_text(readme, encoding="utf-8")
    quote_headline(copy, repository() / "results" / "reference" / "esc10")
    assert copy.read_text("utf-8") == readme


def test_recomputed_cells_are_compared_with_the_bundled_ones(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    cells = [Cell("anova", 0.25), Cell("anova", 0.25, 0, "leaky")]
    sweep(responses, cells, store=tmp_path)
    (store,) = tmp_path.iterdir()
    responses.save(tmp_path / "responses_22050.safetensors")
    monkeypatch.setattr(module, "bundled", lambda dataset: tmp_path)
    monkeypatch.setattr(module, "load_fold_scores", lambda responses, folder: (None, [], ""))
    found = recompute_cells()
    assert [c.headline.key for c in found] == ["anova 0.25 0 converging", "anova 0.25 0 leaky converging"]
    assert all(c.holds for c in found)
    store.write_text(store.read_text().replace('"all": ', '"all": 0.0, "was": '))
    assert not any(c.holds for c in recompute_cells())
