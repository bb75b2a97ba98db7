"""The reference: all public names from their docstrings, the criteria from their registry, how to cite from CITATION.cff.

`write_names` replaces the comment ``% names`` of the page ``api``; directives: ``criteria-table``, ``citation``.
"""

import re
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import dha_utils as dha

FOLDERS = (
    "datasets", "audio", "networks", "responses", "criteria", "evaluation", "pruning", "studies", "figures", "findings",
    "book", "core",
)  # fmt: skip
"""Of the package, as the page lists them."""

NAMES = "% names"
"""What stands in the source of the page in place of the names."""


def write_names(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the public names into the page ``api``, by folder, as reStructuredText like their docstrings."""
    if page != "api":
        return
    folders = defaultdict(list)
    for name in dha.__all__:
        folders[dha._PUBLIC[name].partition(".")[0]].append(name)
    parts = []
    for folder in sorted(folders, key=FOLDERS.index):
        entries = "\n".join(entry(name, f"dha_utils.{dha._PUBLIC[name]}") for name in folders[folder])
        parts.append(f"## {folder}\n\n```{{eval-rst}}\n{entries}\n```\n")
    source[0] = source[0].replace(NAMES, "\n".join(parts))


def entry(name: str, module: str) -> str:
    """Return the directive for a public name: autodoc's, but for data, whose docstring stands below them in their module."""
    value = getattr(dha, name)
    if isinstance(value, type):
        return f".. autoclass:: dha_utils.{name}\n   :members:\n"
    if callable(value):
        return f".. autofunction:: dha_utils.{name}\n"
    for place in (module, f"{module}.base"):  # what a package hands on is written down in its base
        try:
            analyzer = ModuleAnalyzer.for_module(getattr(import_module(place), "__name__", place))
        except ImportError:
            continue
        analyzer.analyze()
        lines = analyzer.attr_docs.get(("", name))
        if lines:
            return f".. py:data:: dha_utils.{name}\n\n" + "".join(f"   {line}\n" for line in lines)
    raise ValueError(f"{name} has no docstring below it in {module}")


def escape_stars(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Keep the star of a shape such as ``(clips, *shape)`` from opening an emphasis."""
    lines[:] = [re.sub(r"(?<=, )\*(?=\w+\))", r"\\*", line) for line in lines]


class CriteriaTable(SphinxDirective):
    """All criteria in a table, family by family: name, what it is and its source; what it needs; its formula."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        from dha_utils.criteria.described import FORMULAS, TITLES, needs_of  # other pages do not wait for it

        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in range(3)), cols=3)
        group += nodes.thead("", row([text("criterion")], [text("needs")], [text("formula")]))
        body = nodes.tbody()
        for criterion in sorted(dha.CRITERIA.values(), key=lambda criterion: criterion.family):
            name = nodes.literal("", criterion.name, ids=[f"criterion-{nodes.make_id(criterion.name)}"])
            said = [
                nodes.paragraph("", "", name, nodes.Text(f": {TITLES[criterion.name]}; {criterion.family}")),
                text(criterion.summary),
                text(criterion.reference, classes=["source"]),
            ]
            formula = self.parse_inline(FORMULAS.get(criterion.name, ""))[0]
            body += row(said, [text(needs_of(criterion))], [nodes.paragraph("", "", *formula)])
        group += body
        return [nodes.table("", group, classes=["criteria", "colwidths-auto"])]


def text(words: str, **attributes) -> nodes.paragraph:
    """Return a paragraph."""
    return nodes.paragraph("", words, **attributes)


def row(*cells: list[nodes.Node]) -> nodes.row:
    """Return a row of a table from what its cells hold."""
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


class Citation(SphinxDirective):
    """BibTeX of this book and of the paper, from CITATION.cff."""

    def run(self) -> list[nodes.Node]:
        """Return both entries as one block."""
        cited = read_citation(self.env.srcdir)
        self.env.note_dependency(str(citation_file(self.env.srcdir)))
        (paper,) = cited["references"]
        own = {
            "title": cited["title"],
            "author": " and ".join(f"{{{author['name']}}}" for author in cited["authors"]),
            "year": str(cited["date-released"])[:4],
            "note": f"Version {cited['version']}, {cited['date-released']}",
        }
        theirs = {
            "title": paper["title"],
            "author": " and ".join(f"{a['family-names']}, {a['given-names']}" for a in paper["authors"]),
            "booktitle": paper["conference"]["name"],
            "year": str(paper["year"]),
        }
        entries = (
            bibtex("misc", "dha_companion", own) + "\n" + bibtex("inproceedings", "singh2019dha", theirs)
        )
        return [nodes.literal_block("", entries, language="bibtex")]


def bibtex(kind: str, key: str, fields: dict[str, str]) -> str:
    """Return an entry.

    >>> print(bibtex("misc", "a2026b", {"title": "A"}), end="")
    @misc{a2026b,
      title = {A},
    }
    """
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@{kind}{{{key},\n{lines}}}\n"


def citation_file(book: str) -> Path:
    """Return CITATION.cff, which lies beside the folder of the pages."""
    return Path(book).resolve().parent / "CITATION.cff"


def read_citation(book: str) -> dict:
    """Return what CITATION.cff says."""
    return yaml.safe_load(citation_file(book).read_text("utf-8"))


def write_footer(app: Sphinx, config: Config) -> None:
    """Put version, date and licence under every page."""
    if citation_file(app.srcdir).is_file():
        cited = read_citation(app.srcdir)
        words = f"Version {cited['version']}, {cited['date-released']}. Code: {cited['license']} licence."
        config.html_theme_options = {**config.html_theme_options, "extra_footer": f"<div>{words}</div>"}


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Register what this extension does."""
    app.connect("source-read", write_names)
    app.connect("autodoc-process-docstring", escape_stars, priority=400)  # before napoleon
    app.connect("config-inited", write_footer)
    app.add_directive("criteria-table", CriteriaTable)
    app.add_directive("citation", Citation)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
