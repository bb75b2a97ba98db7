"""The book's frame: numbers from results files, contents, references, no request outside the book."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from miniatures import write_clip

import dha_utils as dha
from dha_utils.book.parameters import PARAMETERS
from dha_utils.core.paths import repository
from dha_utils.criteria.described import TITLES
from dha_utils.datasets import load_clips

BOOK = repository() / "book"
NOTEBOOKS = repository() / "notebooks"
SETTINGS = yaml.safe_load((repository() / "_config.yml").read_text("utf-8"))


# The role and the directive inside a real build, with the book's own settings


CONF = """
import sys, yaml
sys.path.append({extensions!r})
settings = yaml.safe_load(open({config!r}, encoding="utf-8").read())["sphinx"]["config"]
globals().update(settings)
dha_results = "../results"
# The table of contents is Sphinx's own here, and the pages need neither Jupyter Book nor a bibliography.
for name in ("sphinx_external_toc", "jupyter_book", "sphinxcontrib.bibtex"):
    extensions.remove(name)
del bibtex_bibfiles, bibtex_reference_style, bibtex_default_style
comments_config = {{}}
html_theme = "sphinx_book_theme"
html_static_path = [{book!r} + "/" + path for path in settings["html_static_path"]]
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"
numfig = True
"""

TABLE = """
```{result-table} my sounds/ensemble.json:taps
:caption: Accuracy, $a$.
:name: tab-accuracy

Tap | {tap}
Maps | {maps:,}
$a$ | {accuracy:.1%} ({interval.0:.1p}–{interval.1:.1p})
```
"""

RESULTS = {
    "sum15": {"accuracy": 0.925},
    "maps": 4336,
    "taps": [
        {"tap": "relu7", "maps": 1024, "accuracy": 0.91, "interval": [0.88, 0.935]},
        {"tap": "<mfcc>", "maps": None, "accuracy": 0.7, "interval": [0.654, 0.743]},
    ],
}


def make_project(folder, pages, dataset):
    source = folder / "book"
    (folder / "results" / dataset).mkdir(parents=True)
    source.mkdir()
    (folder / "results" / dataset / "ensemble.json").write_text(json.dumps(RESULTS), "utf-8")
    config = CONF.format(
        extensions=str(BOOK / "_ext"), config=str(repository() / "_config.yml"), book=str(BOOK)
    )
    (source / "conf.py").write_text(config, "utf-8")
    toc = "\n```{toctree}\n" + "\n".join(pages) + "\n```\n"
    (source / "index.md").write_text("# Index\n" + toc, "utf-8")
    for name, text in pages.items():
        (source / f"{name}.md").write_text(f"# {name}\n\n{text}\n", "utf-8")
    return source


def build(source, output="html"):
    """Return exit code, stdout and stderr of a build in a process of its own, a warning being an error."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "--no-color", "-j", "2"]
    done = subprocess.run(
        [*command, str(source), str(source.parent / output)], capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def text_of(page):
    """Return the text of a page; runs of ordinary white space are one space, typographic ones stay."""
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]*>", "", page.read_text("utf-8")))


def test_results_reach_the_page_and_changes_are_noticed(tmp_path):
    pages = {f"page{number}": "No number, but math: $a^2$" for number in range(6)}
    pages["numbers"] = (
        "It was {result}`my sounds/ensemble.json:sum15.accuracy:.1%` of {result}`my sounds/ensemble.json:maps:,`, "
        "see {numref}`tab-accuracy`." + TABLE
    )
    source = make_project(tmp_path, pages, "my sounds")
    code, _, errors = build(source)
    assert code == 0, errors
    page = tmp_path / "html" / "numbers.html"
    assert "It was 92.5\u202f% of 4\u202f336, see Table 1." in text_of(page)
    rows = [
        [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", row, re.S)]
        for row in re.findall(r"<tr.*?</tr>", page.read_text("utf-8"), re.S)
    ]
    assert rows[1:] == [
        ["relu7", "1\u202f024", "91.0\u202f% (88.0–93.5)"],
        ["&lt;mfcc&gt;", "–", "70.0\u202f% (65.4–74.3)"],
    ]
    assert len(re.findall(r'<t[hd] class="[^"]*result-number', page.read_text("utf-8"))) == 3 * 2

    # No page asks for anything outside the book, with the book's own theme and MathJax.
    html = {path.name: path.read_text("utf-8") for path in (tmp_path / "html").glob("*.html")}
    assert {name: outside_requests(text) for name, text in html.items() if outside_requests(text)} == {}
    assert "mathjax/tex-svg.js" in html["page0.html"]

    # A second build from scratch gives the same pages.
    assert build(source, "again")[0] == 0
    assert {name: (tmp_path / "again" / name).read_text("utf-8") for name in html} == html

    # Only the page that shows a number is read again when the number changes.
    file = tmp_path / "results" / "my sounds" / "ensemble.json"
    file.write_text(json.dumps(RESULTS | {"maps": 12}), "utf-8")
    later = page.stat().st_mtime + 5
    os.utime(file, (later, later))
    code, output, errors = build(source)
    assert code == 0, errors
    assert "0 added, 1 changed, 0 removed" in output
    assert "% of 12, see" in text_of(page)


WRONG = {
    "a-missing-key": (
        "{result}`my sounds/ensemble.json:sum10.accuracy:.1%`",
        "my sounds/ensemble.json:sum10.accuracy:.1%",
        "no 'sum10'",
    ),
    "a-missing-file": (
        "{result}`my sounds/other.json:sum15:.1%`",
        "my sounds/other.json:sum15:.1%",
        "there is no /",
    ),
    "a-bad-file": (
        "{result}`my sounds/broken.json:sum15:.1%`",
        "my sounds/broken.json:sum15:.1%",
        "the file is not JSON",
    ),
    "no-format": (
        "{result}`my sounds/ensemble.json:sum15.accuracy`",
        "my sounds/ensemble.json:sum15.accuracy",
        "give it a format",
    ),
    "no-data-set": (
        "{result}`ensemble.json:maps:,`",
        "ensemble.json:maps:,",
        "write DATASET/FILE.json:KEY",
    ),
    "no-key": ("{result}`my sounds/ensemble.json`", "my sounds/ensemble.json", "write DATASET/FILE.json:KEY"),
    "no-file": ("{result}`sum15.accuracy:.1%`", "sum15.accuracy:.1%", "write DATASET/FILE.json:KEY"),
    "table-key": (TABLE.replace("json:taps", "json:rows"), "my sounds/ensemble.json:rows", "no 'rows'"),
    "table-file": (TABLE.replace("ensemble", "other"), "my sounds/other.json:taps", "there is no /"),
    "table-no-list": (
        TABLE.replace("json:taps", "json:sum15"),
        "my sounds/ensemble.json:sum15",
        "not a list of records",
    ),
    "table-field": (
        TABLE.replace("{maps:,}", "{map:,}"),
        "my sounds/ensemble.json:taps",
        "record 0, {map:,}: there is no 'map'",
    ),
    "table-format": (
        TABLE.replace("{tap}", "{tap:.1f}"),
        "my sounds/ensemble.json:taps",
        'the value is "relu7"',
    ),
    "table-column": (
        TABLE.replace("Maps |", "Maps "),
        "my sounds/ensemble.json:taps",
        "must read 'Header | {key:format}'",
    ),
}


def test_what_benchmarks_measured_is_found_among_the_artifacts(tmp_path):
    source = make_project(
        tmp_path, {"page": "It does {result}`esc10/throughput.json:speed:.1f` per second."}, "esc10"
    )
    (tmp_path / "data" / "esc10").mkdir(parents=True)
    (tmp_path / "data" / "esc10" / "throughput.json").write_text('{"speed": 61.25}', "utf-8")
    assert build(source)[0] == 0
    assert "It does 61.2 per second." in text_of(tmp_path / "html" / "page.html")


ROW = {
    "keep": 0.11, "accuracy": 0.62, "random": 0.63, "lowest": 0.6, "highest": 0.65, "draws": 8,
    "difference": -0.01, "low": -0.02, "high": 0.005, "outcome": "undecided",
}  # fmt: skip


def test_the_first_page_shows_the_data_sets_that_have_results(tmp_path):
    front = "```{answer-figure}\nIn *short*.\n```\n\n```{answer-claims}\n```"
    source = make_project(tmp_path, {"page": front}, "esc10")
    (source / "executed" / "esc10").mkdir(parents=True)
    (source / "executed" / "esc10" / "02_ensemble.md").write_text("---\norphan: true\n---\n# It\n", "utf-8")
    for dataset, on in (("esc10", "ESC-10"), ("esc50", "ESC-50")):
        row = {"claim": "cost", "text": "Free.", "outcome": f"holds on {on}", "evidence": "02_ensemble"}
        row |= {"measured": "", "estimate": -0.005, "low": -0.01, "high": 0.0}
        results = tmp_path / "results" / dataset
        results.mkdir(exist_ok=True)
        (results / "outcomes.json").write_text(json.dumps({"on": on, "table": [row]}), "utf-8")
        (results / "curves.json").write_text(json.dumps({"random": {"11": ROW}}), "utf-8")
        (results / "ensemble.json").write_text(json.dumps({"cost": {"full": 0.65}}), "utf-8")
        code, _, errors = build(source)
        assert code == 0, errors
    text = text_of(tmp_path / "html" / "page.html")
    short = "✓ holds −0.50 points [−1.00, 0.00]"
    assert f"on ESC-50 on ESC-10 claim {short} {short} Free." in text
    html = (tmp_path / "html" / "page.html").read_text("utf-8")
    assert 'href="executed/esc10/02_ensemble.html"' in html
    assert html.count('<svg class="answer"') == 2


def test_a_first_page_without_results_fails_the_build(tmp_path):
    source = make_project(tmp_path, {"page": "```{answer-claims}\n```"}, "mine")
    code, _, errors = build(source)
    assert code == 1
    assert "no data set has results" in errors


def test_public_names_criteria_and_citation_have_their_pages(tmp_path):
    pages = {"api": "% names", "list": "```{criteria-table}\n```", "cite": "```{citation}\n```"}
    source = make_project(tmp_path, pages, "mine")
    shutil.copy(repository() / "CITATION.cff", tmp_path)
    code, _, errors = build(source)
    assert code == 0, errors
    api = (tmp_path / "html" / "api.html").read_text("utf-8")
    assert [name for name in dha.__all__ if f'id="dha_utils.{name}"' not in api] == []
    criteria = text_of(tmp_path / "html" / "list.html")
    rows = {name: f"{name}: {TITLES[name]}; {criterion.family}" for name, criterion in dha.CRITERIA.items()}
    assert [name for name, row in rows.items() if row not in criteria.replace("’", "'")] == []
    assert "@inproceedings{singh2019dha, title = {Deep Hidden Analysis" in text_of(
        tmp_path / "html" / "cite.html"
    )
    assert "Version 0.1.0" in criteria  # under every page


def test_whatever_cannot_be_shown_fails_the_build(tmp_path):
    source = make_project(tmp_path, {name: text for name, (text, _, _) in WRONG.items()}, "my sounds")
    (tmp_path / "results" / "my sounds" / "broken.json").write_text('{"sum15": ', "utf-8")
    code, _, errors = build(source)
    assert code == 1
    warnings = {
        match[1]: match[0] for match in re.finditer(r"^.*WARNING: page (\S+): result .*$", errors, re.M)
    }
    assert set(warnings) == set(WRONG)
    for name, (_, reference, fault) in WRONG.items():
        assert re.search(rf"{name}\.md:\d+: WARNING: page {name}: ", warnings[name])
        assert f"result {reference}: " in warnings[name]
        assert fault in warnings[name]
    assert len(re.findall("WARNING", errors)) == len(WRONG)


# Requests outside the book


class Requests(HTMLParser):
    """Collects every address that a browser fetches by itself to show a page; links to follow are not."""

    FETCHED = frozenset(
        {"stylesheet", "icon", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch"}
    )

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        if tag == "link" and self.FETCHED & set(attributes.get("rel", "").lower().split()):
            self.addresses.append(attributes.get("href", ""))
        if tag == "object":
            self.addresses.append(attributes.get("data", ""))
        if tag in {"image", "use"}:
            self.addresses += [attributes.get("href", ""), attributes.get("xlink:href", "")]
        self.addresses += [attributes.get("src", ""), attributes.get("poster", "")]
        self.addresses += [
            part.split()[0] for part in attributes.get("srcset", "").split(",") if part.strip()
        ]
        self.addresses += re.findall(r"url\(['\"]?([^'\")]+)", attributes.get("style", ""))

    def handle_data(self, data):
        if self.cdata_elem == "style":
            self.addresses += re.findall(r"url\(['\"]?([^'\")]+)", data)
            self.addresses += re.findall(r"@import\s+['\"]([^'\"]+)", data)
        if self.cdata_elem == "script":
            self.addresses += re.findall(r"\bimport\b[^;'\"]*['\"]([^'\"]+)", data)


def outside_requests(html: str) -> list[str]:
    """Return the addresses outside the book that a browser would fetch to show a page."""
    parser = Requests()
    parser.feed(html)
    parser.close()
    return [address for address in parser.addresses if re.match(r"(?i)\s*(https?|wss?|ftp):|\s*//", address)]


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://a.example/x.js"></script>',
        "<script async src='//a.example/x.js'></script>",
        '<link rel="stylesheet" href="HTTP://a.example/x.css">',
        '<link href="https://a.example" rel="preconnect" crossorigin>',
        '<link rel="shortcut icon" href="https://a.example/x.ico"/>',
        '<img alt="" src="http://a.example/x.png">',
        '<img srcset="x.png 1x, https://a.example/x.png 2x">',
        '<audio controls><source src="https://a.example/x.ogg"></audio>',
        '<iframe src="https://a.example"></iframe>',
        '<svg><image xlink:href="https://a.example/x.png"/></svg>',
        "<style>@font-face { src: url('https://a.example/x.woff2') }</style>",
        '<style>@import "https://a.example/x.css";</style>',
        '<p style="background: url(https://a.example/x.png)">',
        '<script type="module">import mermaid from "https://a.example/m.mjs";</script>',
    ],
)
def test_outside_requests_are_seen(html):
    assert len(outside_requests(html)) == 1


def test_links_and_local_files_are_no_outside_requests():
    html = """
    <link rel="canonical" href="https://a.example/"><link rel="stylesheet" href="_static/x.css">
    <a href="https://a.example">a</a> <img src="data:image/png;base64,//8=">
    <script src="../_static/x.js"></script>
    <script>const text = "https://a.example/x.js";</script> <svg xmlns="http://www.w3.org/2000/svg"></svg>
    """
    assert outside_requests(html) == []


# Table of contents, references, vendored files


def toc_files():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text("utf-8"))
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def test_every_entry_of_the_table_of_contents_has_its_source():
    sources = {
        file: NOTEBOOKS / f"{Path(file).name}.ipynb" if file.startswith("executed/") else BOOK / f"{file}.md"
        for file in toc_files()
    }
    assert [file for file, source in sources.items() if not source.is_file()] == []


def test_every_page_and_notebook_is_in_the_table_of_contents():
    files = toc_files()
    pages = [page.stem for page in sorted(BOOK.glob("*.md"))]
    notebooks = [f"executed/{notebook.stem}" for notebook in sorted(NOTEBOOKS.glob("*.ipynb"))]
    assert [name for name in pages + notebooks if name not in files] == []
    assert [file for file in files if file.startswith("executed/")] == notebooks
    assert len(files) == len(set(files))


def test_parts_are_captioned():
    parts = yaml.safe_load((BOOK / "_toc.yml").read_text("utf-8"))["parts"]
    assert [part for part in parts if not part["caption"]] == []


def prose():
    pages = [page.read_text("utf-8") for page in BOOK.glob("*.md")]
    for notebook in NOTEBOOKS.glob("*.ipynb"):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        pages += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return "\n".join(pages)


def test_citations_and_bibliography_agree():
    bibliography = (BOOK / "references.bib").read_text("utf-8")
    entries = re.findall(r"^@\w+\{([^,\s]+),", bibliography, re.M)
    assert len(entries) == len(set(entries)) > 0
    cited = {
        key.strip() for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose()) for key in keys.split(",")
    }
    assert cited - set(entries) == set(), "cited, but not in references.bib"
    assert set(entries) - cited == set(), "in references.bib, but cited nowhere"


def test_every_reference_leads_somewhere():
    entries = re.findall(
        r"^@\w+\{([^,\s]+),(.*?)\n\}", (BOOK / "references.bib").read_text("utf-8"), re.M | re.S
    )
    assert [
        key for key, fields in entries if not re.search(r"^\s*(doi|url|eprint)\s*= \{", fields, re.M)
    ] == []


def test_mathjax_is_vendored_with_its_licence():
    folders = SETTINGS["sphinx"]["config"]["html_static_path"]
    # Jupyter Book puts every script below a folder of this name on every page.
    assert not (BOOK / "_static").exists()
    script = BOOK / folders[0] / SETTINGS["sphinx"]["config"]["mathjax_path"]
    assert b"3.2.2" in script.read_bytes()
    assert "Apache License" in (script.parent / "LICENSE").read_text("utf-8")


def test_every_notebook_parameter_is_explained():
    page = (BOOK / "reproduce.md").read_text("utf-8")
    assert [name for name in PARAMETERS if f"`{name}`" not in page] == []


def test_the_table_of_tau_2019_can_be_made_as_the_page_says(tmp_path, monkeypatch):
    page = (BOOK / "scale.md").read_text("utf-8")
    (code,) = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "evaluation_setup" in block
    ]
    rows = [
        (f"audio/{scene}-{city}-{place}-{i}-a.wav", scene, f"{city}-{place}", f"{scene}-{city}-{place}-{i}")
        for scene in ("airport", "bus")
        for city in ("lyon", "milan")
        for place in range(2)
        for i in range(2)
    ]
    meta = pd.DataFrame(rows, columns=["filename", "scene_label", "identifier", "source_label"])
    for path in meta["filename"]:
        write_clip(tmp_path / path, 0, 0)
    meta.to_csv(tmp_path / "meta.csv", sep="\t", index=False)
    (tmp_path / "evaluation_setup").mkdir()
    here = meta["identifier"].str.startswith("lyon")
    lists = {"train": meta[here & meta["identifier"].str.endswith("0")], "evaluate": meta[~here]}
    for name, part in lists.items():
        columns = part[["filename", "scene_label"]]
        columns.to_csv(tmp_path / "evaluation_setup" / f"fold1_{name}.csv", sep="\t", index=False)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    clips = load_clips("tau2019.csv")
    assert clips.table.groupby("fold")["clip"].count().to_dict() == {0: 4, 1: 8}
    assert clips.classes == ["airport", "bus"]
    assert clips.test_folds == [1]
    assert set(clips.table["recording"]) == {"lyon-0", "milan-0", "milan-1"}
