"""What a run says when it has ended: what came out, in words, and where it can be read."""

import json
import shlex
from pathlib import Path


def closing_words(results: Path, page: Path, dataset: str) -> str:
    """Return the outcome of every claim, each with what was measured, the page that shows them, and what makes web pages.

    Parameters
    ----------
    results : Path
        The results folder of a data set.
    page : Path
    dataset : str
        As it was given.
    """
    outcomes = json.loads((results / "outcomes.json").read_text("utf-8"))
    lines = [f"What came out on {outcomes['on']}:"]
    for claim in outcomes["table"]:
        lines += [f"  {claim['text']} {claim['outcome'].capitalize()}:", f"    {claim['measured']}"]
    lines += [f"The page, a notebook: {page}", f"All as web pages: dha book --dataset {shlex.quote(dataset)}"]
    return "\n".join(lines)
