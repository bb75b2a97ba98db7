"""Numbers in the prose come from results files: the role ``result``, the directive ``result-table``.

References, keys and formats are those of `dha_utils.core.formats`, with the data set: ``DATASET/FILE.json:KEY:FORMAT``. The file
is looked for in ``RESULTS/DATASET/``, then among the bundled artifacts of the data set (what benchmarks have measured).
Whatever cannot be shown is a Sphinx warning that names the page, the file and the key, so that ``-W`` fails.
"""

import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from dha_utils.core.formats import REFERENCE, ResultError, format_value, lookup, read_value

FIELD = re.compile(r"\{(?P<key>[^{}:]+)(?::(?P<format>[^{}]*))?\}")

logger = logging.getLogger(__name__)


def read_result(env: BuildEnvironment, dataset: str, file: str, key: str) -> object:
    """Read one value of ``RESULTS/DATASET/FILE``, or of the bundled artifact, and make the present page depend on that file."""
    folders = (env.config.dha_results, env.config.dha_artifacts)
    paths = [Path(env.srcdir, folder, dataset, file).resolve() for folder in folders]
    path = next((path for path in paths if path.is_file()), paths[0])
    env.note_dependency(str(path))
    return read_value(path, key)


def warn(env: BuildEnvironment, reference: str, error: ResultError, location: str) -> None:
    """Log what is wrong with a reference as a warning that ``-W`` turns into a failure."""
    message = "page %s: result %s: %s"
    logger.warning(message, env.docname, reference, error, location=location, type="dha", subtype="result")


class ResultRole(SphinxRole):
    """One number: ``{result}`DATASET/FILE.json:KEY:FORMAT```."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the formatted value, or the reference itself, marked as a problem, where there is none."""
        try:
            parts = REFERENCE.fullmatch(self.text)
            if parts is None or not parts["dataset"] or not parts["key"]:
                raise ResultError("write DATASET/FILE.json:KEY or DATASET/FILE.json:KEY:FORMAT")
            value = read_result(self.env, parts["dataset"], parts["file"], parts["key"])
            return [nodes.Text(format_value(value, parts["format"] or ""))], []
        except ResultError as error:
            warn(self.env, self.text, error, self.get_location())
            return [nodes.problematic(self.rawtext, self.text)], []


class ResultTable(SphinxDirective):
    """A table of a list of records; every line of the body is a column, ``Header | text with {KEY:FORMAT}``.

    A null shows as a dash: in a table, unlike in a sentence, "does not apply" is an answer.
    """

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"caption": directives.unchanged_required, "name": directives.unchanged_required}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Return the table, or nothing but a warning where a file, a key or a format is wrong."""
        reference = self.arguments[0]
        try:
            parts = REFERENCE.fullmatch(reference)
            if parts is None or not parts["dataset"] or parts["format"] is not None:
                raise ResultError(
                    "write DATASET/FILE.json:KEY or, where the whole file is a list, DATASET/FILE.json"
                )
            records = read_result(self.env, parts["dataset"], parts["file"], parts["key"] or "")
            if not isinstance(records, list) or not records:
                raise ResultError("the value is not a list of records, or an empty one")
            columns = [[part.strip() for part in line.split("|", 1)] for line in self.content if line.strip()]
            if not columns or any(len(column) != 2 for column in columns):
                raise ResultError("every line of the body must read 'Header | {key:format}'")
            rows = [
                [fill(text, record, index) for _, text in columns] for index, record in enumerate(records)
            ]
        except ResultError as error:
            warn(self.env, reference, error, self.get_location())
            return []
        return [self.table(columns, rows)]

    def table(self, columns: list[list[str]], rows: list[list[str]]) -> nodes.table:
        """Build the docutils table: headers take inline markup, columns with a format are set flush right."""
        classes = [["result-number"] if re.search(r"\{[^{}:]+:", text) else [] for _, text in columns]
        group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in columns), cols=len(columns))
        headers = [self.parse_inline(header)[0] for header, _ in columns]
        cells = [[[nodes.Text(text)] for text in row] for row in rows]
        for section, lines in ((nodes.thead(), [headers]), (nodes.tbody(), cells)):
            for line in lines:
                row = nodes.row()
                for children, names in zip(line, classes, strict=True):
                    row += nodes.entry("", nodes.paragraph("", "", *children), classes=names)
                section += row
            group += section
        table = nodes.table("", classes=["result-table", "colwidths-auto"])
        if "caption" in self.options:
            table += nodes.title("", "", *self.parse_inline(self.options["caption"])[0])
        table += group
        self.set_source_info(table)
        self.add_name(table)
        return table


def fill(text: str, record: object, index: int) -> str:
    """Replace every ``{KEY:FORMAT}`` in `text` by the value of `record`; null becomes a dash."""

    def value(field: re.Match) -> str:
        try:
            found = lookup(record, field["key"])
            return "–" if found is None else format_value(found, field["format"] or "")
        except ResultError as error:
            raise ResultError(f"record {index}, {field[0]}: {error}") from error

    return FIELD.sub(value, text)


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Register the role, the directives and the two settings; a change of any rereads every page."""
    app.add_config_value("dha_results", "../results", "env", [str])
    app.add_config_value("dha_artifacts", "../data", "env", [str])
    app.add_role("result", ResultRole())
    app.add_directive("result-table", ResultTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
