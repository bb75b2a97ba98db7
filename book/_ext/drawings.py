"""The directive ``drawing``: a picture of the method, drawn for the network and a data set of the book; its body is the caption.

Its argument is what is drawn: ``network``, ``taps``, ``folds`` or ``ignoring``.
"""

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dha_utils.book.parameters import BOOK
from dha_utils.core.formats import ResultError
from dha_utils.datasets import DATASETS
from dha_utils.figures import method
from dha_utils.networks.base import Network
from dha_utils.networks.registry import outline
from results import read_result, warn


class Drawing(SphinxDirective):
    """One figure, numbered like any other."""

    required_arguments = 1
    has_content = True
    option_spec = {"name": directives.unchanged_required}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        """Return the figure, or nothing but a warning where a number is missing or there is no such drawing."""
        network, first = outline(), BOOK[0]
        draw = {
            "network": lambda: method.network_drawing(network, DATASETS[first].seconds),
            "taps": lambda: method.taps_drawing(network, most_read(network)),
            "folds": lambda: method.folds_drawing(self.number(first, "folds"), self.number(first, "clips")),
            "ignoring": lambda: method.ignoring_drawing(network, list(network.layers)[2]),
        }
        try:
            drawn = draw[self.arguments[0]]()
        except KeyError:
            known = ", ".join(draw)
            warn(
                self.env,
                self.arguments[0],
                ResultError(f"there is no such drawing, but {known}"),
                self.get_location(),
            )
            return []
        except ResultError as error:
            warn(self.env, f"{first}/responses.json", error, self.get_location())
            return []
        figure = nodes.figure("", nodes.raw("", drawn, format="html"), classes=["drawing"])
        figure += nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        self.set_source_info(figure)
        self.add_name(figure)
        return [figure]

    def number(self, dataset: str, key: str) -> int:
        """Return what a data set has of something."""
        return read_result(self.env, dataset, "responses.json", key)


def most_read(network: Network) -> str:
    """Return the last of the layers that have most taps."""
    of = [network.layer_of(tap) for tap in network.taps]
    return max(network.layers, key=lambda layer: (of.count(layer), list(network.layers).index(layer)))


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Register the directive."""
    app.add_directive("drawing", Drawing)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
