"""The answers side by side: each claim once, with its outcome on every data set of the book."""

from collections.abc import Mapping, Sequence

from dha_utils.core.formats import format_value
from dha_utils.evaluation.inference import Interval
from dha_utils.findings.outcomes import points

SAID = {
    "computation": "saved by ignoring",
    "alike": "of the maps shown alike",
    "pruning": ", filters removed and nothing mended",
}
"""Claim -> what is said behind its number: of what it is a share, or what makes it."""


def answer_table(outcomes: Sequence[Mapping]) -> list[list[str]]:
    """Return rows of text: the header, then one row per claim with what came out on each data set.

    Parameters
    ----------
    outcomes : sequence of dict
        The results of notebook 17, ``outcomes.json``, of each data set.

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


def answer_rows(outcomes: Sequence[Mapping]) -> list[dict]:
    """Return what the first page lists: each claim, where its evidence is, and per data set what came out, in short.

    Parameters
    ----------
    outcomes : sequence of dict
        As in `answer_table`.

    Returns
    -------
    list of dict
        text and evidence (a notebook) of the claim; cells: one (outcome, measured) per data set, ("–", "") where there is none.

    Examples
    --------
    >>> row = {"claim": "cost", "text": "Free.", "evidence": "02_ensemble", "outcome": "holds on ESC-10", "measured": "..."}
    >>> row |= {"estimate": -0.005, "low": -0.02, "high": 0.01}
    >>> answer_rows([{"on": "ESC-10", "table": [row]}])
    [{'text': 'Free.', 'evidence': '02_ensemble', 'cells': [('holds', '−0.50 points [−2.00, +1.00]')]}]
    """
    claims = {row["claim"]: row for found in outcomes for row in found["table"]}
    columns = [{row["claim"]: row for row in found["table"]} for found in outcomes]
    return [
        {
            "text": claim["text"],
            "evidence": claim["evidence"],
            "cells": [
                (column[name]["outcome"].partition(" on ")[0], _in_short(column[name]))
                if name in column
                else ("–", "")
                for column in columns
            ],
        }
        for name, claim in claims.items()
    ]


def _in_short(row: Mapping) -> str:
    """Return what was measured: a change in points with its interval, a share, or else the end of the sentence that says it."""
    said = SAID.get(row["claim"], "")
    if row["low"] is not None:
        return points(Interval(row["estimate"], row["low"], row["high"])) + said
    if row["estimate"] is None:
        return row["measured"].rpartition(": ")[2]
    return f"{format_value(row['estimate'], '.1%')} {said}".rstrip()
