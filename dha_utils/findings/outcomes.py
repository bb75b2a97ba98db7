"""From numbers to outcomes: what holds of the paper's claims, and on which data.

The claims, the margins and the outcomes are those of the protocol, ``book/protocol.md``. A claim with a margin *holds* if
the whole 95 % interval lies within the margin, *does not hold* if the whole interval lies outside, and is *undecided*
otherwise. A comparison with random maps comes out *better* or *worse* if the interval excludes 0 on that side, *equivalent* if
it lies within the margin of equivalence, and *undecided* otherwise. An interval of no width decides nothing: where no clip is
told otherwise, as where all are right, a bootstrap cannot say how sure that is.

Conventions: a claim is asked in one or several *parts*, each a row with an outcome of its own; the first part is the claim as it
was worded, and gives the outcome of the claim. A claim, with its rule, is registered here by name (`claim`); the rule reads the
results file of the notebook that measures it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from dha_utils.core.formats import format_value as shown
from dha_utils.datasets.given import title_of
from dha_utils.evaluation.inference import Interval
from dha_utils.paper import EQUIVALENT, GAIN, KEEP, MARGIN, SAVED

HOLDS, DOES_NOT_HOLD, UNDECIDED = "holds", "does not hold", "undecided"
NOT_TESTABLE, NOT_MEASURED = "not testable here", "not measured"
BETTER, WORSE, EQUIVALENT_TO_RANDOM = "better", "worse", "equivalent"


def loss_outcome(change: Interval, margin: float = MARGIN) -> str:
    """Return the outcome of "costs less than `margin`" from a change of accuracy (negative: a loss).

    >>> [loss_outcome(Interval(-0.02, *ends)) for ends in ((-0.029, 0.0), (-0.03, 0.0), (-0.08, -0.03), (0.0, 0.0))]
    ['holds', 'undecided', 'does not hold', 'undecided']
    """
    if change.low == change.high:
        return UNDECIDED
    if change.low > -margin:
        return HOLDS
    return DOES_NOT_HOLD if change.high <= -margin else UNDECIDED


def random_outcome(difference: Interval, margin: float = EQUIVALENT) -> str:
    """Return how a selection compares with random ones, from its accuracy minus theirs.

    The difference is that of `dha_utils.evaluation.inference.paired_random`.

    >>> [random_outcome(Interval(0.0, *ends)) for ends in ((0.001, 0.03), (-0.01, 0.01), (-0.011, 0.01), (-0.03, -0.001), (0, 0))]
    ['better', 'equivalent', 'undecided', 'worse', 'undecided']
    """
    if difference.low == difference.high:
        return UNDECIDED
    if difference.low > 0:
        return BETTER
    if difference.high < 0:
        return WORSE
    within = -margin <= difference.low and difference.high <= margin
    return EQUIVALENT_TO_RANDOM if within else UNDECIDED


def share_outcome(claimed: float, shown: float, refuted: float) -> str:
    """Return the outcome of "a share `claimed` of the maps has a property".

    Holds where so many are shown to have it, does not hold where too many are shown not to have it.

    >>> share_outcome(0.89, 0.9, 0.0), share_outcome(0.89, 0.03, 0.7), share_outcome(0.89, 0.03, 0.05)
    ('holds', 'does not hold', 'undecided')
    """
    if shown >= claimed:
        return HOLDS
    return DOES_NOT_HOLD if refuted > 1 - claimed else UNDECIDED


class Part(NamedTuple):
    """One way of asking a claim: what is asked, what was measured (a sentence), the outcome, and the interval behind it."""

    part: str
    measured: str
    outcome: str
    interval: Interval


class Claim(NamedTuple):
    """A published claim: where it stands, what it says, the notebook that measures it, its rule, and the data it is about."""

    source: str
    text: str
    evidence: str
    rule: Callable[[Mapping], Iterable[Part]]
    about: str


NOTHING = Part(
    NOT_MEASURED,
    "the notebook has not been run on these data",
    NOT_MEASURED,
    Interval(None, None, None),
)

CLAIMS: dict[str, Claim] = {}
"""The claims of the protocol (``book/protocol.md``), in its order."""


def claim(name: str, source: str, text: str, evidence: str, about: str = "") -> Callable:
    """Register a claim with its rule, which makes parts from the results file of the notebook that is the `evidence`.

    Its outcome is that of its first part, which asks it as it was worded. Other data sets than those whose names begin with
    `about` cannot test it.
    """

    def register(rule: Callable[[Mapping], Iterable[Part]]) -> Callable[[Mapping], Iterable[Part]]:
        CLAIMS[name] = Claim(source, text, evidence, rule, about)
        return rule

    return register


def outcome_rows(
    read: Callable[[str], Mapping],
    dataset: str,
    without: Collection[str] = (),
    asked: Mapping[str, Claim] = CLAIMS,
    of: str = "",
) -> list[dict]:
    """Return the rows of the page of outcomes.

    Parameters
    ----------
    read : callable
        Name of a results file -> its content; asked for those that the rules of `CLAIMS` read.
    dataset : str
        Name of the data set.
    without : collection of str
        Notebooks that are not run on it; what they would be evidence of is not measured.
    asked : dict
        What is asked: the claims, or what is asked of a network of one's own (`dha_utils.findings.questions.QUESTIONS`).
    of : str
        Of which network, if that is one's own.

    Returns
    -------
    list of dict
        claim (its key in `asked`), part, text and source of the claim, measured (a sentence), estimate, low, high (fractions;
        None where there is none), outcome, evidence (a notebook), on (what people call the data set).
    """
    read, on = cache(read), title_of(dataset) + (f" ({of})" if of else "")
    return [
        {
            "claim": name,
            "part": part.part,
            "text": claim.text,
            "source": claim.source,
            "measured": part.measured,
        }
        | part.interval._asdict()
        | {"outcome": part.outcome if dataset.startswith(claim.about) else NOT_TESTABLE}
        | {"evidence": claim.evidence, "on": on}
        for name, claim in asked.items()
        for part in (
            [NOTHING] if claim.evidence in without else claim.rule(read(claim.evidence.partition("_")[2]))
        )
    ]


def claim_rows(rows: Sequence[Mapping]) -> list[dict]:
    """Return one row per claim, that of its first part; the outcome names the data set.

    Parameters
    ----------
    rows : sequence of dict
        As `outcome_rows` returns them.
    """
    first: dict[str, Mapping] = {}
    for row in rows:
        first.setdefault(row["claim"], row)
    return [
        {
            **row,
            "outcome": row["outcome"]
            + ("" if row["outcome"] in (NOT_TESTABLE, NOT_MEASURED) else f" on {row['on']}"),
        }
        for row in first.values()
    ]


@claim("cost", "DHA, abstract", "Ignoring 89 % of the feature maps costs less than 3 %.", "02_ensemble")
def _cost(ensemble: Mapping) -> Iterator[Part]:
    """Ask what ignoring costs in points, and relative to the accuracy with all maps beside it."""
    cost = ensemble["cost"]
    change = Interval(cost["estimate"], cost["low"], cost["high"])
    relative = Interval(*(cost[f"relative_{end}"] for end in ("estimate", "low", "high")))
    # With another fraction than the paper's the claim is not the paper's.
    asked = abs(cost["ignored"] - (1 - KEEP)) < 0.01
    ignored = f"ignoring {shown(cost['ignored'], '.1%')} of the maps by ANOVA changes accuracy by"
    yield Part(
        "ignoring maps by ANOVA, in points",
        f"{ignored} {points(change)}",
        loss_outcome(change) if asked else NOT_TESTABLE,
        change,
    )
    yield Part(
        "relative to the accuracy with all maps",
        f"{ignored} {shown(relative.estimate, '+.2%')} of the accuracy with all maps "
        f"[{shown(relative.low, '+.2%')}, {shown(relative.high, '+.2%')}]",
        loss_outcome(relative) if asked else NOT_TESTABLE,
        relative,
    )


@claim("computation", "DHA, abstract", "That saves 18 % of the computation.", "12_computation")
def _computation(computation: Mapping) -> Iterator[Part]:
    """Ask what ignoring saves, network, averages and classifiers counted, and what removing filters saves.

    Counts are exact: the claim holds where the saving is the paper's to the per cent.
    """
    ways = {
        "ignoring": "by ignoring maps",
        "removing_union": "by removing the filters of conv3 to conv7 that ANOVA keeps at no tap",
        "psnet": "by removing the filters that p-Snet removes",
    }
    for name, part in ways.items():
        short, long = (computation["savings"][name][seconds] for seconds in ("5", "30"))
        # Of p-Snet's classifiers nothing is known: its network alone is counted.
        counted = "network" if short["all"] is None else "all"
        yield Part(
            part,
            f"{part} {shown(short[counted], '.1%')} is saved for clips of 5 s, {shown(long[counted], '.1%')} for 30 s"
            + (" (network alone)" if counted == "network" else ""),
            HOLDS if round(short[counted], 2) >= SAVED else DOES_NOT_HOLD,
            Interval(short[counted], None, None),
        )


@claim("selection", "DHA, poster", "The statistic finds the maps that matter.", "05_curves")
def compare_with_random(curves: Mapping) -> Iterator[Part]:
    """Compare ANOVA with random maps, at every fraction together, then fraction by fraction."""
    compared = list(curves["random"].values())
    outcomes = [row["outcome"] for row in compared]
    if all(outcome == BETTER for outcome in outcomes):
        together = HOLDS
    else:
        refuted = any(outcome in (WORSE, EQUIVALENT_TO_RANDOM) for outcome in outcomes)
        together = DOES_NOT_HOLD if refuted else UNDECIDED
    at = {
        outcome: ", ".join(f"{100 * row['keep']:g}" for row in compared if row["outcome"] == outcome)
        for outcome in (BETTER, WORSE)
    }
    found = f"better at {at[BETTER]} %" if at[BETTER] else "better at none"
    found += f", worse at {at[WORSE]} %" if at[WORSE] else ""
    yield Part(
        "at every fraction",
        f"ANOVA's maps against random ones at {len(compared)} fractions kept: {found}",
        together,
        Interval(None, None, None),
    )
    for row in compared:
        part = f"with {100 * row['keep']:g} % of the maps"
        difference = Interval(row["difference"], row["low"], row["high"])
        yield Part(
            part,
            f"{part}: accuracy {shown(row['accuracy'], '.2%')} against {shown(row['random'], '.2%')} with random maps "
            f"(mean of {row['draws']}), {points(difference)}",
            row["outcome"],
            difference,
        )


@claim("alike", "DHA, poster", "Redundant maps respond alike to the various classes.", "07_tests")
def _alike(tests: Mapping) -> Iterator[Part]:
    """Ask how many maps are shown to respond alike, in both forms of the test; claimed of all that are ignored."""
    claimed, margin = 1 - KEEP, tests["margin"]
    for form, name in (("welch", "Welch form"), ("pooled", "pooled form")):
        at = tests["equivalence"][form]
        reached = at["margin_reaching"]
        yield Part(
            f"within f = {margin:g}, {name}",
            f"{shown(at['medium_adjusted'], '.1%')} of the maps are shown to respond alike within f = {margin:g} ({name}, "
            f"adjusted) and {shown(at['medium_refuted'], '.1%')} to differ by more; {shown(claimed, '.0%')} within "
            + (f"f = {reached:g}" if reached else "no margin tried"),
            share_outcome(claimed, at["medium_adjusted"], at["medium_refuted"]),
            Interval(at["medium_adjusted"], None, None),
        )


@claim("pruning", "DHA, poster", "CNNs can be pruned by redundant feature maps only.", "13_compensation")
def _pruning(compensation: Mapping) -> Iterator[Part]:
    """Ask what networks without some filters lose, at the paper's saving and as far as it goes."""
    for network in compensation["claim"].values():
        change = Interval(network["change"], network["low"], network["high"])
        yield Part(
            network["what"],
            f"{network['what']}: {shown(1 - network['macs'], '.1%')} fewer multiply-accumulates, accuracy changes by "
            f"{points(change)}",
            loss_outcome(change),
            change,
        )


@claim(
    "ensemble",
    "EUSIPCO-18",
    "The ensemble is 30.85 % (relative) better than its best layer.",
    "02_ensemble",
    about="dcase2016",
)
def _ensemble(ensemble: Mapping) -> Iterator[Part]:
    """Compare with the best layer, on DCASE-16: elsewhere the gain over the best layer is an observation."""
    *_, gain = ensemble["gains"]
    change = Interval(gain["change"], gain["low"], gain["high"])
    needed = gain["single"] * (1 + GAIN)
    beyond = Interval(*(value / gain["single"] - GAIN for value in change))
    room = f"; {shown(GAIN, '.2%')} more would be {shown(needed, '.1%')}" if needed > 1 else ""
    yield Part(
        "against the best tap, " + gain["tap"],
        f"observed: the sum over taps changes accuracy by {points(change)} against a tap at "
        f"{shown(gain['single'], '.2%')}{room}",
        loss_outcome(beyond, 0.0) if needed <= 1 else NOT_TESTABLE,
        change,
    )


def points(change: Interval) -> str:
    """Return a change of accuracy in percentage points with its interval.

    >>> points(Interval(-0.005, -0.02, 0.01))
    '−0.50 points [−2.00, +1.00]'
    """
    estimate, low, high = (shown(value, "+.2p") for value in change)
    return f"{estimate} points [{low}, {high}]"
