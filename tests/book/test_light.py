"""What is taken out of a built book, and that what is used stays."""

import base64
import importlib.util
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pydata_sphinx_theme
import pytest
from fontTools.ttLib import TTFont

from dha_utils.core.paths import repository

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"


@pytest.fixture(scope="module")
def light():
    spec = importlib.util.spec_from_file_location("light", repository() / "book" / "_ext" / "light.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_icons_in_use_and_no_others_are_within_the_styles(light):
    styles = (THEME / "styles" / "pydata-sphinx-theme.css").read_text("utf-8")
    font = THEME / "vendor" / "fontawesome" / "webfonts" / "fa-solid-900.ttf"
    small = light.with_icons(styles, {"fa-solid", "fa-bars", "fa-file-pdf"}, font)
    (data,) = re.findall(r"@font-face\{[^}]*Awesome[^}]*base64,([^)]*)\)", small)
    icons = set(TTFont(io.BytesIO(base64.b64decode(data))).getBestCmap())
    assert icons >= {0xF0C9, 0xF1C1, 0xF05A}  # the last is a note's
    assert len(icons) < 20
    assert 'before{content:"\\f0c9"}' in small
    assert "fa-xmark:before" in styles
    assert "fa-xmark:before" not in small
    assert "url(../vendor" not in small
    assert len(small) < len(styles) - 50_000


def test_a_built_book_is_lightened_once_and_again(light, tmp_path):
    files = {
        "a.html": '<script defer src="_static/scripts/fontawesome.js?digest=1"></script>\n<i class="fa-solid fa-bars"></i>',
        "_static/styles/pydata-sphinx-theme.css": (THEME / "styles/pydata-sphinx-theme.css").read_text("utf-8"),
        "_static/scripts/fontawesome.js": "", "_static/scripts/fontawesome.js.map": "", "_static/scripts/a-theme.js": "",
        "_static/locales/de/LC_MESSAGES/a.mo": "",
        "_sources/executed/a.ipynb": json.dumps({"cells": [{"cell_type": "code", "execution_count": 1, "outputs": [1]}]}),
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    fonts = tmp_path / "_static" / "vendor" / "fontawesome" / "webfonts"
    fonts.mkdir(parents=True)
    (fonts / "fa-solid-900.ttf").write_bytes(
        (THEME / "vendor/fontawesome/webfonts/fa-solid-900.ttf").read_bytes()
    )
    app = SimpleNamespace(outdir=str(tmp_path), builder=SimpleNamespace(format="html"))
    for _ in range(2):
        light.lighten(app, None)
        left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert left == {name for name in files if "fontawesome" not in name and "locales" not in name}
        assert (tmp_path / "a.html").read_text("utf-8") == '<i class="fa-solid fa-bars"></i>'
    (cell,) = json.loads((tmp_path / "_sources/executed/a.ipynb").read_text("utf-8"))["cells"]
    assert cell["outputs"] == []


def test_a_build_that_failed_is_left_alone(light, tmp_path):
    light.lighten(SimpleNamespace(outdir=str(tmp_path)), ValueError("a fault"))
