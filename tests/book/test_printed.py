"""A book of three small pages on paper; that of the real pages: `test_pages.py`."""

import re
from collections import Counter

import pytest
from browser import dead_links, needs_chromium

from dha_utils.book.printed import contents, one_page, page_numbers, print_book

NAV = """<nav class="bd-links"><a class="reference internal" href="{up}index.html">A book</a>
<p><span class="caption-text">First part</span></p>
<ul><li><a class="reference internal" href="{up}a.html">1. Maps &amp; more</a></li></ul>
<p><span class="caption-text">Last part</span></p>
<ul><li><a class="reference internal" href="{up}sub/b.html">2. “Quoted”</a></li></ul></nav>"""

PAGES = {
    "index.html": """<h1>A book<a class="headerlink" href="#a-book">#</a></h1>
        <p>See <a href="sub/b.html#same">b</a>, <a href="a.html">a</a>, <a href="https://a.example/x">out</a>,
        <a href="genindex.html">index</a>, <a href="#here">here</a>.</p><p id="here"></p>""",
    "a.html": """<h1><span class="section-number">1. </span>Maps &amp; more</h1><h2 id="same">Within</h2>
        <div class="cell_output"><figure><svg width="600" height="100"><defs><path id="m" d="M0 0L9 9"/><clipPath id="c"/></defs>
        <g clip-path="url(#c)"><use xlink:href="#m"/></g></svg><figcaption>A drawing</figcaption></figure></div>
        <details class="admonition hide above-input"><summary>Show</summary><p>secret code</p></details>
        <table><tr><td><div style="width: 1500px">wide</div></td></tr></table><p style="break-after: page"></p><p>next</p>""",
    "sub/b.html": """<h1><span class="section-number">2. </span>“Quoted”</h1><p id="same"><img src="../_static/x.png" alt="x"></p>
        <div class="explorer hear" hidden><div class="controls"><label>Tap <select name="t"></select></label>
        <label>Maps kept: <output></output></label></div><p>not seen</p></div>
        <audio controls src="../_static/x.mp3"></audio><script>alert(1)</script>""",
}  # fmt: skip


@pytest.fixture
def index(tmp_path):
    for name, article in PAGES.items():
        page = tmp_path / "_build" / "html" / name
        page.parent.mkdir(parents=True, exist_ok=True)
        nav = NAV.format(up="../" if "/" in name else "").replace(
            "index.html", "#" if name == "index.html" else "index.html"
        )
        page.write_text(
            f'<html><head><link rel="stylesheet" href="_static/a.css"></head><body>{nav}<article class="bd-article">{article}'
            '</article><div class="extra_footer">\n<div>Version 1.</div></div></body></html>',
            "utf-8",
        )
    for name in ("a.css", "print.css", "x.png", "x.mp3"):
        file = tmp_path / "_build" / "html" / "_static" / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return tmp_path / "_build" / "html" / "index.html"


def test_contents_are_those_beside_the_first_page(index):
    assert contents(index.read_text("utf-8")) == [
        ("", "index.html", "A book"),
        ("First part", "a.html", "1. Maps &amp; more"),
        ("Last part", "sub/b.html", "2. “Quoted”"),
    ]


def test_pages_become_one_document_whose_links_stay_in_it(index, tmp_path):
    whole = one_page(index)
    headings = [
        (level, re.sub("<[^>]*>", "", text)) for level, text in re.findall(r"<h(\d).*?>(.*?)</h\1>", whole)
    ]
    assert headings == [
        ("1", "Contents"), ("2", "A book"), ("1", "First part"), ("2", "1. Maps &amp; more"), ("3", "Within"),
        ("1", "Last part"), ("2", "2. “Quoted”"),
    ]  # fmt: skip
    assert [name for name, times in Counter(re.findall(r'\bid="([^"]+)"', whole)).items() if times > 1] == []
    links = re.search(r"<p>See.*?</p>", whole, re.S)[0]
    assert re.findall(r'<a(?: href="(.*?)")?>', links) == [
        "#sub-b--same",
        "#a",
        "https://a.example/x",
        "",
        "#index--here",
    ]
    assert '<g clip-path="url(#a--c)"><use xlink:href="#a--m"/></g>' in whole
    assert """<article id="a" style="--chapter: '1.'">""" in whole
    assert "Version 1." in whole
    (index.parent.with_name("whole.html")).write_text(whole, "utf-8")
    assert [link for link in dead_links(index.parents[1]) if link.startswith("whole")] == []


def test_what_lives_on_a_page_alone_is_named_in_its_place(index):
    whole = one_page(index)
    assert "On its page in the book one chooses here: tap, maps kept.</em></p><div" in whole
    assert "Its sound is in the book." in whole
    for gone in ("<audio", "<script>alert", "secret code", "headerlink"):
        assert gone not in whole


@needs_chromium
def test_chromium_prints_it_with_bookmarks_links_and_page_numbers(index):
    pdf = print_book(index)
    assert pdf == index.parents[2] / "book.pdf"
    content = pdf.read_bytes()
    numbers = page_numbers(content)
    assert numbers["index"] <= numbers["a"] < numbers["sub-b"]
    assert sorted(path.name for path in index.parents[2].iterdir()) == ["_build", "book.pdf"]
    assert not index.parent.with_name("whole.html").exists()
    assert content.count(b"/Subtype /Link") >= 3 + 4  # those of the contents, and those of the first page
    assert content.count(b"/URI (https://a.example/x)") == 1
    titles = titles_of(content)
    assert [
        title
        for title in ("First part", "1. Maps & more", "Within", "Last part", "2. “Quoted”")
        if title not in titles
    ] == []


def titles_of(pdf):
    """Return the titles of all bookmarks of a PDF of Chromium's."""
    plain = [text.decode("latin-1") for text in re.findall(rb"/Title \(((?:[^)\\]|\\.)*)\)", pdf)]
    coded = [
        bytes.fromhex(text.decode())[2:].decode("utf-16-be")
        for text in re.findall(rb"/Title <([0-9A-F]+)>", pdf)
    ]
    return [re.sub(r"\\(.)", r"\1", title) for title in plain] + coded
