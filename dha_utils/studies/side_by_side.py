"""Two sets of responses to the same clips: how far apart they are, tap by tap, and what the ensemble makes of either."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import CrossValidation, cross_validate_many
from dha_utils.evaluation.inference import paired_difference
from dha_utils.responses.table import Responses

CLASSIFIERS = ("converging", "released")
"""Those whose accuracies are compared."""


def compare_responses(ours: Responses, theirs: Responses) -> list[dict]:
    """Return how far the responses of every tap move.

    Returns
    -------
    list of dict
        tap; constant, the number of maps that are the same for all clips in theirs; correlation over clips between the two,
        median over the other maps; and difference, the root mean square difference over clips and maps, in units of that of ours
        from its maps' averages.
    """
    rows = []
    for tap in ours.taps:
        a, b = (responses[tap].astype(np.float64) for responses in (ours, theirs))
        moved = np.sqrt(np.mean((b - a) ** 2))
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        # In float32 the average of equal values is off by its last bits: spread below that is none.
        varies = [x.std(axis=0) > 1e-6 * np.abs(x).max() for x in (a, b)]
        both = np.logical_and(*varies)
        correlation = (a * b).sum(axis=0)[both] / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))[both]
        rows.append(
            {
                "tap": tap,
                "constant": int((~varies[1]).sum()),
                "correlation": float(np.median(correlation)),
                "difference": float(moved / np.sqrt(np.mean(a**2))),
            }
        )
    return rows


def run_ensembles(responses: Mapping[str, Responses], keep: float) -> dict[tuple[str, str], dict]:
    """Return the ensemble with all maps ("full") and with the fraction `keep` of ANOVA's ("kept"), cross-validated.

    Parameters
    ----------
    responses : dict of str to Responses
        By name; rows are the same clips.
    keep : float

    Returns
    -------
    dict
        (classifier, name) -> {"full": CrossValidation, "kept": CrossValidation}.
    """
    selectors = {"full": None, "kept": partial(select, criterion="anova", keep=keep)}
    return {
        (classifier, name): cross_validate_many(one, selectors, classifier=classifier)
        for classifier in CLASSIFIERS
        for name, one in responses.items()
    }


def compare_selections(runs: Mapping[tuple[str, str], dict], what: str) -> list[dict]:
    """Return what ignoring maps costs with each of several responses.

    Parameters
    ----------
    runs : dict
        As `run_ensembles` returns them.
    what : str
        What the responses differ in: the column that their names go into.

    Returns
    -------
    list of dict
        Per classifier and responses: full and kept, the accuracies; change, low and high, their difference with its clustered
        95 % interval.
    """
    rows = []
    for (classifier, name), run in runs.items():
        row = {"classifier": classifier, what: name} | {maps: one.accuracy() for maps, one in run.items()}
        rows.append(row | _change(run["full"], run["kept"]))
    return rows


def compare_sources(runs: Mapping[tuple[str, str], dict]) -> list[dict]:
    """Return what it costs to take the second of two responses instead of the first.

    Parameters
    ----------
    runs : dict
        As `run_ensembles` returns them, of two responses.

    Returns
    -------
    list of dict
        Per classifier and maps ("full", "kept"): the accuracies, under the names of the responses; change, low and high, their
        difference with its clustered 95 % interval.
    """
    (first, second) = dict.fromkeys(name for _, name in runs)
    rows = []
    for classifier in dict.fromkeys(classifier for classifier, _ in runs):
        for maps, one in runs[classifier, first].items():
            other = runs[classifier, second][maps]
            row = {"classifier": classifier, "maps": maps, first: one.accuracy(), second: other.accuracy()}
            rows.append(row | _change(one, other))
    return rows


def _change(one: CrossValidation, other: CrossValidation) -> dict[str, float]:
    return paired_difference(one.correct(), other.correct(), one.recordings).columns("change")
