"""Pages of prose as Chromium shows them: light and dark, wide and narrow. Those of notebooks: `test_notebooks.py`."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from browser import browser, dead_links, faults, needs_chromium
from test_printed import titles_of

from dha_utils.book.build import JUPYTER_BOOK, as_page
from dha_utils.book.printed import contents, one_page, page_numbers, place, print_book
from dha_utils.book.runner import run_notebooks
from dha_utils.core.paths import repository

PAGES = ("index", "method", "criteria", "glossary", "cite", "explore", "hear")
"""One of each kind; few, so that the test is quick."""

FIFTY = ("01_responses", "02_ensemble", "11_silence")
"""Notebooks with a place for every class, which on ESC-50 are fifty; all of ESC-10: `test_notebooks.py`."""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """Return the folder of a book of `PAGES` and `FIFTY`; what leads to other pages leads nowhere and is plain text."""
    folder, root = tmp_path_factory.mktemp("prose"), repository()
    shutil.copytree(root / "book", folder / "book", ignore=shutil.ignore_patterns("executed", "__pycache__"))
    pages = [*PAGES[1:], *(f"executed/esc50/{name}" for name in FIFTY)]
    contents = {"format": "jb-book", "root": "index", "chapters": [{"file": name} for name in pages]}
    (folder / "book" / "_toc.yml").write_text(yaml.safe_dump(contents), "utf-8")
    for name in ("_config.yml", "results", "data", "CITATION.cff", "LICENSE"):
        (folder / name).symlink_to(root / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DHA_DATA", "")
        parameters = {"dataset": "esc50", "results": str(folder / "made")}
        for notebook in run_notebooks(parameters, only=FIFTY, executed=folder / "book" / "executed"):
            notebook.write_text(as_page(notebook.read_text("utf-8"), "ESC-50"), "utf-8")
    command = [*JUPYTER_BOOK, "build", "book", "--config", "_config.yml", "--path-output", str(folder)]
    without_audio = {**os.environ, "DHA_DATA": ""}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=without_audio)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "_build" / "html"


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as context:
        yield context


@needs_chromium
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wrong_with_a_page(html, context, page):
    assert faults(context, html / f"{page}.html") == []


@needs_chromium
@pytest.mark.parametrize("page", FIFTY)
def test_nothing_is_wrong_with_a_page_of_fifty_classes(html, context, page):
    assert faults(context, html / "executed" / "esc50" / f"{page}.html", axe_at=(1280,)) == []


@needs_chromium
def test_the_search_finds_a_criterion(html, context):
    tab = context.new_page()
    tab.goto(f"{(html / 'search.html').as_uri()}?q=apoz")
    tab.locator("#search-results li a", has_text="Criteria").first.wait_for()
    tab.close()


@needs_chromium
def test_the_answer_is_seen_at_once(html, context):
    """On a screen the sentence and the figure, on a phone the sentence and the outcomes, without scrolling."""
    tab = context.new_page()
    ends = {}
    for width, height in ((1440, 900), (390, 844)):
        tab.set_viewport_size({"width": width, "height": height})
        tab.goto((html / "index.html").as_uri())
        below = "what => document.querySelector(what).getBoundingClientRect().bottom"
        ends[width] = {
            what: tab.evaluate(below, what) for what in (".lead", "figure.answer svg", "table.claims")
        }
    tab.close()
    assert ends[1440][".lead"] < ends[1440]["figure.answer svg"] < 900
    assert ends[390][".lead"] < ends[390]["table.claims"] < 844


@needs_chromium
def test_tables_and_figures_can_be_taken_along(html, context):
    tab = context.new_page()
    tab.goto((html / "index.html").as_uri())
    with tab.expect_download() as taken:
        tab.locator("table.claims + .take").click()
    lines = taken.value.path().read_text("utf-8").splitlines()
    assert lines[0] == "on ESC-50,on ESC-10,claim"
    assert len(lines) == 7
    with tab.expect_download() as taken:
        tab.locator("svg.answer + .take").first.click()
    assert taken.value.suggested_filename == "index-1.svg"
    assert taken.value.path().read_text("utf-8").startswith("<svg")
    tab.close()


@needs_chromium
def test_fractions_are_explored_with_the_keyboard(html, context):
    tab = context.new_page()
    tab.goto((html / "explore.html").as_uri())
    said = tab.locator(".explorer .said")
    assert tab.locator(".without-scripts").is_hidden()
    assert said.inner_text().startswith("ESC-50, ANOVA, 11\u202f% of the maps kept: ")
    tab.locator("select[name=set]").focus()
    tab.keyboard.press("ArrowDown")  # ESC-10
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("End")  # the last criterion is none: maps at random
    tab.keyboard.press("Tab")
    tab.keyboard.press("Home")
    assert tab.locator("input[name=keep]").get_attribute("aria-valuetext") == "1\u202f%"
    assert said.inner_text().startswith("ESC-10, random maps, 1\u202f% of the maps kept: ")
    assert tab.locator("tbody.classes tr").count() == 10
    assert tab.locator("details.lost summary").inner_text().endswith(" of 400")
    tab.keyboard.press("ArrowRight")
    assert said.inner_text().startswith("ESC-10, random maps, 2\u202f%")
    tab.close()


@needs_chromium
def test_maps_are_heard_with_the_keyboard(html, context):
    tab = context.new_page()
    tab.goto((html / "hear.html").as_uri())
    assert tab.locator(".without-scripts").is_hidden()
    assert "rebuilt from spectrograms" in tab.locator("article").inner_text()
    said, sounds = tab.locator(".explorer .said"), tab.locator(".explorer audio")
    first = said.inner_text()
    assert " of pool5: the classes explain " in first
    tab.locator("select[name=map]").focus()
    tab.keyboard.press("ArrowDown")
    assert said.inner_text() != first
    assert sounds.count() == 6
    tab.locator("select[name=kind]").focus()
    tab.keyboard.press("Home")  # all maps
    tab.keyboard.press("Tab")
    tab.keyboard.press("End")
    assert said.inner_text().startswith("Map ")
    assert " of relu7: " in said.inner_text()
    loaded = "sounds => sounds.every(sound => sound.readyState >= 1 && Math.abs(sound.duration - 5) < 0.2)"
    tab.wait_for_function(f"({loaded})([...document.querySelectorAll('.explorer audio')])")
    for _ in ("map", "SVG", "sound"):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.tagName") == "AUDIO"
    tab.keyboard.press("Space")
    tab.wait_for_function("document.activeElement.currentTime > 0")
    tab.close()


def test_without_scripts_there_are_sounds_and_pictures(html):
    page = (html / "hear.html").read_text("utf-8")
    still = page[page.index("without-scripts") : page.index("application/json")]
    assert still.count("<audio controls") == still.count("<img ") == 10


@needs_chromium
def test_all_of_it_can_be_printed(html, context):
    whole = one_page(html / "index.html")
    assert whole.count("On its page in the book one chooses here: ") == 2
    assert whole.count("Its sound is in the book.") == 10
    pages = contents((html / "index.html").read_text("utf-8"))
    with ThreadPoolExecutor(1) as apart:  # from the browser of the other tests
        pdf = apart.submit(print_book, html / "index.html").result().read_bytes()
    assert [title for _, _, title in pages if title not in titles_of(pdf)] == []
    numbers = [page_numbers(pdf)[place(name)] for _, name, _ in pages]
    assert numbers == sorted(numbers)
    assert pdf.count(b"/Type /Page\n") >= len(pages)


@needs_chromium
def test_icons_are_drawn_by_the_font_within_the_styles(html, context):
    assert not list((html / "_static").rglob("*fontawesome*"))
    tab = context.new_page()
    tab.goto((html / "cite.html").as_uri())
    tab.evaluate("document.fonts.ready")
    assert tab.evaluate(
        "[...document.fonts].filter(font => font.family.includes('Awesome')).map(font => font.status)"
    ) == ["loaded"]
    tab.close()


def test_links_lead_somewhere(html):
    other_notebooks = ".ipynb"  # those that this book does not have
    assert [link for link in dead_links(html) if not link.endswith(other_notebooks)] == []


# What the looking itself would see


WRONG = {
    "wide": ("<p style='width: 2000px'>wide</p>", "light, 1440 px, 2008 px wide in 1440"),
    "small": ("<p style='font-size: 8px'>tiny</p>", "light, 1440 px, text of 8.0 px: tiny"),
    "scaled": (
        "<svg viewBox='0 0 200 20' style='width: 100px; height: 10px'><text y='15' font-size='16'>half</text></svg>",
        "light, 1440 px, text of 8.0 px: half",
    ),
    "request": ("<img alt='a' src='https://a.example/x.png'>", "asks for https://a.example/x.png"),
    "error": ("<script>console.error('oh')</script>", "console: oh"),
    "image": ("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>", "light, 1440 px, image-alt"),
    "wordless": (
        "<article><figure><svg width='9' height='9'></svg></figure></article>",
        "light, 1440 px, a picture without words: <svg",
    ),
    "dark": (
        "<style>@media (prefers-color-scheme: dark) { p { color: #444; background: #222 } }</style><p>dark</p>",
        "dark, 1440 px, color-contrast",
    ),
    "pale": ("<p style='color: #bbb'>pale</p>", "light, 1440 px, color-contrast"),
    "table": (
        "<article><div style='width: 90px; overflow: auto'><table><td>immeasurably</td><td>wide</td></table></div></article>",
        "light, 1440 px, a table of ",
    ),
}


@needs_chromium
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_seen(tmp_path, context, name):
    body, said = WRONG[name]
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><html lang='en'><title>A</title><body>{body}</body></html>", "utf-8")
    found = faults(context, page, widths=(1440,), axe_at=(1440,))
    assert any(f"page.html: {said}" in fault for fault in found), found


def test_dead_links_are_seen(tmp_path):
    (tmp_path / "a.html").write_text(
        "<h1 id='x'>A</h1><a href='#x'></a><a href='#y'></a><a href='b.html'></a>"
    )
    assert dead_links(tmp_path) == ["a.html: #y", "a.html: b.html"]
