"""What the pages on which a reader chooses look up: directive ``explored``, whose argument is the name of a page.

The data stand in the page as JSON, since a page that is opened from a disk may not read a file; ``explorers.js`` shows them. The
page has the controls, hidden until the script shows them, and a figure for whoever has no scripts, which it then hides.
"""

import json
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from dha_utils.book.parameters import in_book
from dha_utils.core.paths import bundled

HEARD = "esc10"
"""The data set whose maps are heard: its clips may be handed on."""

REAL = (
    "The sounds are clips of ESC-10 by K. J. Piczak (CC BY 3.0), at 22 050 Hz and in one channel, as the network hears them; "
    "who recorded each stands beside it."
)
REBUILT = (
    "<strong>These sounds are rebuilt from spectrograms</strong>, since the audio was not at hand when this book was built: the "
    "first clip of every class of ESC-10 (K. J. Piczak, CC BY 3.0). They are blurred; what a map "
    "answers is what it answered to the real clip. The real ones are here after "
    "<code>dha fetch esc10 &amp;&amp; dha book</code>."
)


class Explored(SphinxDirective):
    """The data of a page, and the script that shows them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return both, and what the page shows beside them."""
        page = self.arguments[0]
        content, shown = {"explore": self.explore, "hear": self.hear}[page]()
        data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
        script = (
            f'<script type="application/json" data-explored="{page}">{data}</script>'
            '<script defer src="_static/explorers.js"></script>'
        )
        return [nodes.raw("", shown + script, format="html")]

    def explore(self) -> tuple[list[dict], str]:
        """Return what is bundled of every data set of the book."""
        from dha_utils.book.fractions import bundled_fractions  # other pages do not wait for it

        for path in (path for name in in_book() for path in bundled(name).glob("sweep_*.jsonl")):
            self.env.note_dependency(str(path))
        return [bundled_fractions(name) for name in in_book()], ""

    def hear(self) -> tuple[dict, str]:
        """Write the sounds beside the page; return what is known of the maps, and a clip per class for those without scripts."""
        from dha_utils.book.hearing import hear

        content = hear(HEARD, Path(self.env.app.outdir) / "_static" / "heard")
        first = {clip["label"]: clip for clip in reversed(content["clips"])}
        figures = "".join(figure(first[label]) for label in content["classes"])
        note = f"<p>{REAL if content['real'] else REBUILT}</p>"
        return content, f'{note}<div class="without-scripts ends">{figures}</div>'


def figure(clip: dict) -> str:
    """Return the picture of a clip, its sound and its credit."""
    name, label = clip["name"], escape(clip["label"].replace("_", " "))
    credit = clip.get("credit")
    made = (
        escape(" From {title} by {author} ({licence}), cut: {url}".format(**credit))
        if credit
        else " Rebuilt."
    )
    return (
        f'<div class="clip"><img src="_static/heard/{name}.png" alt="Spectrogram: {label}, clip {name}">'
        f'<audio controls preload="none" src="_static/heard/{name}.mp3" aria-label="{label}, clip {name}"></audio>'
        f"<p><b>{label}</b>, {name}.{made}</p></div>"
    )


def setup(app: Sphinx) -> dict[str, bool | str]:
    """Register the directive."""
    app.add_directive("explored", Explored)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
