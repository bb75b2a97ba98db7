"""Tables of results: what several runs of the ensemble come to, beside one another."""

from collections.abc import Mapping, Sequence

import pandas as pd

from dha_utils.ensemble import fusions
from dha_utils.evaluation import CrossValidation
from dha_utils.inference import paired_difference, wilson_interval
from dha_utils.sweeps import unpack_correct


def records(table: pd.DataFrame) -> list[dict]:
    """Return the rows of a table for a results file: None where there is no number, which JSON knows and NaN it does not.

    >>> records(pd.DataFrame({"p": [0.5, float("nan")]}))
    [{'p': 0.5}, {'p': None}]
    """
    return table.astype(object).where(table.notna(), None).to_dict(orient="records")


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


def sweep_table(results: Sequence[Mapping], full: CrossValidation, fusion: str = "15 taps") -> pd.DataFrame:
    """Return the cells of a sweep against the ensemble with all maps, one row each.

    Parameters
    ----------
    results : sequence of dict
        What `dha_utils.sweep` returns.
    full : CrossValidation
        With all maps.
    fusion : str
        The sum of taps that is compared.

    Returns
    -------
    DataFrame
        Columns criterion, keep, seed, control, ignored, not_converged, accuracy, and change, low, high: the difference to
        `full` with its clustered 95 % interval; fractions.
    """
    correct = full.correct(fusions(full.taps, single=False)[fusion])
    columns = ("criterion", "keep", "seed", "control", "ignored", "not_converged")
    rows = []
    for result in results:
        change = paired_difference(correct, unpack_correct(result, fusion), full.recordings)
        numbers = {
            "accuracy": result["accuracy"][fusion],
            "change": change.estimate,
            "low": change.low,
            "high": change.high,
        }
        rows.append({column: result[column] for column in columns} | numbers)
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
        in its number of taps: accuracy, change against `full`, and low and high, the ends of its clustered 95 % interval.
    """
    rows = []
    for name, run in runs.items():
        stopped = sum(not converged for fold in run.converged.values() for converged in fold)
        row = {"selection": name, "ignored": run.ignored, "not_converged": stopped}
        for taps in fusions(run.taps, single=False).values():
            change = paired_difference(full.correct(taps), run.correct(taps), run.recordings)
            numbers = {
                "accuracy": run.accuracy(taps),
                "change": change.estimate,
                "low": change.low,
                "high": change.high,
            }
            row |= {f"{column}_{len(taps)}": number for column, number in numbers.items()}
        rows.append(row)
    return pd.DataFrame(rows)
