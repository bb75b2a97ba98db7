"""Tables of results: what several runs of the ensemble come to, beside one another."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.comparison import design_effect, mcnemar, nadeau_bengio, non_inferiority_test
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


def inference_table(
    first: np.ndarray, second: np.ndarray, folds: np.ndarray, recordings: np.ndarray, margin: float
) -> pd.DataFrame:
    """Return every way of comparing two classifiers on the same clips; differences in percentage points.

    Parameters
    ----------
    first, second : ndarray, shape (clips,), bool
        Which clips are right with all maps, and with the kept ones.
    folds, recordings : ndarray, shape (clips,)
    margin : float
        Of non-inferiority: in accuracy, and relative to the accuracy of `first`.

    Returns
    -------
    DataFrame
        Columns question, value, low, high, p; NaN where there is none.
    """
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


def curve_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return, per fraction kept, what ANOVA and random selections reach and how many criteria leave the random range.

    Parameters
    ----------
    table : DataFrame
        Columns criterion, keep, accuracy, as `sweep_table` gives them; rows of ``random`` make the range.

    Returns
    -------
    DataFrame
        Columns keep, anova, random_mean, low, high (of the random selections), criteria, above, below (numbers of criteria).
    """
    rows = []
    for keep, part in table.groupby("keep"):
        named = part[part["criterion"] != "random"].set_index("criterion")["accuracy"]
        random = part.loc[part["criterion"] == "random", "accuracy"]
        numbers = {
            "anova": named["anova"],
            "random_mean": random.mean(),
            "low": random.min(),
            "high": random.max(),
        }
        above, below = int((named > random.max()).sum()), int((named < random.min()).sum())
        rows.append({"keep": keep} | numbers | {"criteria": len(named), "above": above, "below": below})
    return pd.DataFrame(rows)
