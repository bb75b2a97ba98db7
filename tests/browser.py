"""Pages of the book in headless Chromium: what is wrong with them, in words.

axe-core (``tests/book/axe``, Mozilla Public License 2.0) looks for what shuts people out; the rest is looked at here: errors in
the console, requests outside the book, overflow, small text. Links and anchors need no browser (`dead_links`).
"""

import shutil
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

AXE = Path(__file__).parent / "book" / "axe" / "axe.min.js"
CHROMIUM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the path")

SMALLEST = {1440: 11, 1280: 11, 390: 9}
"""Width of the window -> the smallest text there may be, px."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]

LOOK = """smallest => {
    const faults = [], root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) faults.push(`${root.scrollWidth} px wide in ${root.clientWidth}`);
    const small = new Map(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, said = walker.currentNode.data.trim();
        if (!said || element.closest("script, style, title, mjx-container, .visually-hidden, .fa, .fas")) continue;
        const box = element.getBoundingClientRect();
        if (!box.width || !box.height || getComputedStyle(element).visibility == "hidden") continue;
        const scale = element.ownerSVGElement ? element.getScreenCTM().d : 1;
        const size = parseFloat(getComputedStyle(element).fontSize) * Math.abs(scale);
        if (scale && size < smallest - 0.05) small.set(size.toFixed(1), said.slice(0, 30));
    }
    for (const [size, said] of small) faults.push(`text of ${size} px: ${said}`);
    const named = element => (element.getAttribute("alt") || element.getAttribute("aria-label") || "").trim();
    for (const picture of document.querySelectorAll("article img, article figure > svg")) {
        if (!named(picture)) faults.push(`a picture without words: ${picture.outerHTML.slice(0, 60)}`);
    }
    for (const table of root.clientWidth < 1000 ? [] : document.querySelectorAll("article table")) {
        for (let box = table.parentElement; box.tagName != "ARTICLE"; box = box.parentElement)
            if (box.scrollWidth > box.clientWidth + 1 && box.clientWidth)
                faults.push(`a table of ${box.scrollWidth} px in ${box.clientWidth}: ${table.innerText.slice(0, 40)}`);
    }
    return faults;
}"""

SETTLED = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"""
"""What depends on the width is drawn within two frames."""

ACCESSIBLE = """async rules => (
    await axe.run(document, {runOnly: rules, resultTypes: ["violations"], preload: false})
).violations.map(
    found => `${found.id}: ${found.nodes.length} times, such as ${found.nodes[0].html.slice(0, 120)} (${
        found.nodes[0].any.concat(found.nodes[0].all).map(check => check.message).join("; ").slice(0, 160)})`)"""


@contextmanager
def browser(folder: Path):
    """Open Chromium; `folder` is its profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            folder,
            executable_path=CHROMIUM,
            headless=True,
            args=["--no-sandbox", "--disable-dev-shm-usage"],
            bypass_csp=True,
        )
        context.set_default_timeout(120_000)  # where others are at work too
        yield context
        context.close()


def faults(context, page: Path, widths=tuple(SMALLEST), axe_at=(1280, 390)) -> list[str]:
    """Return what is wrong with a page at some widths of the window, light and dark; it is loaded once.

    At widths in `axe_at` axe looks at it too; in the dark at the first of them, since there only colours are others.
    """
    found = []
    tab = context.new_page()
    tab.on("console", lambda said: found.append(f"console: {said.text}") if said.type == "error" else None)
    tab.on("pageerror", lambda error: found.append(f"error: {error}"))
    tab.on("request", lambda asked: found.append(f"asks for {asked.url}") if is_outside(asked.url) else None)
    tab.emulate_media(color_scheme="light", reduced_motion="reduce")
    tab.set_viewport_size({"width": widths[0], "height": 900})
    tab.goto(page.as_uri())
    tab.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => true) : true")
    tab.evaluate(AXE.read_text("utf-8"))
    looks = [("light", width, width in axe_at) for width in widths]
    looks += [("dark", width, width == axe_at[0]) for width in widths]
    for theme, width, with_axe in looks:
        tab.emulate_media(color_scheme=theme, reduced_motion="reduce")
        tab.set_viewport_size({"width": width, "height": 900})
        tab.evaluate(SETTLED)
        said = tab.evaluate(LOOK, SMALLEST[width])
        said += tab.evaluate(ACCESSIBLE, RULES) if with_axe else []
        found += [f"{theme}, {width} px, {fault}" for fault in said]
    tab.close()
    return [f"{page.name}: {fault}" for fault in found]


def is_outside(url: str) -> bool:
    return urlsplit(url).scheme not in ("file", "data", "blob")


class Links(HTMLParser):
    """Collects where a page leads to, and which of its places can be led to."""

    def __init__(self):
        super().__init__()
        self.to, self.places = [], set()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.places |= {attributes.get("id"), attributes.get("name") if tag == "a" else None}
        if tag == "a":
            self.to.append(attributes.get("href"))
        if tag in ("img", "source", "audio"):
            self.to.append(attributes.get("src"))


def dead_links(folder: Path) -> list[str]:
    """Return the links of the pages below `folder` that lead to no file or to no place in it."""
    pages = {}
    for path in folder.rglob("*.html"):
        pages[path.resolve()] = links = Links()
        links.feed(path.read_text("utf-8"))
    dead = []
    for path, links in pages.items():
        for link in filter(None, links.to):
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            file = (path.parent / unquote(address.path)).resolve() if address.path else path
            place = unquote(address.fragment)
            if not file.is_file() or (place and file in pages and place not in pages[file].places):
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead
