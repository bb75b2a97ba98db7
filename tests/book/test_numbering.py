"""Numbers of pages, their sections and figures, in a small book of reStructuredText."""

import re
import subprocess
import sys

import pytest

from dha_utils.core.paths import repository

CONF = """
import sys
sys.path.append({extensions!r})
extensions = ["numbering"]
numfig = True
numfig_format = {{"figure": "Figure %s"}}
"""
PAGE = """
{title}
===============================

See :numref:`{name}`.

Part one
--------

.. _{name}:

.. figure:: x.svg

   A drawing.

Part two
--------
"""
PAGES = (
    "method",
    "executed/esc50/02_ensemble",
    "executed/esc50/17_outcomes",
    "executed/esc10/02_ensemble",
    "executed/esc10/15_second",
    "after",
)


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    source = tmp_path_factory.mktemp("numbered")
    for page in PAGES:
        file = source / f"{page}.rst"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(PAGE.format(title=page, name=page.replace("/", "-")), "utf-8")
        (file.parent / "x.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>', "utf-8")
    toc = "\n".join(f"   {page}" for page in PAGES)
    (source / "index.rst").write_text(f"Book\n====\n\n.. toctree::\n\n{toc}\n", "utf-8")
    extensions = str(repository() / "book" / "_ext")
    (source / "conf.py").write_text(CONF.format(extensions=extensions), "utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(source), str(source / "html")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return source / "html"


@pytest.mark.parametrize(
    ("page", "number", "figure"),
    [
        ("method", "", "1"),
        ("executed/esc50/02_ensemble", "2.", "2.1"),
        ("executed/esc50/17_outcomes", "17.", "17.1"),
        ("executed/esc10/02_ensemble", "2b.", "2b.1"),
        ("executed/esc10/15_second", "15b.", "15b.1"),
        ("after", "", "2"),
    ],
)
def test_pages_of_notebooks_have_their_numbers(html, page, number, figure):
    text = (html / f"{page}.html").read_text("utf-8")
    sections = [part.strip() for part in re.findall(r'<h[12]><span class="section-number">([^<]*)<', text)]
    assert sections == ([number, f"{number}1.", f"{number}2."] if number else [])
    assert re.findall(r'caption-number">(Figure [\w.]+) ?<', text) == [f"Figure {figure}"]
    assert re.findall(r'numref">([^<]*)<', text) == [f"Figure {figure}"]


def test_contents_show_them(html):
    shown = re.findall(
        r'toctree-l1"><a [^>]*>([^<]*)<', (html / "index.html").read_text("utf-8").split("<body")[1]
    )
    assert [name.split()[0] for name in shown[: len(PAGES)]] == [
        "method",
        "2.",
        "17.",
        "2b.",
        "15b.",
        "after",
    ]
