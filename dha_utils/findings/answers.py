"""The answers side by side: each claim once, with its outcome on every data set of the book."""

from collections.abc import Mapping, Sequence


def answer_table(outcomes: Sequence[Mapping]) -> list[list[str]]:
    """Return rows of text: the header, then one row per claim with what came out on each data set.

    Parameters
    ----------
    outcomes : sequence of dict
        The results of notebook 16, ``outcomes.json``, of each data set.

    Examples
    --------
    >>> row = {"claim": "cost", "text": "It costs nothing.", "outcome": "holds on ESC-10", "measured": "−0.5 points"}
    >>> answer_table([{"on": "ESC-10", "table": [row]}, {"on": "ESC-50", "table": []}])
    [['claim', 'on ESC-10', 'on ESC-50'], ['It costs nothing.', 'holds: −0.5 points', '–']]
    """
    texts = {row["claim"]: row["text"] for found in outcomes for row in found["table"]}
    columns = [
        {
            row["claim"]: f"{row['outcome'].removesuffix(' on ' + found['on'])}: {row['measured']}"
            for row in found["table"]
        }
        for found in outcomes
    ]
    header = ["claim", *(f"on {found['on']}" for found in outcomes)]
    return [header, *([text, *(column.get(name, "–") for column in columns)] for name, text in texts.items())]


def answer_parts(outcomes: Sequence[Mapping]) -> list[dict]:
    """Return what the first page draws: changes of accuracy with their intervals, those of the data sets beside one another.

    Parameters
    ----------
    outcomes : sequence of dict
        As in `answer_table`.

    Returns
    -------
    list of dict
        Of the rows of ``parts`` that have an interval, the first of each claim, and all comparisons with random maps; ``part``
        names the claim and the data set as well.
    """
    drawn: dict[tuple[str, str], list[dict]] = {}
    for found in outcomes:
        seen = set()
        for row in found["parts"]:
            if row["low"] is not None and (row["claim"] not in seen or row["claim"] == "selection"):
                seen.add(row["claim"])
                name = f"{row['claim']}, {row['part']}: {found['on']}"
                drawn.setdefault((row["claim"], row["part"]), []).append(row | {"part": name})
    return [row for rows in drawn.values() for row in rows]
