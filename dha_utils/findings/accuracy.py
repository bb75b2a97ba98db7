"""Accuracies of the ensemble and what changes them: runs, cells of a sweep and trials, against all maps."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from dha_utils.evaluation.crossvalidation import CrossValidation, fusions
from dha_utils.evaluation.inference import describe, paired_difference, wilson_interval
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.paper import PUBLISHED, TITLES
from dha_utils.responses.table import Responses


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
        {"series": series, "tap": name} | wilson_interval(run.correct(taps)).columns("accuracy")
        for series, run in runs.items()
        for name, taps in fusions(run.taps).items()
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
        rows.append(
            row
            | paired_difference(correct, unpack_correct(result, fusion), full.recordings).columns("change")
        )
    return pd.DataFrame(rows)


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
        row = {"selection": name, "ignored": run.ignored, "not_converged": run.not_converged}
        for fusion, taps in fusions(run.taps, single=False).items():
            numbers = {"accuracy": run.accuracy(taps)}
            numbers |= paired_difference(full.correct(taps), run.correct(taps), run.recordings).columns(
                "change"
            )
            row |= {f"{column}_{fusion}": number for column, number in numbers.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def cost_table(
    results: Mapping[str, Iterable[Mapping]], recordings: np.ndarray, fusion: str = "all"
) -> pd.DataFrame:
    """Return what ignoring maps costs, one row per classifier.

    Parameters
    ----------
    results : dict of str to iterable of dict
        Classifier -> two cells of a sweep, with all maps (kept: 1) and with fewer.
    recordings : ndarray, shape (clips,)
    fusion : str

    Returns
    -------
    DataFrame
        Columns classifier, ignored (fraction of the maps), full, accuracy, the change (estimate, low, high: clustered 95 %
        interval), and the same relative to the accuracy with all maps.
    """
    rows = []
    for name, cells in results.items():
        whole, few = sorted(cells, key=lambda cell: -cell["keep"])
        change = paired_difference(unpack_correct(whole, fusion), unpack_correct(few, fusion), recordings)
        full = whole["accuracy"][fusion]
        row = {
            "classifier": name,
            "ignored": few["ignored"],
            "full": full,
            "accuracy": few["accuracy"][fusion],
        }
        relative = {f"relative_{end}": value / full for end, value in change._asdict().items()}
        rows.append(row | change._asdict() | relative)
    return pd.DataFrame(rows)


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
        {"tap": name, "single": float(single.mean())}
        | paired_difference(single, run.correct(), run.recordings).columns("change")
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


def published_table(dataset: str, ours: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return measured accuracies with their intervals, then those published: columns what, accuracy, low, high.

    Parameters
    ----------
    dataset : str
        Nothing may have been published of it.
    ours : dict of str to dict
        What it is of -> as `dha_utils.evaluation.inference.describe` gives it; intervals are the clustered ones.
    """
    measured = [
        {
            "what": what,
            "accuracy": row["accuracy"],
            "low": row["clustered_low"],
            "high": row["clustered_high"],
        }
        for what, row in ours.items()
    ]
    return pd.DataFrame(
        measured
        + [{"what": TITLES[name], "accuracy": value} for name, value in PUBLISHED.get(dataset, {}).items()]
    )
