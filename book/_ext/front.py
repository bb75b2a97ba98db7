"""The first page: the figure of the answer, and the claims with their outcomes, of all data sets of the book that have results.

Directives: ``answer-figure`` (its body is the caption) and ``answer-claims``. Like all numbers of the prose theirs are those of
the committed results.
"""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dha_utils.book.parameters import BOOK
from dha_utils.core.formats import ResultError
from dha_utils.figures.answer import answer_figure
from dha_utils.findings.answers import answer_rows
from dha_utils.paper import KEEP, MARGIN
from results import read_result, warn

SYMBOLS = {"holds": "✓", "does not hold": "✗", "undecided": "?"}
"""Beside the words and the colours."""


class Answer(SphinxDirective):
    """What both directives do: ask which data sets have outcomes, and say so where none has."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes, or nothing but a warning where there are no results or not those that are shown."""
        folder = Path(self.env.srcdir, self.env.config.dha_results)
        for name in BOOK:
            self.env.note_dependency(str((folder / name / "outcomes.json").resolve()))
        there = [name for name in BOOK if (folder / name / "outcomes.json").is_file()]
        try:
            if not there:
                raise ResultError(f"no data set has results in {folder.resolve()}")
            return self.nodes_of(there)
        except ResultError as error:
            warn(self.env, "outcomes.json", error, self.get_location())
            return []


class AnswerFigure(Answer):
    """The figure, a picture for each data set side by side; the body is its caption."""

    has_content = True
    option_spec = {"name": directives.unchanged_required}  # noqa: RUF012

    def nodes_of(self, names: list[str]) -> list[nodes.Node]:
        """Return the figure."""
        drawn = ""
        for name in names:
            rows = list(read_result(self.env, name, "curves.json", "random").values())
            full = read_result(self.env, name, "ensemble.json", "cost.full")
            on = read_result(self.env, name, "outcomes.json", "on")
            drawn += answer_figure(on, rows, full, MARGIN, KEEP)
        figure = nodes.figure("", nodes.raw("", drawn, format="html"), classes=["answer"])
        caption = nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        figure += caption
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]


class AnswerClaims(Answer):
    """The claims, outcome first, each a link to the page that measures it."""

    def nodes_of(self, names: list[str]) -> list[nodes.Node]:
        """Return the table."""
        found = [read_result(self.env, name, "outcomes.json", "") for name in names]
        titles = [f"on {outcomes['on']}" for outcomes in found] + ["claim"]
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in titles), cols=len(titles))
        group += nodes.thead("", row(*([nodes.Text(title)] for title in titles)))
        body = nodes.tbody()
        for claim in answer_rows(found):
            cells = [outcome(*cell) for cell in claim["cells"]]
            body += row(*cells, [self.link(claim["text"], claim["evidence"], names)])
        group += body
        return [nodes.table("", group, classes=["claims", "colwidths-auto"])]

    def link(self, text: str, notebook: str, names: list[str]) -> nodes.Node:
        """Return the claim as a link to the notebook's page, of the first data set of this book that has one."""
        there = [page for page in sorted(self.env.found_docs) if page.endswith(f"/{notebook}")]
        first = [f"executed/{name}/{notebook}" for name in names if f"executed/{name}/{notebook}" in there]
        if not there:
            return nodes.Text(text)
        link = addnodes.pending_xref("", nodes.inline("", text), refdomain="std", reftype="doc")
        link.update_all_atts({"reftarget": f"/{[*first, *there][0]}", "refexplicit": True, "refwarn": True})
        link["refdoc"] = self.env.docname
        return link


def row(*cells: list[nodes.Node]) -> nodes.row:
    """Return a row of a table from what its cells hold."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


def outcome(word: str, measured: str) -> list[nodes.Node]:
    """Return an outcome with its symbol, and what was measured in short."""
    kind = word.replace(" ", "-") if word in SYMBOLS else "open"
    badge = nodes.inline("", f"{SYMBOLS.get(word, '–')} {word}", classes=["outcome", kind])
    return [badge, nodes.Text(" "), nodes.inline("", measured, classes=["measured"])]


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Register the directives."""
    app.add_directive("answer-figure", AnswerFigure)
    app.add_directive("answer-claims", AnswerClaims)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
