"""How certain a comparison is: controls that leave out its reason, other tests, dependent clips, rounding."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.evaluation.comparison import design_effect, mcnemar, nadeau_bengio, non_inferiority_test
from dha_utils.evaluation.crossvalidation import CrossValidation
from dha_utils.evaluation.inference import paired_difference, paired_random
from dha_utils.evaluation.packing import unpack_correct


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
    none = [None] * 3
    # One fold, as where a data set comes with a test set of its own, has no variance.
    corrected = nadeau_bengio(by_fold, 1 / (len(by_fold) - 1)) if len(by_fold) > 1 else none
    absolute = non_inferiority_test(first, second, recordings, margin)
    relative = non_inferiority_test(first, second, recordings, margin * first.mean())
    rows = [
        ("change, bootstrap over recordings", *change, None),
        ("change, Nadeau-Bengio over folds", *corrected, None),
        (f"McNemar: {disagree.only_first} clips lost, {disagree.only_second} won", *none, disagree.pvalue),
        (f"loss below {100 * margin:g} points", *none, absolute.pvalue),
        (f"loss below {100 * margin:g} % of the accuracy", *none, relative.pvalue),
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
    columns = ["classifier", "keep", "control", "accuracy", "stopped"]
    rows = pd.DataFrame(
        (
            (r["classifier"], r["keep"], r["control"], r["accuracy"][fusion], r["not_converged"])
            for r in results
        ),
        columns=columns,
    )
    groups = rows[rows["control"] == "perturbed"].groupby(["classifier", "keep"], sort=False)
    spread = groups.agg(lowest=("accuracy", "min"), highest=("accuracy", "max"), stopped=("stopped", "mean"))
    plain = rows.loc[rows["control"] == "", ["classifier", "keep", "accuracy"]]
    return plain.merge(spread.reset_index(), on=["classifier", "keep"])
