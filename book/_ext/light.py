"""What no page needs is taken out of a built book: it opens sooner, and is a third of the size.

The theme brings two thousand icons three times, as a script, as fonts and as styles. A dozen are in use: they become one small
font within its styles, which also shows where there are no scripts. Maps of scripts and translations of the theme go. A notebook
that a page offers is without its outputs, which are on the page.
"""

import base64
import io
import json
import re
import shutil
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx

UNUSED = ("*.map", "*webpack-macros.html", "*.ttf", "*.woff2", "fontawesome.js*")
"""Files of the theme, below ``_static``."""

FACE = re.compile(r"@font-face\{[^}]*?font-family:Font Awesome[^}]*\}")
RULE = re.compile(r"((?:\.fa-[\w-]+:{1,2}before,?)+)\{content:\"\\([0-9a-f]+)\"\}")
NAMED = re.compile(r'--pst-icon-[\w-]+:"(.)"')
"""Icons that styles refer to by a variable, such as that of a note."""
SCRIPT = re.compile(r"<script[^>]*fontawesome\.js[^>]*></script>\s*")


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Take from a book that has been built what none of its pages uses."""
    html = Path(app.outdir)
    if (
        exception
        or app.builder.format != "html"
        or not (styles := html / "_static/styles/pydata-sphinx-theme.css").is_file()
    ):
        return
    pages = {path: path.read_text("utf-8") for path in html.rglob("*.html")}
    scripts = [path.read_text("utf-8") for path in html.glob("_static/scripts/*theme.js")]
    used = {name for text in [*pages.values(), *scripts] for name in re.findall(r"\bfa-[a-z0-9-]+", text)}
    fonts = html / "_static" / "vendor" / "fontawesome" / "webfonts"
    if fonts.is_dir():  # not where this book has been lightened before
        styles.write_text(with_icons(styles.read_text("utf-8"), used, fonts / "fa-solid-900.ttf"), "utf-8")
        shutil.rmtree(fonts.parent)
    for path, text in pages.items():
        path.write_text(SCRIPT.sub("", text), "utf-8")
    for path in [path for name in UNUSED for path in (html / "_static").rglob(name)]:
        path.unlink(missing_ok=True)  # some have two of these names
    shutil.rmtree(html / "_static" / "locales", ignore_errors=True)
    for path in html.glob("_sources/**/*.ipynb"):
        path.write_text(without_outputs(path.read_text("utf-8")), "utf-8")


def with_icons(styles: str, used: set[str], font: Path) -> str:
    """Return styles that hold the icons in use, as a font, and no others."""
    places = {
        int(code, 16) for names, code in RULE.findall(styles) if used & set(re.findall(r"fa-[\w-]+", names))
    }
    places |= {ord(icon) for icon in NAMED.findall(styles)}
    options = subset.Options(flavor="woff", notdef_outline=True)
    loaded = subset.load_font(str(font), options)
    chosen = subset.Subsetter(options)
    chosen.populate(unicodes=places)
    chosen.subset(loaded)
    subset.save_font(loaded, file := io.BytesIO(), options)
    loaded.close()
    data = base64.b64encode(file.getvalue()).decode()
    face = (
        "@font-face{font-display:block;font-family:Font Awesome\\ 6 Free;font-style:normal;font-weight:900;"
        f'src:url(data:font/woff;base64,{data}) format("woff")}}'
    )
    styles = RULE.sub(lambda rule: rule[0] if int(rule[2], 16) in places else "", styles)
    styles = FACE.sub(lambda _: face, styles, count=1)
    return FACE.sub(lambda other: other[0] if "base64" in other[0] else "", styles)


def without_outputs(notebook: str) -> str:
    """Return the text of a notebook file without what its cells showed.

    >>> without_outputs('{"cells": [{"cell_type": "code", "execution_count": 3, "outputs": ["a"]}, {"cell_type": "raw"}]}')
    '{"cells": [{"cell_type": "code", "execution_count": null, "outputs": []}, {"cell_type": "raw"}]}'
    """
    content = json.loads(notebook)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    return json.dumps(content, ensure_ascii=False)


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Ask to be called last."""
    app.connect("build-finished", lighten, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
