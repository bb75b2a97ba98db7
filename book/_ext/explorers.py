"""What the pages on which a reader chooses look up: directive ``explored``, whose argument is the name of a page.

The data stand in the page as JSON, since a page that is opened from a disk may not read a file; ``explorers.js`` shows them. The
page has the controls, hidden until the script shows them, and a figure for whoever has no scripts, which it then hides.
"""

import json

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dha_utils.book.parameters import in_book
from dha_utils.core.paths import bundled


class Explored(SphinxDirective):
    """The data of a page, and the script that shows them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return both."""
        content = {"explore": self.fractions}[self.arguments[0]]()
        data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        script = (
            f'<script type="application/json" data-explored="{self.arguments[0]}">{data}</script>'
            '<script defer src="_static/explorers.js"></script>'
        )
        return [nodes.raw("", script, format="html")]

    def fractions(self) -> list[dict]:
        """Return what is bundled of every data set of the book."""
        from dha_utils.book.fractions import bundled_fractions  # other pages do not wait for it

        for path in (path for name in in_book() for path in bundled(name).glob("sweep_*.jsonl")):
            self.env.note_dependency(str(path))
        return [bundled_fractions(name) for name in in_book()]


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Register the directive."""
    app.add_directive("explored", Explored)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
