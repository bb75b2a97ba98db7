import json
import os
from dataclasses import replace

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from dha_utils.book import check as module
from dha_utils.book import headlines, runner
from dha_utils.book.check import (
    Comparison,
    Headline,
    check,
    compare,
    format_table,
    quote_headline,
    read_number,
    recompute_cells,
    recompute_runs,
)
from dha_utils.book.headlines import headlines_of
from dha_utils.book.parameters import BOOK
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.core.paths import repository
from dha_utils.studies.book_runs import evaluate_runs
from dha_utils.studies.runs import choose_masks, save_runs
from dha_utils.studies.sweeps import Cell, sweep

ACCURACY = Headline("ensemble.json", "rates.22050.accuracy", 0.5, "%")
KEPT = Headline("redundancy.json", "taps.1.kept", 0, "maps")


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository with one notebook that writes two results files."""
    monkeypatch.setattr(runner, "repository", lambda: tmp_path)
    monkeypatch.setattr(module, "repository", lambda: tmp_path)
    monkeypatch.setattr(headlines, "HEADLINES", (ACCURACY, KEPT))
    monkeypatch.setattr(headlines, "ONLY", {})
    monkeypatch.setattr(module, "recompute_cells", lambda dataset: [])
    monkeypatch.setattr(module, "recompute_runs", lambda dataset: [])
    monkeypatch.setattr(runner, "clips_at_hand", lambda *_, **__: None)
    monkeypatch.setenv("DHA_DATA", str(tmp_path / "audio"))
    (tmp_path / "README.md").write_text("before\n<!-- headline -->\nold\n<!-- /headline -->\nafter\n")
    write_notebook(tmp_path, accuracy=91.0)
    return tmp_path


def write_notebook(root, accuracy, outcome="holds"):
    code = f"""
import json, os
from pathlib import Path
assert not os.environ["DHA_DATA"]
folder = Path(results, dataset)
folder.mkdir(parents=True, exist_ok=True)
(folder / "ensemble.json").write_text(json.dumps({{"rates": {{"22050": {{"accuracy": {accuracy} - (dataset == "esc50")}}}}}}))
row = {{"claim": "cost", "part": "in points", "text": "a claim", "measured": "a number", "outcome": "{outcome}"}}
(folder / "outcomes.json").write_text(json.dumps({{"on": dataset, "table": [row], "parts": [row]}}))
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
    reference = repo / "results" / "reference"
    (reference / "esc10").mkdir(parents=True)
    (reference / "esc10" / "dropped.json").write_text("{}")
    assert check("esc10", write_reference=True)
    files = ["ensemble.json", "outcomes.json", "redundancy.json"]
    assert sorted(path.name for path in (reference / "esc10").iterdir()) == files
    assert [path.name for path in reference.iterdir()] == ["esc10"]
    quoted = (repo / "README.md").read_text()
    assert (
        "| claim | on esc10 |\n| --- | --- |\n| a claim | holds: a number |\n<!-- /headline -->\nafter\n"
        in quoted
    )
    assert quoted.startswith("before\n")
    assert "\nold\n" not in quoted
    assert not (repo / "book").exists()  # the user's executed notebooks and results are left alone
    assert [path.name for path in (repo / "results").iterdir()] == ["reference"]

    capsys.readouterr()
    assert check("esc10")
    assert capsys.readouterr().out.splitlines()[-1] == "3 numbers and outcomes as they were"
    assert os.environ["DHA_DATA"] == str(repo / "audio")

    write_notebook(repo, accuracy=90.25)
    assert not check("esc10")
    header, row = capsys.readouterr().out.splitlines()[-2:]
    assert header.split() == ["number", "reference", "now", "difference", "tolerance", "unit"]
    assert row.split() == ["esc10/ensemble.json:rates.22050.accuracy", "91", "90.25", "-0.75", "0.5", "%"]

    write_notebook(repo, accuracy=91.0, outcome="undecided")
    assert not check("esc10")
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("esc10/outcomes.json:cost, in points  holds      undecided")


def test_without_a_name_all_data_sets_of_the_book_are_checked(repo, capsys):
    assert check(write_reference=True)
    texts = [
        (repo / "results" / "reference" / name / "ensemble.json").read_text() for name in ("esc50", "esc10")
    ]
    assert ["90.0" in texts[0], "91.0" in texts[1]] == [True, True]
    assert "| a claim | holds: a number | holds: a number |\n" in (repo / "README.md").read_text()
    assert check()
    assert capsys.readouterr().out.splitlines()[-1] == "6 numbers and outcomes as they were"


def test_a_data_set_without_a_reference_is_an_error(repo):
    message = r"no reference numbers in .*esc50: `dha check --write-reference esc50` makes"
    for given in ((), ("esc50",)):
        with pytest.raises(DataError, match=message):
            check(*given)
    with pytest.raises(ParameterError, match="unknown data set of the book 'esc5'"):
        check("esc5")


def test_headlines_name_their_data_set_and_the_second_rate_is_that_of_esc10():
    files = {name: {headline.file for headline in headlines_of(name)} for name in BOOK}
    assert {file.split("/")[0] for name in BOOK for file in files[name]} == {*BOOK}
    rates = {name: sum("44100" in headline.key for headline in headlines_of(name)) for name in BOOK}
    assert rates == {"esc50": 0, "esc10": 3}


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
    quote_headline(copy, repository() / "results" / "reference")
    assert copy.read_text("utf-8") == readme


def test_recomputed_cells_are_compared_with_the_bundled_ones(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    cells = [Cell("anova", 0.25), Cell("anova", 0.25, 0, "leaky")]
    sweep(responses, cells, store=tmp_path)
    (store,) = tmp_path.iterdir()
    responses.save(tmp_path / "responses_22050.safetensors")
    monkeypatch.setattr(module, "bundled", lambda dataset: tmp_path)
    monkeypatch.setattr(module, "load_fold_scores", lambda responses, folder: (None, [], ""))
    found = recompute_cells("esc10")
    assert {c.headline.file for c in found} == {f"esc10/{store.name}"}
    assert [c.headline.key for c in found] == ["anova 0.25 0 converging", "anova 0.25 0 leaky converging"]
    assert all(c.holds for c in found)
    (tmp_path / "responses_22050.safetensors").rename(tmp_path / "crepe.safetensors")  # of the second network
    assert all(c.holds for c in recompute_cells("esc10"))
    store.write_text(store.read_text().replace('"all": ', '"all": 0.0, "was": '))
    assert not any(c.holds for c in recompute_cells("esc10"))


def test_a_recomputed_run_is_compared_with_the_bundled_one(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    responses.save(tmp_path / "responses_22050.safetensors")
    monkeypatch.setattr(module, "bundled", lambda dataset: tmp_path)
    monkeypatch.setattr(module, "given", lambda dataset, subject: {"classifier": "least_squares"})
    monkeypatch.setattr(module, "default_rates", lambda dataset: [22_050])
    of = {"all maps": (responses, None), "another": (responses.take(responses.folds != 1), None)}
    asked = [(part, {name: select}) for name, (part, select) in of.items()]
    monkeypatch.setattr(module, "asked_runs", lambda *_, **__: asked)
    (missing,) = recompute_runs("esc50")
    assert (missing.reference, missing.holds) == (None, False)
    (key, wrong), (_, right) = evaluate_runs(asked, "least_squares")
    other = choose_masks(*asked[1], "least_squares")[1]["another"]
    save_runs(tmp_path / "runs_22050.safetensors", [(key, wrong), (other, right)])
    found = [recompute_runs("esc50", seed)[0] for seed in range(5)]
    assert {c.headline.key for c in found} == {"all maps", "another"}
    assert {c.headline.file for c in found} == {"esc50/runs_22050.safetensors"}
    assert all(c.holds for c in found)
    said = replace(wrong, probabilities=np.roll(wrong.probabilities, 1, axis=2))
    save_runs(tmp_path / "runs_22050.safetensors", [(key, said), (other, right)])
    assert {(c.headline.key, c.holds) for c in (recompute_runs("esc50", seed)[0] for seed in range(5))} == {
        ("all maps", False),
        ("another", True),
    }


def test_of_large_data_sets_few_cells_are_computed_anew_those_of_fast_classifiers_first():
    slow = [Cell("anova", keep) for keep in (0.11, 0.01)] + [
        Cell("anova", 0.01, 0, "leaky"),
        Cell("l1", 0.02),
    ]
    fast = [Cell("anova", 0.11, classifier="least_squares")]
    assert module._quick(slow + fast) == [*fast, Cell("anova", 0.01)]
