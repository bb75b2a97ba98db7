"""From numbers to verdicts: one rule per claim, fixed before the numbers are looked at.

A verdict is one of `REPRODUCED`, `NOT_REPRODUCED` and `NOT_TESTABLE`; intervals are 95 % and clustered by recording.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from dha_utils.inference import Interval, cluster_bootstrap, paired_difference
from dha_utils.paper import CLAIMS, MARGIN
from dha_utils.trials import SMALL

REPRODUCED, NOT_REPRODUCED, NOT_TESTABLE = "reproduced", "not reproduced", "not testable here"


def non_inferiority(change: Interval, margin: float = MARGIN) -> str:
    """Return the verdict on "costs less than `margin`" from the change of accuracy (negative: a loss).

    >>> non_inferiority(Interval(-0.01, -0.02, 0.0)), non_inferiority(Interval(-0.01, -0.04, 0.02))
    ('reproduced', 'not testable here')
    >>> non_inferiority(Interval(-0.05, -0.08, -0.02))
    'not reproduced'
    """
    if change.low > -margin:
        return REPRODUCED
    return NOT_REPRODUCED if change.estimate <= -margin else NOT_TESTABLE


def better_than_random(accuracy: float, random: np.ndarray) -> str:
    """Return the verdict on "this selection beats random ones" (seeds,): reproduced if at most 5 % do as well.

    >>> better_than_random(0.9, np.array([0.8] * 20)), better_than_random(0.9, np.array([0.9] * 20))
    ('reproduced', 'not reproduced')
    """
    as_good = (1 + np.sum(random >= accuracy)) / (1 + len(random))
    return REPRODUCED if as_good <= 0.05 else NOT_REPRODUCED


def first_verdicts(
    ensemble: Mapping,
    redundancy: Mapping,
    predictions: Mapping,
    computation: Mapping,
    recordings: np.ndarray,
) -> list[dict[str, str | float]]:
    """Return the rows of the verdict page from the results of notebooks 02, 03 and 10.

    Parameters
    ----------
    ensemble, redundancy, predictions, computation : dict
        The results files of these names.
    recordings : ndarray, shape (clips,)
        Recording of every clip.

    Returns
    -------
    list of dict
        key, claim, source, measured (a sentence), estimate, low, high (fractions), verdict, evidence.
    """
    true = np.asarray(predictions["true"])
    rate = str(ensemble["rate"])
    full = np.asarray(predictions["full"][rate]) == true
    best = np.asarray(predictions["best_tap"][rate]) == true
    anova = np.asarray(predictions["ignoring"]["ANOVA, by rank"]) == true
    random = np.asarray(ensemble["random"]["15 taps"]["accuracies"])
    ignored, by_alpha = redundancy["ignored_by_rank"], redundancy["ignored_by_alpha"]

    cost = paired_difference(full, anova, recordings)
    gain = paired_difference(best, full, recordings)
    relative = float(full.mean() / best.mean() - 1)
    lead = cluster_bootstrap(anova, recordings)
    as_good = int(np.sum(random >= anova.mean()))
    return [
        _row(
            "cost",
            cost,
            f"ignoring {_percent(ignored, 1)} of the maps by ANOVA changes accuracy by {_points(cost)}",
            non_inferiority(cost) if abs(ignored - CLAIMS["ignored"].number) < 0.01 else NOT_TESTABLE,
            "03_ensemble",
        ),
        _row(
            "ignored",
            None,
            f"by significance, only {_percent(by_alpha, 1)} of the maps show no difference between classes; 89 % is a choice",
            NOT_REPRODUCED if by_alpha < CLAIMS["ignored"].number else REPRODUCED,
            "02_redundancy",
        ),
        _row(
            "statistics",
            lead,
            f"{as_good} of {len(random)} random selections of as many maps are as accurate as ANOVA's "
            f"({_percent(anova.mean())}; random: mean {_percent(random.mean())}, "
            f"range {_percent(random.min())} to {_percent(random.max())})",
            better_than_random(float(anova.mean()), random),
            "03_ensemble",
        ),
        computation_verdict(computation),
        _row(
            "ensemble",
            gain,
            f"the sum over 15 taps changes accuracy by {_points(gain)} against its best tap "
            f"({ensemble['rates'][rate]['best_tap']}), {_percent(relative, 1)} relative",
            REPRODUCED if gain.low > 0 else NOT_REPRODUCED,
            "03_ensemble",
        ),
    ]


def computation_verdict(computation: Mapping) -> dict[str, str | float]:
    """Return the row on "saves 18 % of the computation": reproduced if ignoring maps saves as much, classifiers counted.

    Parameters
    ----------
    computation : dict
        The results file of this name; its savings are in the order of `dha_utils.complexity.savings_table`.
    """
    ignoring, removing, *_, cap = computation["savings"]
    saved, claimed = ignoring["all_5"], CLAIMS["computation"].number
    return _row(
        "computation",
        None,
        f"ignoring saves {_percent(saved, 1)}, all of it in the classifiers; removing the filters of conv3 to conv7 instead "
        f"would save {_percent(removing['network_5'], 1)} (5 s clips; conv1 and conv2, left whole, leave "
        f"{_percent(cap['network_5'], 1)} to be saved)",
        REPRODUCED if saved >= claimed else NOT_REPRODUCED,
        "10_computation",
    )


def pruning_verdict(compensation: Mapping) -> dict[str, str | float]:
    """Return the row on pruning by the method, tested as non-inferiority of the network that ANOVA's filters make.

    Refitted, at the smaller of the two sizes that are compared; beside it, what filters chosen without labels come to.

    Parameters
    ----------
    compensation : dict
        The results file of this name.
    """
    rows = {
        row["criterion"]: row
        for row in compensation["trials"]
        if row["size"] == SMALL and row["compensation"] == "refitted" and row["criterion"] != "random"
    }
    anova, best = (
        Interval(*(rows[name][key] for key in ("change", "low", "high")))
        for name in ("anova", "explained_variance")
    )
    saved = _percent(1 - rows["anova"]["macs"], 1)
    return _row(
        "pruning",
        anova,
        f"a network with {saved} fewer multiply-accumulates, refitted without labels, changes accuracy by {_points(anova)} with "
        f"ANOVA's filters, by {_points(best)} with those that explain the others best, and is at "
        f"{_percent(compensation['random_small_refitted'])} on average with random ones (full network: "
        f"{_percent(compensation['full'])})",
        non_inferiority(anova),
        "11_compensation",
    )


def further_verdicts(
    tests: Mapping, criteria: Mapping, predictions: Mapping, ensemble: Mapping, recordings: np.ndarray
) -> list[dict[str, str | float]]:
    """Return the rows that rest on the notebooks on tests and criteria; as `first_verdicts`.

    "Alike" is reproduced if at least the share of maps that the paper ignores is shown alike by an equivalence test;
    "criteria" if more than one in twenty of them beats 95 % of the random selections, by a binomial test at 5 %.
    """
    n_criteria, better = len(criteria["criteria"]), criteria["better_than_random"]
    chance = float(stats.binom.sf(better - 1, n_criteria, 0.05))
    true = np.asarray(predictions["true"])
    rate = str(ensemble["rate"])
    full = np.asarray(predictions["full"][rate]) == true
    best = np.asarray(predictions["best_tap"][rate]) == true
    won, lost = int((full & ~best).sum()), int((best & ~full).sum())
    gain = paired_difference(best, full, recordings)
    return [
        _row(
            "alike",
            None,
            f"an equivalence test (margin f = 0.25) shows {_percent(tests['alike_raw'], 2)} of the maps to respond alike, "
            f"{_percent(tests['alike_adjusted'], 2)} after adjustment for their number",
            REPRODUCED if tests["alike_adjusted"] >= CLAIMS["ignored"].number else NOT_REPRODUCED,
            "04_tests",
        ),
        _row(
            "criteria",
            None,
            f"{better} of {n_criteria} criteria beat 95 % of the random selections, and {criteria['worse_than_random']} are "
            f"beaten by 95 % of them (by chance {better} or more of {n_criteria}: p = {chance:.2g})",
            REPRODUCED if chance <= 0.05 else NOT_REPRODUCED,
            "06_criteria",
        ),
        _row(
            "complementary",
            gain,
            f"the sum over taps wins {won} clips that its best tap ({ensemble['rates'][rate]['best_tap']}) gets wrong, "
            f"and loses {lost} that it gets right",
            REPRODUCED if gain.low > 0 else NOT_REPRODUCED,
            "03_ensemble",
        ),
    ]


def _points(change: Interval) -> str:
    """Return a change of accuracy in percentage points with its interval."""
    estimate, low, high = (f"{100 * value:+.2f}".replace("-", "−") for value in change)
    return f"{estimate} points [{low}, {high}]"


def _percent(fraction: float, digits: int = 2) -> str:
    """Return a fraction in per cent, the sign a narrow space away."""
    return f"{100 * fraction:.{digits}f}\u202f%".replace("-", "−")


def _row(claim: str, interval: Interval | None, measured: str, verdict: str, evidence: str) -> dict:
    row = {"key": claim, "claim": CLAIMS[claim].text, "source": CLAIMS[claim].source, "measured": measured}
    if interval is not None:
        row |= interval._asdict()
    return row | {"verdict": verdict, "evidence": evidence}
