"""What a run says when it has ended: what came out, in words, and where it can be read."""

import json
from pathlib import Path


def closing_words(results: Path, page: Path) -> str:
    """Return the outcome of every claim, each with what was measured, and the path of the page that shows them.

    Parameters
    ----------
    results : Path
        The results folder of a data set.
    page : Path
    """
    outcomes = json.loads((results / "outcomes.json").read_text("utf-8"))
    lines = [f"What came out on {outcomes['on']}:"]
    for claim in outcomes["table"]:
        lines += [f"  {claim['text']} {claim['outcome'].capitalize()}:", f"    {claim['measured']}"]
    return "\n".join([*lines, f"The page: {page}"])
