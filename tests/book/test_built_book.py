"""The book that `make book` has built, all pages of both data sets; where none is built, or an older one, nothing is tested."""

import pytest
from browser import browser, dead_links, faults, needs_chromium

from dha_utils.book.build import is_current
from dha_utils.core.paths import out_dir

HEAVIEST, HEAVIEST_SOUNDS = 12_000_000, 8_000_000
"""Bytes."""


@pytest.fixture(scope="module")
def html():
    if not is_current():
        pytest.skip("there is no book of these pages: make book")
    return out_dir() / "build" / "_build" / "html"


def weigh(html):
    """Return the bytes of the sounds of a book, with their pictures, and of all else."""
    sounds = sum(path.stat().st_size for path in html.glob("_static/heard/*"))
    return sounds, sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) - sounds


def test_it_is_light(html):
    sounds, rest = weigh(html)
    assert rest <= HEAVIEST
    assert sounds <= HEAVIEST_SOUNDS


def test_links_lead_somewhere(html):
    assert dead_links(html) == []


@needs_chromium
def test_nothing_is_wrong_with_a_page(html, tmp_path):
    pages = sorted(path for path in html.rglob("*.html") if "_static" not in path.parts)
    with browser(tmp_path) as context:
        found = [fault for page in pages for fault in faults(context, page, axe_at=(1280,))]
    assert found == []
