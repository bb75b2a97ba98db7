import json

import pytest

from dha_utils.book import parameters, prose
from dha_utils.book.prose import say
from dha_utils.core.errors import ParameterError

TEXT = "On {} it is {{result}}`a.json:x.0.y:.0%`.\n"
PLAIN = TEXT.format("it")


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """A repository in which both data sets of the book have results, and a run on sounds of one's own has left some."""
    for module in (parameters, prose):
        monkeypatch.setattr(module, "repository", lambda: tmp_path)
    monkeypatch.setattr(prose, "bundled", lambda dataset: tmp_path / "data" / dataset)
    values = {"reference/esc50": 0.5, "reference/esc10": 0.1, "mine": 0.9}
    for name, value in values.items():
        write(tmp_path / "results" / name / "a.json", {"x": [{"y": value}]})
    write(tmp_path / "data" / "esc10" / "speed.json", {"x": 3})
    return tmp_path


def write(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), "utf-8")


def said(repo, text, about, dataset):
    return say(text, about, repo / "results" / dataset, "b.json")


def test_a_text_stands_on_the_page_of_its_data_set_alone_with_its_numbers(repo):
    assert said(repo, TEXT.format("ESC-50"), "esc50", "esc50") == "On ESC-50 it is 50\u202f%.\n"
    assert said(repo, TEXT.format("ESC-10"), "esc10", "esc10") == "On ESC-10 it is 10\u202f%.\n"
    assert said(repo, TEXT.format("ESC-50"), "esc50", "esc10") == ""
    assert said(repo, TEXT.format("ESC-10"), "esc10", "esc50") == ""


def test_beside_sounds_of_ones_own_the_first_data_set_of_the_book_is_a_yardstick_with_its_name(repo):
    text = said(repo, TEXT.format("ESC-50") + "\n- one\n", "esc50", "mine")
    assert text == "> *For comparison, ESC-50:*\n>\n> On ESC-50 it is 50\u202f%.\n>\n> - one"
    assert said(repo, PLAIN, "esc10", "mine") == ""
    (repo / "results" / "reference" / "esc50" / "a.json").unlink()  # not in the book yet
    assert "10\u202f%" in said(repo, PLAIN, "esc10", "mine")
    assert said(repo, PLAIN, "esc50", "mine") == ""


def test_a_text_for_every_page_has_the_numbers_of_the_pages_own_data_set(repo):
    numbers = {name: said(repo, PLAIN, "", name) for name in ("esc50", "esc10", "mine")}
    endings = {name: text.rstrip()[-5:] for name, text in numbers.items()}
    assert endings == {"esc50": "50\u202f%.", "esc10": "10\u202f%.", "mine": "90\u202f%."}
    assert said(repo, "{result}`esc10/speed.json:x` a second", "", "esc50") == "3 a second"


def test_of_ones_own_sounds_what_an_earlier_run_of_the_same_notebook_left_is_not_quoted(repo):
    write(repo / "results" / "mine" / "b.json", {"x": 1})
    text = "General.\n\nIt was {result}`b.json:x`.\n\nEarlier it was {result}`a.json:x.0.y:.1f`."
    assert said(repo, text, "", "mine") == "General.\n\nEarlier it was 0.9."


@pytest.mark.parametrize("reference", ["c.json:x:.1%", "a.json:y:.1%", "a.json:x", "a.json:x.0.y", "nothing"])
def test_a_number_that_is_not_there_stays_a_reference_on_which_the_book_fails(repo, reference):
    text = f"It is {{result}}`{reference}`.\n\nMore."
    named = reference if reference == "nothing" else f"esc10/{reference}"
    assert said(repo, text, "esc10", "esc10") == f"It is {{result}}`{named}`.\n\nMore."
    write(repo / "results" / "reference" / "esc50" / "a.json", {})
    if reference != "nothing":
        assert said(repo, text, "esc50", "mine").endswith("\n>\n> More.")


def test_a_text_is_about_a_data_set_of_the_book(repo):
    with pytest.raises(ParameterError, match=r"unknown data set of the book 'esc5' \(did you mean 'esc50'"):
        said(repo, PLAIN, "esc5", "esc50")
