"""The notebooks as they are kept, and one run of all of them into a book."""

import ast
import re

import nbformat
import papermill
import pytest
from browser import browser, dead_links, faults, needs_chromium
from test_book import outside_requests

from dha_utils.book.build import build
from dha_utils.book.check import read_number
from dha_utils.book.headlines import headlines_of
from dha_utils.book.parameters import BOOK, PARAMETERS
from dha_utils.book.runner import run_notebooks
from dha_utils.core.paths import repository

NOTEBOOKS = sorted((repository() / "notebooks").glob("*.ipynb"))


each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    """Return the cells of a notebook that hold code; those that start with ``%%say`` hold text."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code" and not cell.source.startswith("%%say")]


def tags(cell):
    return cell.metadata.get("tags", [])


def code_lines(cell):
    return [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]


@each
def test_kept_without_outputs_and_without_code_of_their_own(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kept = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in kept)
    definitions = (ast.FunctionDef, ast.ClassDef)
    for cell in code_cells(path):
        assert not [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, definitions)]


@each
def test_begin_with_parameters_and_a_study(path):
    first, second, *others = code_cells(path)
    assert "parameters" in tags(first)
    assert not [cell for cell in (second, *others) if "parameters" in tags(cell)]
    assert set(papermill.inspect_notebook(str(path))) <= set(PARAMETERS)
    assert f'study = dha.begin("{path.stem}", globals())' in second.source


@each
def test_text_with_numbers_stands_after_the_cell_that_makes_it_possible(path):
    sources = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    begin = next(number for number, source in enumerate(sources) if "dha.begin(" in source)
    assert not [source for source in sources[:begin] if source.startswith("%%say")]


@each
def test_end_by_writing_what_they_found(path):
    *others, last = code_cells(path)
    assert "hide-input" in tags(last)
    assert "study.write(" in last.source
    assert not [cell for cell in others if "study.write(" in cell.source]


@each
def test_open_with_the_answer_and_its_figure_and_close_with_what_follows(path):
    question, *cells = nbformat.read(path, as_version=4).cells
    assert re.search(r"\n\n\*\*[^*]+\?\*\* ", question.source)  # the first page says it in bold
    opening = [cell.source for cell in cells if "opening" in tags(cell)]
    said = [source for source in opening if source.startswith("%%say")]
    assert said or path.stem == "17_outcomes"  # whose table is the answer
    assert len([source for source in opening if "study.figure(" in source]) == 1
    last = next(i for i, cell in enumerate(cells) if cell.source.startswith("## What follows"))
    closing = [cell.source for cell in cells[last:-1]]
    assert not [source for source in closing[1:] if source.startswith("## ")]
    assert re.search(r"\]\((\d\d_\w+\.ipynb|\.\./book/\w+\.md)\)", closing[-1])


@each
def test_text_is_shown_alike_in_jupyterlab_and_in_the_book(path):
    """Roles are Sphinx's; numbers in a cell that starts with ``%%say`` are put in by the package (`dha_utils.book.shown`)."""
    for cell in nbformat.read(path, as_version=4).cells:
        roles = set(re.findall(r"\{([a-z:]+)\}`", cell.source))
        if cell.source.startswith("%%say"):
            assert roles <= {"result"}
            abouts = (f"%%say {name}" for name in (*BOOK, "soundnet", "network"))
            assert cell.source.splitlines()[0] in ("%%say", *abouts)
            assert "remove-input" in tags(cell)
            assert cell.metadata["jupyter"]["source_hidden"]
        else:
            assert not roles


@each
def test_code_is_short(path):
    assert max(len(code_lines(cell)) for cell in code_cells(path)) <= 20


def test_code_of_all_notebooks_is_short():
    lines = sum(len(code_lines(cell)) for path in NOTEBOOKS for cell in code_cells(path))
    assert lines <= 50 * len(NOTEBOOKS)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A book of ESC-10 in a folder of its own, from what is bundled: the notebooks and pages of ESC-50, in less time."""
    root = tmp_path_factory.mktemp("book")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DHA_DATA", "")
        run_notebooks({"dataset": "esc10", "results": str(root / "results")}, executed=root / "executed")
    build(repository(), root / "executed", ["esc10"], root / "build")
    return root


def test_every_notebook_has_a_page(built):
    pages = built / "build" / "_build" / "html" / "executed" / "esc10"
    assert [path.stem for path in NOTEBOOKS] == sorted(path.stem for path in pages.glob("*.html"))


def test_pages_ask_nothing_of_the_network_and_show_no_warnings(built):
    for page in (built / "build" / "_build" / "html").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert outside_requests(text) == [], page.name
        assert "Traceback (most recent call last)" not in text, page.name
        assert "output stderr" not in text, page.name


def test_links_of_all_pages_lead_somewhere(built):
    assert dead_links(built / "build" / "_build" / "html") == []


@needs_chromium
def test_nothing_is_wrong_with_a_page(built, tmp_path):
    pages = sorted((built / "build" / "_build" / "html" / "executed").rglob("*.html"))
    with browser(tmp_path) as context:
        found = [fault for page in pages for fault in faults(context, page, axe_at=(1280,))]
    assert found == []


def test_in_a_whole_run_no_notebook_reads_the_reference(built):
    pages = {path.stem: path.read_text("utf-8") for path in (built / "executed" / "esc10").glob("*.ipynb")}
    assert [name for name, page in pages.items() if "from results/reference" in page] == []


def test_headline_numbers_are_there(built):
    for headline in headlines_of("esc10"):
        for folder in (built / "results", repository() / "results" / "reference"):
            assert isinstance(read_number(folder, headline.file, headline.key), float)


def test_headline_targets_are_met(built):
    """What the project was asked to reach on ESC-10."""
    results = built / "results" / "esc10"
    best = read_number(results, "ensemble.json", "rates.22050.best.accuracy")
    full = read_number(results, "ensemble.json", "rates.22050.all.accuracy")
    change = read_number(results, "ensemble.json", "cost.estimate")
    assert best >= 0.922 - 0.02
    assert full >= best - 0.01
    assert change > -0.03
    assert read_number(results, "redundancy.json", "ignored_by_rank") == pytest.approx(0.89, abs=0.005)


def test_pruning_targets_are_met(built):
    """What the project was asked to reach with smaller networks."""
    results = built / "results" / "esc10"
    assert read_number(results, "frontier.json", "operating.macs") <= 0.4
    assert read_number(results, "frontier.json", "operating.parameters") <= 0.15
    assert read_number(results, "frontier.json", "operating.change") >= -0.01
    best = read_number(results, "compensation.json", "psnet.explained_variance.refitted")
    assert best >= read_number(results, "compensation.json", "full") - 0.01
    assert best > read_number(results, "frontier.json", "psnet.accuracy")
