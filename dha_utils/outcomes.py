"""From numbers to outcomes: what holds of the paper's claims, and on which data.

The claims, the margins and the outcomes are those of the protocol, ``book/protocol.md``. A claim with a margin *holds* if
the whole 95 % interval lies within the margin, *does not hold* if the whole interval lies outside, and is *undecided*
otherwise. A comparison with random maps comes out *better* or *worse* if the interval excludes 0 on that side, *equivalent* if
it lies within the margin of equivalence, and *undecided* otherwise.

Conventions: a claim is asked in one or several *parts*, each a row with an outcome of its own; the first part is the claim as it
was worded, and gives the outcome of the claim.
"""

from collections.abc import Mapping, Sequence

from dha_utils.datasets import DATASETS
from dha_utils.formats import format_value as shown
from dha_utils.inference import Interval
from dha_utils.paper import CLAIMS, EQUIVALENT, KEEP, MARGIN

HOLDS, DOES_NOT_HOLD, UNDECIDED = "holds", "does not hold", "undecided"
NOT_TESTABLE = "not testable here"
BETTER, WORSE, EQUIVALENT_TO_RANDOM = "better", "worse", "equivalent"


def loss_outcome(change: Interval, margin: float = MARGIN) -> str:
    """Return the outcome of "costs less than `margin`" from a change of accuracy (negative: a loss).

    >>> [loss_outcome(Interval(-0.02, *ends)) for ends in ((-0.029, 0.0), (-0.03, 0.0), (-0.08, -0.03))]
    ['holds', 'undecided', 'does not hold']
    """
    if change.low > -margin:
        return HOLDS
    return DOES_NOT_HOLD if change.high <= -margin else UNDECIDED


def random_outcome(difference: Interval, margin: float = EQUIVALENT) -> str:
    """Return how a selection compares with random ones, from its accuracy minus theirs (`dha_utils.inference.paired_random`).

    >>> [random_outcome(Interval(0.0, *ends)) for ends in ((0.001, 0.03), (-0.01, 0.01), (-0.011, 0.01), (-0.03, -0.001))]
    ['better', 'equivalent', 'undecided', 'worse']
    """
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


def outcome_rows(results: Mapping[str, Mapping], dataset: str) -> list[dict]:
    """Return the rows of the page of outcomes.

    Parameters
    ----------
    results : dict of str to dict
        Name of a results file -> its content: ensemble, computation, curves, tests, compensation.
    dataset : str
        Name of the data set.

    Returns
    -------
    list of dict
        claim (its key in `dha_utils.paper.CLAIMS`), part, text and source of the claim, measured (a sentence), estimate, low,
        high (fractions; None where there is none), outcome, on (what people call the data set), evidence (a notebook).
    """
    on = DATASETS[dataset].title if dataset in DATASETS else dataset
    rows = [
        *_cost(results["ensemble"]),
        *_computation(results["computation"]),
        *_selection(results["curves"]),
        *_alike(results["tests"]),
        *_pruning(results["compensation"]),
        *_ensemble(results["ensemble"], dataset),
    ]
    return [row | {"on": on} for row in rows]


def claim_rows(rows: Sequence[Mapping]) -> list[dict]:
    """Return one row per claim, that of its first part; the outcome names the data set.

    Parameters
    ----------
    rows : sequence of dict
        As `outcome_rows` returns them.
    """
    first: dict[str, dict] = {}
    for row in rows:
        first.setdefault(row["claim"], dict(row))
    return [
        row
        | {
            "outcome": row["outcome"]
            if row["outcome"] == NOT_TESTABLE
            else f"{row['outcome']} on {row['on']}"
        }
        for row in first.values()
    ]


def _cost(ensemble: Mapping) -> list[dict]:
    """Return claim 1: what ignoring costs in points, and relative to the accuracy with all maps beside it."""
    cost = ensemble["cost"]
    change = Interval(cost["estimate"], cost["low"], cost["high"])
    relative = Interval(*(cost[f"relative_{end}"] for end in ("estimate", "low", "high")))
    # With another fraction than the paper's the claim is not the paper's.
    asked = abs(cost["ignored"] - (1 - KEEP)) < 0.01
    ignored = f"ignoring {shown(cost['ignored'], '.1%')} of the maps by ANOVA changes accuracy by"
    return [
        _row(
            "cost",
            "in points of accuracy",
            f"{ignored} {points(change)}",
            loss_outcome(change) if asked else NOT_TESTABLE,
            "03_ensemble",
            change,
        ),
        _row(
            "cost",
            "relative to the accuracy with all maps",
            f"{ignored} {shown(relative.estimate, '+.2%')} of the accuracy with all maps "
            f"[{shown(relative.low, '+.2%')}, {shown(relative.high, '+.2%')}]",
            loss_outcome(relative) if asked else NOT_TESTABLE,
            "03_ensemble",
            relative,
        ),
    ]


def _computation(computation: Mapping) -> list[dict]:
    """Return claim 2: what ignoring saves, network, averages and classifiers counted, and what removing filters saves.

    Counts are exact: the claim holds where the saving is the paper's to the per cent.
    """
    ways = {
        "ignoring": "by ignoring maps",
        "removing_union": "by removing the filters of conv3 to conv7 that ANOVA keeps at no tap",
        "psnet": "by removing the filters that p-Snet removes",
    }
    claimed = CLAIMS["computation"].number
    rows = []
    for name, part in ways.items():
        short, long = (computation["savings"][name][seconds] for seconds in ("5", "30"))
        # Of p-Snet's classifiers nothing is known: its network alone is counted.
        counted = "network" if short["all"] is None else "all"
        rows.append(
            _row(
                "computation",
                part,
                f"{part} {shown(short[counted], '.1%')} is saved for clips of 5 s, {shown(long[counted], '.1%')} for 30 s"
                + (" (network alone)" if counted == "network" else ""),
                HOLDS if round(short[counted], 2) >= claimed else DOES_NOT_HOLD,
                "10_computation",
                estimate=short[counted],
            )
        )
    return rows


def _selection(curves: Mapping) -> list[dict]:
    """Return claim 3: at every fraction together, then fraction by fraction, ANOVA against random maps."""
    compared = list(curves["random"].values())
    outcomes = [row["outcome"] for row in compared]
    if all(outcome == BETTER for outcome in outcomes):
        together = HOLDS
    else:
        refuted = any(outcome in (WORSE, EQUIVALENT_TO_RANDOM) for outcome in outcomes)
        together = DOES_NOT_HOLD if refuted else UNDECIDED
    better = [f"{100 * row['keep']:g}" for row in compared if row["outcome"] == BETTER]
    found = f"better at {', '.join(better)} %" if better else "better at none"
    rows = [
        _row(
            "selection",
            "at every fraction",
            f"ANOVA's maps against random ones at {len(compared)} fractions kept: {found}",
            together,
            "09_curves",
        )
    ]
    for row in compared:
        difference = Interval(row["difference"], row["low"], row["high"])
        rows.append(
            _row(
                "selection",
                f"with {100 * row['keep']:g} % of the maps",
                f"with {100 * row['keep']:g} % of the maps: accuracy {shown(row['accuracy'], '.2%')} against "
                f"{shown(row['random'], '.2%')} with random maps (mean of {row['draws']}), {points(difference)}",
                row["outcome"],
                "09_curves",
                difference,
            )
        )
    return rows


def _alike(tests: Mapping) -> list[dict]:
    """Return claim 4: the share of maps shown to respond alike within a margin, in both forms of the test."""
    claimed, margin = CLAIMS["alike"].number, tests["margin"]
    rows = []
    for form, name in (("welch", "Welch form"), ("pooled", "pooled form")):
        at = tests["equivalence"][form]
        reached = at["margin_reaching"]
        rows.append(
            _row(
                "alike",
                f"within f = {margin:g}, {name}",
                f"{shown(at['medium_adjusted'], '.1%')} of the maps are shown to respond alike within f = {margin:g} ({name}, "
                f"adjusted) and {shown(at['medium_refuted'], '.1%')} to differ by more; "
                + (
                    f"{shown(claimed, '.0%')} within f = {reached:g}"
                    if reached
                    else f"{shown(claimed, '.0%')} within no margin tried"
                ),
                share_outcome(claimed, at["medium_adjusted"], at["medium_refuted"]),
                "04_tests",
                estimate=at["medium_adjusted"],
            )
        )
    return rows


def _pruning(compensation: Mapping) -> list[dict]:
    """Return claim 5: networks without some filters, at the paper's saving and as far as it goes."""
    rows = []
    for network in compensation["claim"].values():
        change = Interval(network["change"], network["low"], network["high"])
        rows.append(
            _row(
                "pruning",
                network["what"],
                f"{network['what']}: {shown(1 - network['macs'], '.1%')} fewer multiply-accumulates, accuracy changes by "
                f"{points(change)}",
                loss_outcome(change),
                "11_compensation",
                change,
            )
        )
    return rows


def _ensemble(ensemble: Mapping, dataset: str) -> list[dict]:
    """Return claim 6, about DCASE-16: elsewhere the gain over the best layer is an observation."""
    *_, gain = ensemble["gains"]
    change = Interval(gain["change"], gain["low"], gain["high"])
    needed = gain["single"] * (1 + CLAIMS["ensemble"].number)
    asked = dataset in CLAIMS["ensemble"].datasets and needed <= 1
    relative = Interval(*(value / gain["single"] for value in change))
    outcome = NOT_TESTABLE
    if asked:
        outcome = loss_outcome(Interval(*(value - CLAIMS["ensemble"].number for value in relative)), 0.0)
    room = (
        f"; {shown(CLAIMS['ensemble'].number, '.2%')} more would be {shown(needed, '.1%')}"
        if needed > 1
        else ""
    )
    return [
        _row(
            "ensemble",
            "against the best tap, " + gain["tap"],
            f"observed: the sum over taps changes accuracy by {points(change)} against a tap at "
            f"{shown(gain['single'], '.2%')}{room}",
            outcome,
            "03_ensemble",
            change,
        )
    ]


def points(change: Interval) -> str:
    """Return a change of accuracy in percentage points with its interval.

    >>> points(Interval(-0.005, -0.02, 0.01))
    '−0.50 points [−2.00, +1.00]'
    """
    estimate, low, high = (shown(value, "+.2p") for value in change)
    return f"{estimate} points [{low}, {high}]"


def _row(
    claim: str,
    part: str,
    measured: str,
    outcome: str,
    evidence: str,
    interval: Interval | None = None,
    estimate=None,
) -> dict:
    interval = interval or Interval(estimate, None, None)
    row = {"claim": claim, "part": part, "text": CLAIMS[claim].text, "source": CLAIMS[claim].source}
    return row | {"measured": measured} | interval._asdict() | {"outcome": outcome, "evidence": evidence}
