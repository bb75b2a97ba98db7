import json
import os
import re

import numpy as np
import papermill
import pytest

from dha_utils.book.forecast import declared
from dha_utils.book.given import given
from dha_utils.book.parameters import BOOK
from dha_utils.book.study import begin, declared_parameters
from dha_utils.core.errors import ParameterError
from dha_utils.core.paths import repository
from dha_utils.core.work import in_order
from dha_utils.findings.outcomes import CLAIMS


@pytest.fixture
def namespace(tmp_path, monkeypatch):
    """What the first cell of a notebook has set: a study on the bundled artifacts."""
    monkeypatch.setenv("DHA_DATA", "")
    return {
        "dataset": "esc10", "root": None, "rate": 22050, "fractions": (1,), "seeds": 2, "classifier": "converging",
        "other_seeds": None, "criteria_at": [], "others": [], "full": False, "workers": None, "scheduler": None,
        "results": str(tmp_path),
    }  # fmt: skip


@pytest.fixture
def study(namespace):
    return begin("05_curves", namespace)


def test_parameters_are_those_of_the_tagged_cell():
    names = declared_parameters(repository() / "notebooks" / "06_redundancy.ipynb")
    assert names == ["dataset", "rate", "keep", "alpha", "results"]


def test_parameters_are_checked_and_put_back(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DHA_DATA", "")
    names = declared_parameters(repository() / "notebooks" / "06_redundancy.ipynb")
    namespace = dict(zip(names, ["esc10", 22050, 1, 0.05, str(tmp_path)], strict=True))
    begin("06_redundancy", namespace)
    assert isinstance(namespace["keep"], float)
    assert "responses that are bundled of esc10" in capsys.readouterr().out


def test_a_wrong_parameter_is_refused():
    with pytest.raises(ParameterError, match="there are: dataset, rate, keep"):
        begin("06_redundancy", {"kept": 0.5})


def test_the_workers_are_those_of_the_parameters_until_the_cell_is_run_again(namespace):
    for number in (1, 2, 1):
        begin("05_curves", namespace | {"workers": number})
        others = {*in_order(lambda _: os.getpid(), range(4), "processes")} - {os.getpid()}
        assert bool(others) == (number > 1)


def test_results_hold_parameters_tables_and_numbers(study, tmp_path):
    study.write("rate fractions", mean=np.float64(0.5), table=study.responses.table.head(1)[["fold"]])
    written = json.loads((tmp_path / "esc10" / "curves.json").read_text())
    assert written["rate"] == 22050
    assert written["fractions"] == [1]
    assert (written["mean"], len(written["table"])) == (0.5, 1)


def test_cells_have_the_classifier_of_the_notebook(study):
    study.classifier = "released"
    assert {cell.classifier for cell in study.cells("random", [0.1, 0.2], seeds=2)} == {"released"}
    assert {cell.classifier for cell in study.cells("anova", 0.1, classifier="converging")} == {"converging"}
    assert study.recordings.shape == (400,)


def test_other_classifiers_have_as_many_draws_as_is_said_but_at_the_papers_fraction(study):
    table = study.each_against_random(["converging", "least_squares"], [0.05, 0.11], 3, other_seeds=2)
    rows = table[["classifier", "keep", "draws"]].to_numpy().tolist()
    assert rows == [
        ["converging", 0.05, 3], ["converging", 0.11, 3], ["least_squares", 0.05, 2], ["least_squares", 0.11, 3],
    ]  # fmt: skip
    assert set(study.each_against_random(["least_squares"], 0.05, 3)["draws"]) == {3}


NOTEBOOKS = sorted((repository() / "notebooks").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.parametrize("dataset", BOOK)
@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_is_run_alone_finds_what_it_reads(source, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    values = declared(papermill.inspect_notebook(str(source)))
    own = {
        name: value for name, value in given(dataset, source.stem.partition("_")[2]).items() if name in values
    }
    study = begin(source.stem, values | own | {"dataset": dataset, "results": str(tmp_path)})
    text = source.read_text("utf-8")
    read = re.findall(r'study\.read\(\\"(\w+)\\"\)', text)
    if "study.read," in text:  # for the rules of all claims
        evidence = {claim.evidence for claim in CLAIMS.values()} - {*study.without}
        read += [name.partition("_")[2] for name in evidence]
    assert all(map(study.read, read))


@pytest.mark.parametrize(
    ("network", "shown"), [(None, ["all", "soundnet", "esc10"]), ("mine.py:build", ["all", "network"])]
)
def test_of_a_network_of_ones_own_nothing_is_said_that_was_measured_with_another(
    network, shown, study, monkeypatch
):
    said = []
    monkeypatch.setattr("dha_utils.book.study.display", lambda markdown: said.append(markdown.data))
    study.others["network"] = network
    for about in ("", "soundnet", "network", "esc10"):
        study.say(about, about or "all")
    assert said == shown
