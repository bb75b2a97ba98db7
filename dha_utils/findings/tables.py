"""Tables of results: what several runs of the ensemble come to, beside one another."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.criteria.multiplicity import adjust
from dha_utils.evaluation.comparison import design_effect, mcnemar, nadeau_bengio, non_inferiority_test
from dha_utils.evaluation.crossvalidation import CrossValidation, fusions
from dha_utils.evaluation.inference import (
    RANK_LEVEL,
    describe,
    paired_difference,
    paired_random,
    rank_among_random,
    simultaneous_random,
    wilson_interval,
)
from dha_utils.findings.outcomes import random_outcome
from dha_utils.responses.table import Responses
from dha_utils.studies.sweeps import unpack_correct


def accuracy_table(runs: Mapping[str, CrossValidation]) -> pd.DataFrame:
    """Return the accuracy of every tap and sum of taps of every run, one row each.

    Parameters
    ----------
    runs : dict of str to CrossValidation
        Name of a series -> run.

    Returns
    -------
    DataFrame
        Columns series, tap (or sum), accuracy, low, high: fractions, with Wilson's 95 % interval.
    """
    return pd.DataFrame(
        {
            "series": series,
            "tap": name,
            "accuracy": interval.estimate,
            "low": interval.low,
            "high": interval.high,
        }
        for series, run in runs.items()
        for name, taps in fusions(run.taps).items()
        for interval in [wilson_interval(run.correct(taps))]
    )


CELL_COLUMNS = ("criterion", "keep", "seed", "control", "ignored", "not_converged")
TRIAL_COLUMNS = ("criterion", "size", "compensation", "seed", "epochs", "widths", "macs", "parameters")
"""What tables say of a cell of a sweep, and of a trial, beside its accuracy."""


def results_table(results: Iterable[Mapping], full: CrossValidation, fusion: str = "all") -> pd.DataFrame:
    """Return cells of a sweep, or trials, against the ensemble with all maps, one row each.

    Parameters
    ----------
    results : iterable of dict
        What `dha_utils.sweep` or `dha_utils.studies.trials.run_trials` returns.
    full : CrossValidation
        On the full network, with all maps.
    fusion : str
        The sum of taps that is compared.

    Returns
    -------
    DataFrame
        Columns `CELL_COLUMNS` or `TRIAL_COLUMNS` (macs and parameters as fractions of the full network's), accuracy, and
        change, low, high: the difference to `full` with its clustered 95 % interval; fractions.
    """
    correct = full.correct(fusions(full.taps, single=False)[fusion])
    rows = []
    for result in results:
        columns = TRIAL_COLUMNS if "compensation" in result else CELL_COLUMNS
        row = {column: result[column] for column in columns} | {"accuracy": result["accuracy"][fusion]}
        rows.append(row | _change(correct, unpack_correct(result, fusion), full.recordings))
    return pd.DataFrame(rows)


def _change(first: np.ndarray, second: np.ndarray, recordings: np.ndarray) -> dict[str, float]:
    """Return the change of accuracy, with the ends of its clustered 95 % interval, as columns of a table."""
    change = paired_difference(first, second, recordings)
    return {"change": change.estimate, "low": change.low, "high": change.high}


def comparison_table(full: CrossValidation, runs: Mapping[str, CrossValidation]) -> pd.DataFrame:
    """Return what ignoring maps changes, one row per run.

    Parameters
    ----------
    full : CrossValidation
        With all maps.
    runs : dict of str to CrossValidation
        Name of a selection -> run.

    Returns
    -------
    DataFrame
        Columns selection, ignored (fraction of the maps), not_converged (SVMs), and for each sum of taps, in columns that end
        in its name: accuracy, change against `full`, and low and high, the ends of its clustered 95 % interval.
    """
    rows = []
    for name, run in runs.items():
        stopped = sum(not converged for fold in run.converged.values() for converged in fold)
        row = {"selection": name, "ignored": run.ignored, "not_converged": stopped}
        for fusion, taps in fusions(run.taps, single=False).items():
            numbers = {"accuracy": run.accuracy(taps)}
            numbers |= _change(full.correct(taps), run.correct(taps), run.recordings)
            row |= {f"{column}_{fusion}": number for column, number in numbers.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def cost(full: CrossValidation, run: CrossValidation) -> dict:
    """Return what ignoring maps changes: the change of accuracy with its clustered 95 % interval, and relative to `full`'s."""
    change = paired_difference(full.correct(), run.correct(), full.recordings)
    relative = {f"relative_{end}": value / full.accuracy() for end, value in change._asdict().items()}
    return (
        {"ignored": run.ignored, "full": full.accuracy(), "accuracy": run.accuracy()}
        | change._asdict()
        | relative
    )


def gain_table(run: CrossValidation, chosen: Mapping[int, str]) -> pd.DataFrame:
    """Return the change of the sum of all taps against the best one: columns tap, single (accuracy), change, low, high.

    Parameters
    ----------
    run : CrossValidation
    chosen : dict of int to str
        Test fold -> its best tap, as `dha_utils.best_taps` finds it on the others: the second row, if there are any. The first
        is the tap that is best on the clips that it is judged by.
    """
    singles = {f"best of the table ({run.best_tap})": run.correct([run.best_tap])}
    if chosen:
        singles["chosen on the other folds"] = run.correct_by_fold(chosen)
    return pd.DataFrame(
        {"tap": name, "single": float(single.mean())} | _change(single, run.correct(), run.recordings)
        for name, single in singles.items()
    )


def describe_run(run: CrossValidation) -> dict:
    """Return for a results file the accuracy of the sums of taps, of the best tap and of every tap."""
    sums = {
        name: describe(run.correct(taps), run.recordings)
        for name, taps in fusions(run.taps, single=False).items()
    }
    sums["all"]["folds"] = run.fold_accuracies()
    best = describe(run.correct([run.best_tap]), run.recordings)
    return sums | {"best_tap": run.best_tap, "best": best, "taps": run.tap_accuracies()}


def describe_predictions(
    responses: Responses, full: Mapping[int, CrossValidation], runs: Mapping[str, CrossValidation]
) -> dict:
    """Return for a results file the class that every clip is taken for.

    Parameters
    ----------
    responses : Responses
    full : dict of int to CrossValidation
        Rate in Hz -> run with all maps.
    runs : dict of str to CrossValidation
        Name of a selection -> run.
    """
    tested = responses.tested()
    return {
        "clips": tested.table["clip"].tolist(),
        "classes": responses.classes,
        "true": next(iter(runs.values())).y,
        "full": {rate: run.predictions() for rate, run in full.items()},
        "best_tap": {rate: run.predictions([run.best_tap]) for rate, run in full.items()},
        "ignoring": {name: run.predictions() for name, run in runs.items()},
    }


def inference_table(full: CrossValidation, second: np.ndarray, margin: float) -> pd.DataFrame:
    """Return every way of comparing two classifiers on the same clips; differences in percentage points.

    Parameters
    ----------
    full : CrossValidation
        With all maps.
    second : ndarray, shape (clips,), bool
        Which clips are right with the kept ones.
    margin : float
        Of non-inferiority: in accuracy, and relative to the accuracy of `full`.

    Returns
    -------
    DataFrame
        Columns question, value, low, high, p; NaN where there is none.
    """
    first, folds, recordings = full.correct(), full.folds, full.recordings
    by_fold = np.array([second[folds == f].mean() - first[folds == f].mean() for f in np.unique(folds)])
    disagree = mcnemar(first, second)
    change = paired_difference(first, second, recordings)
    # One fold, as where a data set comes with a test set of its own, has no variance.
    corrected = nadeau_bengio(by_fold, 1 / (len(by_fold) - 1)) if len(by_fold) > 1 else [None] * 3
    absolute = non_inferiority_test(first, second, recordings, margin)
    relative = non_inferiority_test(first, second, recordings, margin * first.mean())
    rows = [
        ("change, bootstrap over recordings", *change, None),
        ("change, Nadeau-Bengio over folds", *corrected, None),
        (
            f"McNemar: {disagree.only_first} clips lost, {disagree.only_second} won",
            None,
            None,
            None,
            disagree.pvalue,
        ),
        (f"loss below {100 * margin:g} points", None, None, None, absolute.pvalue),
        (f"loss below {100 * margin:g} % of the accuracy", None, None, None, relative.pvalue),
    ]
    table = pd.DataFrame(rows, columns=["question", "value", "low", "high", "p"])
    points = ["value", "low", "high"]
    table[points] = (table[points].astype(float) * 100).round(9) + 0.0  # no minus zero
    return table


def control_table(swept: Mapping[str, Sequence[Mapping]], fusion: str = "all") -> pd.DataFrame:
    """Return the accuracies of groups of cells: columns control (the group's name), runs, mean, lowest, highest."""
    groups = {name: [cell["accuracy"][fusion] for cell in cells] for name, cells in swept.items()}
    return pd.DataFrame(
        {"control": name, "runs": len(values), "mean": float(np.mean(values))}
        | {"lowest": min(values), "highest": max(values)}
        for name, values in groups.items()
    )


def describe_draws(results: Sequence[Mapping], fusion: str = "all") -> dict:
    """Return for a results file how many random selections there are, and how their accuracies are spread."""
    accuracies = np.array([cell["accuracy"][fusion] for cell in results])
    low, high = np.quantile(accuracies, [0.025, 0.975])
    spread = {"mean": accuracies.mean(), "std": accuracies.std(ddof=1), "low": low, "high": high}
    return {"seeds": len(accuracies)} | spread


def lead_table(swept: Mapping[str, Sequence[Mapping]], recordings: np.ndarray) -> pd.DataFrame:
    """Return `control_table`, and how far the first cell of the first group is ahead of each other one: difference, low, high."""
    correct = [np.stack([unpack_correct(cell) for cell in cells]) for cells in swept.values()]
    ahead = [paired_random(correct[0][0], draws, recordings) for draws in correct[1:]]
    columns = pd.DataFrame(ahead, index=range(1, len(correct))).rename(columns={"estimate": "difference"})
    return control_table(swept).join(columns)


def design_table(
    first: np.ndarray, second: np.ndarray, others: Sequence[np.ndarray], recordings: np.ndarray
) -> pd.DataFrame:
    """Return the design effects of two accuracies, of their difference, and of differences to other classifiers.

    Parameters
    ----------
    first, second : ndarray, shape (clips,), bool
        Which clips are right with all maps, and with the kept ones.
    others : sequence of ndarray, shape (clips,), bool
        The same with other selections: one difference rests on few clips, many say what is usual.
    recordings : ndarray, shape (clips,)

    Returns
    -------
    DataFrame
        Columns quantity, effect (for `others` the median, and the largest), worth (independent clips, at most all).
    """
    usual = [design_effect(other.astype(int) - first, recordings) for other in others]
    rows = {
        "accuracy, all maps": design_effect(first, recordings),
        "accuracy, kept maps": design_effect(second, recordings),
        "difference of the two": design_effect(second.astype(int) - first, recordings),
        "difference to all maps, random selections (median)": float(np.median(usual)),
        "difference to all maps, random selections (largest)": max(usual),
    }
    worth = [len(first) / max(1.0, effect) for effect in rows.values()]
    return pd.DataFrame({"quantity": list(rows), "effect": list(rows.values()), "worth": worth})


def by_fraction(table: pd.DataFrame, *outer: str) -> pd.DataFrame:
    """Return a table for a results file, its rows named by the fraction kept in per cent, and by other columns before that.

    >>> by_fraction(pd.DataFrame({"keep": [0.11], "random": [0.9]})).to_dict("index")
    {'11': {'keep': 0.11, 'random': 0.9}}
    """
    percent = pd.Index([f"{100 * keep:g}" for keep in table["keep"]])
    return table.set_index([*outer, percent], drop=False)


def tap_table(results: Iterable[Mapping], taps: Sequence[str], criterion: str = "anova") -> pd.DataFrame:
    """Return the accuracy of every tap by itself in cells of a criterion and of random maps.

    Returns
    -------
    DataFrame
        Columns criterion, keep, tap, accuracy, one row for each cell and tap.
    """
    return pd.DataFrame(
        {"criterion": cell["criterion"], "keep": cell["keep"], "tap": tap, "accuracy": cell["accuracy"][tap]}
        for cell in results
        if cell["criterion"] in (criterion, "random")
        for tap in taps
    )


def split_random(results: Iterable[Mapping]) -> tuple[list[Mapping], list[Mapping]]:
    """Return the cells of named criteria, and those of random maps."""
    results = list(results)
    named = [result for result in results if result["criterion"] != "random"]
    return named, [result for result in results if result["criterion"] == "random"]


def random_table(
    results: Iterable[Mapping],
    recordings: np.ndarray,
    fusion: str = "all",
    criterion: str = "anova",
    **options,
) -> pd.DataFrame:
    """Return what a criterion is worth against random maps, one row per fraction kept.

    Parameters
    ----------
    results : iterable of dict
        Cells of the criterion and of random maps, without a control, as `dha_utils.sweep` returns them.
    recordings : ndarray, shape (clips,)
    fusion : str
        A tap, or a sum of taps.
    criterion : str
    **options
        As in `dha_utils.evaluation.inference.paired_random`.

    Returns
    -------
    DataFrame
        Columns keep, accuracy, draws (how many), random (their mean accuracy), lowest, highest, difference, low, high (to the
        mean of the draws, with its 95 % interval), as_good (share of the draws, the criterion's among them), outcome.
    """
    named, random = split_random(results)
    rows = []
    for result in sorted(named, key=lambda result: result["keep"]):
        if result["criterion"] != criterion:
            continue
        draws = np.stack([unpack_correct(draw, fusion) for draw in random if draw["keep"] == result["keep"]])
        correct, accuracies = unpack_correct(result, fusion), draws.mean(axis=1)
        difference = paired_random(correct, draws, recordings, **options)
        rows.append(
            {"keep": result["keep"], "accuracy": float(correct.mean()), "draws": len(draws)}
            | {"random": float(draws.mean()), "lowest": accuracies.min(), "highest": accuracies.max()}
            | {"difference": difference.estimate, "low": difference.low, "high": difference.high}
            | {"as_good": rank_among_random(float(correct.mean()), accuracies).as_good}
            | {"outcome": random_outcome(difference)}
        )
    return pd.DataFrame(rows)


def random_by_tap(results: Iterable[Mapping], recordings: np.ndarray, taps: Sequence[str]) -> pd.DataFrame:
    """Return `random_table` of every tap by itself, one below the other, with the column tap."""
    return pd.concat(random_table(results, recordings, tap, resamples=1999).assign(tap=tap) for tap in taps)


def criteria_table(results: Iterable[Mapping], recordings: np.ndarray, fusion: str = "all") -> pd.DataFrame:
    """Return all criteria against random maps at one fraction kept, with intervals that hold for all of them together.

    Parameters
    ----------
    results : iterable of dict
        Cells of criteria and of random maps at one fraction, without a control.
    recordings, fusion
        As in `random_table`.

    Returns
    -------
    DataFrame
        Columns criterion, accuracy, difference, low, high (to the mean of the random draws, simultaneous 95 % intervals),
        outcome, as_good, as_bad and rank (`dha_utils.evaluation.inference.Rank`); the most accurate first.
    """
    named, random = split_random(results)
    draws = np.stack([unpack_correct(draw, fusion) for draw in random])
    correct = np.stack([unpack_correct(result, fusion) for result in named])
    rows = []
    for result, right, difference in zip(
        named, correct, simultaneous_random(correct, draws, recordings), strict=True
    ):
        rank = rank_among_random(float(right.mean()), draws.mean(axis=1))
        rows.append(
            {"criterion": result["criterion"], "accuracy": float(right.mean())}
            | {"difference": difference.estimate, "low": difference.low, "high": difference.high}
            | {"outcome": random_outcome(difference)}
            | {"as_good": rank.as_good, "as_bad": rank.as_bad, "rank": rank.outcome}
        )
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def count_outcomes(table: pd.DataFrame) -> dict[str, int]:
    """Return of a `criteria_table` how many criteria come out how.

    Returns
    -------
    dict of str to int
        criteria; better, worse, equivalent, undecided (by the simultaneous intervals); and by the rank among the random draws
        alone_better and alone_worse, each criterion taken by itself, and holm_better and holm_worse, adjusted for their number.
    """
    counts = {
        name: int((table["outcome"] == name).sum()) for name in ("better", "worse", "equivalent", "undecided")
    }
    for name, share in (("better", "as_good"), ("worse", "as_bad")):
        counts[f"alone_{name}"] = int((table["rank"] == name).sum())
        counts[f"holm_{name}"] = int((adjust(table[share].to_numpy(), "holm") <= RANK_LEVEL).sum())
    return {"criteria": len(table)} | counts


def outcomes_by_fraction(
    results: Iterable[Mapping], recordings: np.ndarray, fusion: str = "all"
) -> pd.DataFrame:
    """Return `count_outcomes` of every fraction kept, one row each; arguments as in `criteria_table`."""
    by_keep = {}
    for result in results:
        by_keep.setdefault(result["keep"], []).append(result)
    return pd.DataFrame(
        {"keep": keep} | count_outcomes(criteria_table(cells, recordings, fusion))
        for keep, cells in by_keep.items()
    )


def rounding_table(results: Iterable[Mapping], fusion: str = "all") -> pd.DataFrame:
    """Return how far accuracies move when every response is off by a millionth, per classifier and fraction kept.

    Parameters
    ----------
    results : iterable of dict
        Cells of one criterion, as they are and with the control ``perturbed``.

    Returns
    -------
    DataFrame
        Columns classifier, keep, accuracy, lowest, highest (of the perturbed cells), stopped (SVMs that did not converge, mean of
        the perturbed cells).
    """
    rows = pd.DataFrame(
        {"classifier": r["classifier"], "keep": r["keep"], "control": r["control"]}
        | {"accuracy": r["accuracy"][fusion], "stopped": r["not_converged"]}
        for r in results
    )
    groups = rows[rows["control"] == "perturbed"].groupby(["classifier", "keep"], sort=False)
    spread = groups.agg(lowest=("accuracy", "min"), highest=("accuracy", "max"), stopped=("stopped", "mean"))
    plain = rows.loc[rows["control"] == "", ["classifier", "keep", "accuracy"]]
    return plain.merge(spread.reset_index(), on=["classifier", "keep"])
