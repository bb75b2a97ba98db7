"""The whole book as one PDF: the pages of a built book one after the other, printed by Chromium.

What is printed is what was built, so chapters, sections and figures have the numbers that they have on their pages. What lives
on a page alone, sounds and controls, is named in its place.
"""

import posixpath
import re
import shutil
from collections.abc import Collection
from html import unescape
from importlib.util import find_spec
from pathlib import Path

from dha_utils.core.errors import DhaError
from dha_utils.core.paths import atomic_write

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""What Chromium's program is called, and that of Chrome, which will do."""

HEAD = re.compile(
    r"<link[^>]*stylesheet[^>]*>|<script>window\.MathJax.*?</script>|<script[^>]*mathjax/[^>]*></script>"
)
"""What the first page asks for that paper needs too: styles, and what sets formulas."""

LEFT_OUT = re.compile(
    r'<script\b.*?</script>|<a class="headerlink".*?</a>|<details class="admonition hide above-input">.*?</details>',
    re.S,
)
"""Of an article: scripts, what a pointer shows beside headings, and code that is shown only when it is asked for."""

PAPER = {
    "format": "A4",
    "margin": {"top": "15mm", "bottom": "17mm", "left": "15mm", "right": "15mm"},
    "print_background": True,
    "outline": True,
    "tagged": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": '<div style="font: 8px sans-serif; margin: auto"><span class="pageNumber"></span></div>',
}
WIDTH, HEIGHT = 680, 1000
"""Of what is printed on a sheet, px."""

SMALLEST = 0.7
"""To which a drawing is shrunk that is higher than a sheet; one that is higher still goes on on the next."""

FIT = """async ([height, smallest]) => {
    await document.fonts.ready;
    await window.MathJax?.startup?.promise;
    for (const heading of document.querySelectorAll("h2")) {
        const { clientWidth: room, scrollWidth: wide } = heading;
        if (wide > room) heading.style.fontSize = `${0.99 * parseFloat(getComputedStyle(heading).fontSize) * room / wide}px`;
    }
    for (const part of document.querySelectorAll("table, mjx-container")) {
        const room = part.parentElement.clientWidth;
        if (room && part.scrollWidth > room) part.style.zoom = Math.max(0.5, room / part.scrollWidth);
    }
    for (const drawing of document.querySelectorAll("figure > svg")) {
        const { width, height: high } = drawing.getBoundingClientRect();
        const scale = height / high;
        if (scale < 1 && scale >= smallest) Object.assign(drawing.style, { width: `${width * scale}px`, minWidth: 0 });
        if (scale < smallest) drawing.parentElement.classList.add("cut");
    }
}"""


NUMBER = """numbers => {
    for (const link of document.querySelectorAll("nav a")) link.nextElementSibling.textContent = numbers[link.hash.slice(1)];
}"""


def find_chromium() -> str:
    """Return where Chromium's program is; a DhaError says what to install where there is none, or nothing that drives it."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise DhaError(
            "Chromium prints the book and is not on the path: install it (`apt install chromium`), or Chrome"
        )
    if find_spec("playwright") is None:
        raise DhaError("playwright drives Chromium and is not installed: `pip install playwright`")
    return program


def print_book(index: Path) -> Path:
    """Print a built book into one PDF, and return where it is.

    Parameters
    ----------
    index : Path
        The first page of the book, ``_build/html/index.html``.

    Returns
    -------
    Path
        ``book.pdf`` beside ``_build``: contents with page numbers and as bookmarks, links, text that can be searched.

    Raises
    ------
    DhaError
        As `find_chromium`.
    """
    program = find_chromium()
    from playwright.sync_api import sync_playwright

    whole, printed = index.parent.with_name("whole.html"), index.parents[2] / "book.pdf"
    whole.write_text(one_page(index), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(0)  # all of it at once takes its time
        page.emulate_media(media="print", color_scheme="light")
        page.goto(whole.as_uri())
        page.evaluate(FIT, [0.9 * HEIGHT, SMALLEST])
        page.evaluate(NUMBER, page_numbers(page.pdf(**PAPER)))
        content = page.pdf(**PAPER)
        browser.close()
    whole.unlink()
    with atomic_write(printed) as temporary:
        temporary.write_bytes(content)
    return printed


def page_numbers(pdf: bytes) -> dict[str, int]:
    """Return the number of the page of every place of a PDF of Chromium's that has a name; pages count from 1."""
    pages = sorted(int(number) for number in re.findall(rb"\n(\d+) 0 obj\n<</Type /Page\n", pdf))
    named = re.findall(rb"[\n<]/([\w-]+) \[(\d+) 0 R /XYZ", pdf)
    return {name.decode(): pages.index(int(number)) + 1 for name, number in named}


def one_page(index: Path) -> str:
    """Return all pages of a built book as one, to lie beside its folder.

    Parameters
    ----------
    index : Path
        The first page; in its contents are the others, in their order.
    """
    first = index.read_text("utf-8")
    pages = contents(first)
    names, title = [name for _, name, _ in pages], pages[0][2]
    version = re.search(r'class="extra_footer">\s*<div>(.*?)</div>', first, re.S)
    listed, printed, part = "", "", ""
    for caption, name, heading in pages:
        if caption != part:
            part = caption
            listed += f"<li><b>{part}</b></li>\n"
            printed += f"<h1>{part}</h1>\n"
        listed += f'<li><a href="#{place(name)}">{heading}</a><span></span></li>\n'
        printed += chapter((index.parent / name).read_text("utf-8"), name, names)
    head = "".join(re.sub(r'(href|src)="', r'\1="html/', found) for found in HEAD.findall(first))
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8"><title>{title}</title>
{head}<link rel="stylesheet" href="html/_static/print.css">
</head><body class="printed"><main>
<p class="title">{title}</p>
<p>{version[1] if version else ""}</p>
<p>The pages of the book, printed. Sounds, and controls with which one chooses what is shown, are on its pages alone; a line says
so in their place. Code that its pages show when asked is in the notebooks.</p>
<nav><h1>Contents</h1><ul>
{listed}</ul></nav>
{printed}</main></body></html>
"""


def contents(first: str) -> list[tuple[str, str, str]]:
    """Return part, file and title of every page, from the contents beside the first page."""
    there = first[first.index('<nav class="bd-links') :]
    entry = re.compile(
        r'caption-text">(?P<part>.*?)</span>|<a class="reference internal" href="(?P<file>[^"]+)">(?P<title>.*?)</a>',
        re.S,
    )
    found, part = [], ""
    for match in entry.finditer(there[: there.index("</nav>")]):
        if match["part"]:
            part = match["part"]
        else:
            found.append((part, match["file"].replace("#", "index.html"), match["title"].strip()))
    return found


def place(name: str, within: str = "") -> str:
    """Return what a page, or a place within it, is called among all pages.

    >>> place("executed/esc10/09_maps.html"), place("glossary.html", "term-map")
    ('executed-esc10-09_maps', 'glossary--term-map')
    """
    return name.removesuffix(".html").replace("/", "-") + (f"--{within}" if within else "")


def chapter(page: str, name: str, pages: Collection[str]) -> str:
    """Return what stands on a page, as a part of a document of all `pages`, whose headings are one level higher than its own."""
    article = LEFT_OUT.sub("", re.search(r"<article\b[^>]*>(.*?)</article>", page, re.S)[1])
    article = re.sub(
        r"<audio\b.*?</audio>", '<em class="left-out">Its sound is in the book.</em>', article, flags=re.S
    )
    article = re.sub(r'<div class="explorer\b.*?</div>', in_place_of_controls, article, flags=re.S)
    article = re.sub(r"(</?h)([1-5])\b", lambda tag: f"{tag[1]}{int(tag[2]) + 1}", article)
    article = re.sub(r"<[a-zA-Z][^<>]*>", lambda tag: in_one_document(tag[0], name, pages), article)
    number = re.search(r'<span class="section-number">([\w.]+)', article)
    own = f" style=\"--chapter: '{number[1]}'\"" if number else ""
    return f'<article id="{place(name)}"{own}>{article}</article>\n'


def in_place_of_controls(controls: re.Match) -> str:
    """Return a line on what one can choose on the page, before the controls, which stay hidden."""
    named = ", ".join(
        unescape(label).strip(" :").lower() for label in re.findall(r"<label>([^<]+)", controls[0])
    )
    return f'<p class="left-out"><em>On its page in the book one chooses here: {named}.</em></p>{controls[0]}'


def in_one_document(tag: str, name: str, pages: Collection[str]) -> str:
    """Return an opening tag of a page whose places have names that no other page has, and whose links stay in the document.

    >>> in_one_document('<a id="b" href="../c.html#d">', "e/f.html", ["c.html"])
    '<a id="e-f--b" href="#c--d">'
    >>> in_one_document('<a href="genindex.html">', "f.html", ["f.html"])
    '<a>'
    """

    def link(match: re.Match) -> str:
        kind, to = match.groups()
        if re.match(r"[a-z]+:", to):
            return match[0]
        file, _, within = to.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name
        if kind == "src":
            return f' src="html/{file}"'
        return f' {kind}="#{place(file, within)}"' if file in pages else ""

    tag = re.sub(
        r' (id|for|aria-labelledby|aria-describedby)="([^"]+)"',
        lambda m: f' {m[1]}="{place(name, m[2])}"',
        tag,
    )
    tag = re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{place(name, m[1])})", tag)
    return re.sub(r' (href|xlink:href|src)="([^"]*)"', link, tag)
