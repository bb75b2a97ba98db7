"""What is asked of a network of one's own, of which nobody has claimed anything: which of its maps it needs.

Conventions: as in `dha_utils.findings.outcomes`; a question has an outcome in parts as a claim has, *yes*, *no* or *undecided*.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from dha_utils.core.formats import format_value as shown
from dha_utils.evaluation.inference import Interval
from dha_utils.findings.outcomes import (
    BETTER,
    DOES_NOT_HOLD,
    HOLDS,
    UNDECIDED,
    Claim,
    Part,
    compare_with_random,
    loss_outcome,
    outcome_rows,
    points,
)
from dha_utils.paper import MARGIN

YES, NO, OBSERVED = "yes", "no", "observed"

ANSWER = {HOLDS: YES, DOES_NOT_HOLD: NO, UNDECIDED: UNDECIDED}
"""Outcome of a claim -> of the question whether it is so."""

NO_INTERVAL = Interval(None, None, None)


def short_name(network: str) -> str:
    """Return what a network is called on its pages: the file and the function that make it.

    >>> short_name("networks/my_network.py:build")
    'my_network.py:build'
    """
    return Path(network).name


def _few(ensemble: Mapping) -> Iterator[Part]:
    """Ask what random maps cost against all maps, and what chosen ones do."""
    cost, drawn = ensemble["cost"], ensemble["any_maps"]
    kept = f"{shown(1 - cost['ignored'], '.1%')} of the maps"
    change = Interval(drawn["change"], drawn["low"], drawn["high"])
    yield Part(
        "random maps",
        f"any {kept} (mean of {drawn['draws']} draws) instead of all: accuracy changes by {points(change)} from "
        f"{shown(ensemble['full'], '.1%')}; the worst draw reaches {shown(drawn['lowest'], '.1%')}",
        ANSWER[loss_outcome(change)],
        change,
    )
    change = Interval(cost["estimate"], cost["low"], cost["high"])
    yield Part(
        "maps chosen by ANOVA",
        f"{kept}, chosen by ANOVA, instead of all: accuracy changes by {points(change)}",
        ANSWER[loss_outcome(change)],
        change,
    )


def _chosen(curves: Mapping) -> Iterator[Part]:
    """Compare ANOVA with random maps, at every fraction together, then fraction by fraction."""
    first, *each = compare_with_random(curves)
    yield first._replace(outcome=ANSWER[first.outcome])
    for part in each:
        yield part._replace(outcome=YES if part.outcome == BETTER else part.outcome)


def _redundant(dimension: Mapping) -> Iterator[Part]:
    """Say how many components the maps of every tap have."""
    taps = dimension["taps"].values()
    needed = sum(tap["pc90_rest"] for tap in taps)
    yield Part(
        "all taps",
        f"{needed} components hold 90 % of the variance of {dimension['maps']} maps in {len(taps)} taps",
        OBSERVED,
        NO_INTERVAL,
    )
    for tap in taps:
        yield Part(
            tap["tap"],
            f"{tap['tap']}: {tap['pc90_rest']} components hold 90 % of the variance of {tap['maps']} maps",
            OBSERVED,
            NO_INTERVAL,
        )


def _differ(redundancy: Mapping) -> Iterator[Part]:
    """Say how many maps are not shown to answer the classes differently."""
    share = redundancy["ignored_by_alpha"]
    yield Part(
        "by analysis of variance",
        f"{shown(share, '.1%')} of the maps show no difference between the classes (ANOVA, false discovery rate "
        f"{redundancy['alpha']:g})",
        OBSERVED,
        NO_INTERVAL,
    )


def _sum(ensemble: Mapping) -> Iterator[Part]:
    """Compare the sum over taps with the best of them."""
    *_, gain = ensemble["gains"]
    change = Interval(gain["change"], gain["low"], gain["high"])
    yield Part(
        "against the best tap, " + gain["tap"],
        f"the sum over taps changes accuracy by {points(change)} against a tap at {shown(gain['single'], '.1%')}",
        YES if change.low > 0 else NO if change.high <= 0 else UNDECIDED,
        change,
    )


QUESTIONS: Mapping[str, Claim] = {
    "few": Claim(
        f"at most {100 * MARGIN:g} points", "Will almost any few of its maps do?", "02_ensemble", _few, ""
    ),
    "chosen": Claim("", "Are maps chosen by ANOVA better than random ones?", "05_curves", _chosen, ""),
    "redundant": Claim("", "How redundant are its maps?", "10_dimension", _redundant, ""),
    "differ": Claim("", "How many of its maps do not tell the classes apart?", "06_redundancy", _differ, ""),
    "sum": Claim("", "Is the sum over its taps better than the best of them?", "02_ensemble", _sum, ""),
}
"""Questions to a network of one's own, in the order in which they are answered."""


def asked_rows(
    read: Callable[[str], Mapping], dataset: str, without: Collection[str], network: str | None
) -> list[dict]:
    """Return the rows of the page of outcomes: of the claims, or of what is asked of a network of one's own.

    Arguments and rows as in `dha_utils.findings.outcomes.outcome_rows`; `network` as in `dha_utils.load_network`, None where it
    is the one of the claims.
    """
    if network is None:
        return outcome_rows(read, dataset, without)
    return outcome_rows(read, dataset, without, QUESTIONS, short_name(network))
