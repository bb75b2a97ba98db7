"""The page of notebook 05 is page 5: pages that are made of notebooks have the numbers of these, all others none.

Where a book tells of several data sets, the pages of the first have the number alone, those of the second a b behind it.
"""

import re
from collections.abc import Iterable, Iterator
from string import ascii_lowercase

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector

PAGE = re.compile(r"executed/([^/]+)/(\d\d)_\w+")


def numbers_of(pages: Iterable[str]) -> dict[str, str]:
    """Return the number of every page that is made of a notebook.

    >>> numbers_of(["method", "executed/esc50/02_ensemble", "executed/esc10/02_ensemble", "executed/esc10/15_second_network"])
    {'executed/esc50/02_ensemble': '2', 'executed/esc10/02_ensemble': '2b', 'executed/esc10/15_second_network': '15b'}
    """
    found = {page: match for page in pages if (match := PAGE.fullmatch(page))}
    letters = dict(
        zip(dict.fromkeys(match[1] for match in found.values()), ("", *ascii_lowercase[1:]), strict=False)
    )
    return {page: f"{int(match[2])}{letters[match[1]]}" for page, match in found.items()}


def sections(
    entry: nodes.list_item, number: tuple[str, ...]
) -> Iterator[tuple[nodes.reference, tuple[str, ...]]]:
    """Yield the link and the number of an entry of a page's contents, and of all that are below it."""
    yield entry[0][0], number
    below = [item for part in entry[1:] if isinstance(part, nodes.bullet_list) for item in part]
    for place, item in enumerate(below, start=1):
        yield from sections(item, (*number, str(place)))


def number_pages(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give sections their numbers, where Sphinx has left all without one, and figures theirs after them."""
    numbers = numbers_of(env.toctree_includes.get(env.config.root_doc, []))
    for page, number in numbers.items():
        env.toc_secnumbers[page] = {}
        for link, place in sections(env.tocs[page][0], (number,)):
            link["secnumber"] = env.toc_secnumbers[page][link["anchorname"]] = place
        env.titles[page]["secnumber"] = (number,)
    return [*numbers, *TocTreeCollector().assign_figure_numbers(env)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the numbering, after Sphinx's own."""
    app.connect("env-get-updated", number_pages, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
