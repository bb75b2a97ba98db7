"""Two claims of the protocol under every specification: what ignoring 89 % of the maps costs, and what ANOVA is worth.

Conventions: a row of a table is one specification with its estimate, 95 % interval and outcome (`dha_utils.findings.outcomes`);
its choices are in columns of their own, those of `dha_utils.studies.specifications.CHOICES`.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.evaluation.inference import Interval, paired_difference, paired_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.outcomes import (
    BETTER,
    DOES_NOT_HOLD,
    EQUIVALENT_TO_RANDOM,
    HOLDS,
    UNDECIDED,
    WORSE,
    loss_outcome,
    random_outcome,
)
from dha_utils.studies.specifications import CHOICES, PRIMARY

OUTCOMES = {
    "cost": (HOLDS, DOES_NOT_HOLD, UNDECIDED),
    "selection": (BETTER, EQUIVALENT_TO_RANDOM, WORSE, UNDECIDED),
}
"""Claim -> how it can come out."""


def specification_table(
    results: Mapping[int, Sequence[Mapping]], recordings: np.ndarray, **options
) -> pd.DataFrame:
    """Return both claims under every specification that results are at hand for.

    Parameters
    ----------
    results : dict of int to list of dict
        Rate in Hz -> results of `dha_utils.studies.specifications.load_specifications`.
    recordings : ndarray, shape (clips,)
    **options
        As in `dha_utils.evaluation.inference.paired_random`.

    Returns
    -------
    DataFrame
        Columns claim ("cost": the change of accuracy; "selection": the difference to random maps), those of `CHOICES`, estimate,
        low, high (fractions), draws (of random maps; 0 for the cost) and outcome; sorted by claim and estimate.
    """
    rows = []
    for rate, cells in results.items():
        groups: dict[tuple, dict[str, list]] = {}
        for cell in cells:
            own = groups.setdefault((cell["pooling"], cell["classifier"]), {})
            own.setdefault(cell["maps"], []).append(cell)
        for (pooling, classifier), by_maps in groups.items():
            choices = {"pooling": pooling, "classifier": classifier, "rate": rate}
            rows += [choices | row for row in _rows(by_maps, recordings, options)]
    columns = ["claim", *CHOICES, "estimate", "low", "high", "draws", "outcome"]
    return pd.DataFrame(rows, columns=columns).sort_values(
        ["claim", "estimate"], kind="stable", ignore_index=True
    )


def _rows(by_maps: Mapping[str, list], recordings: np.ndarray, options: Mapping) -> Iterator[dict]:
    """Yield the claims of one pooling, classifier and rate."""
    for taps in by_maps["all"][0]["correct"]:
        (full,) = (unpack_correct(cell, taps) for cell in by_maps["all"])
        random = [unpack_correct(cell, taps) for cell in by_maps.get("random", ())]
        for statistic in CHOICES["statistic"]:
            (kept,) = (unpack_correct(cell, taps) for cell in by_maps[statistic])
            row = {"taps": taps, "statistic": statistic}
            change = paired_difference(full, kept, recordings, **options)
            yield row | _claim("cost", change, 0, loss_outcome(change))
            if random:
                lead = paired_random(kept, np.stack(random), recordings, **options)
                yield row | _claim("selection", lead, len(random), random_outcome(lead))


def _claim(claim: str, interval: Interval, draws: int, outcome: str) -> dict:
    return {"claim": claim} | interval._asdict() | {"draws": draws, "outcome": outcome}


def summarise(table: pd.DataFrame, claim: str) -> dict:
    """Return how one claim comes out over all specifications.

    Returns
    -------
    dict
        Empty where there are none; else specifications (how many), outcomes (how many of each), least, median and most (of the
        estimates), primary (the row of the primary specification, None where it is not there), options (option -> row of
        `by_choice`).
    """
    own = table[table["claim"] == claim]
    if own.empty:
        return {}
    primary = own[(own[list(PRIMARY)] == pd.Series(PRIMARY)).all(axis=1)]
    estimates = own["estimate"]
    return {
        "specifications": len(own),
        "outcomes": _count(own, claim),
        "least": estimates.min(),
        "median": estimates.median(),
        "most": estimates.max(),
        "primary": primary.to_dict("records")[0] if len(primary) else None,
        "options": by_choice(table, claim).set_index("option").to_dict("index"),
    }


def by_choice(table: pd.DataFrame, claim: str) -> pd.DataFrame:
    """Return what each option does, the other choices averaged over: columns choice, option, estimate, and one per outcome.

    Choices that were made only one way are left out.
    """
    own = table[table["claim"] == claim]
    rows = [
        {"choice": choice, "option": name, "estimate": rows["estimate"].mean()} | _count(rows, claim)
        for choice, options in CHOICES.items()
        if own[choice].nunique() > 1
        for option, name in options.items()
        if len(rows := own[own[choice] == option])
    ]
    return pd.DataFrame(rows, columns=["choice", "option", "estimate", *OUTCOMES[claim]])


def _count(rows: pd.DataFrame, claim: str) -> dict[str, int]:
    """Return how many rows of one claim come out how."""
    return {outcome: int((rows["outcome"] == outcome).sum()) for outcome in OUTCOMES[claim]}
