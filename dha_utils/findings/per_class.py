"""Class by class: what changes when maps are ignored, and which classes are taken for which.

Conventions: predictions and classes are numbers, shape (clips,); confusion matrices have the true class in the rows.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dha_utils.evaluation.crossvalidation import CrossValidation
from dha_utils.evaluation.inference import paired_difference
from dha_utils.responses.table import Responses


def class_changes(full: CrossValidation, run: CrossValidation, classes: Sequence[str]) -> pd.DataFrame:
    """Return the accuracy of every class before and after, those that lose most first.

    Parameters
    ----------
    full, run : CrossValidation
        Before and after, on the same clips.
    classes : sequence of str
        Names.

    Returns
    -------
    DataFrame
        Columns label, clips, full, accuracy (after), change, low, high: a 95 % bootstrap over the recordings of the class.
    """
    before, after = full.correct(), run.correct()
    rows = []
    for number, label in enumerate(classes):
        own = full.y == number
        change = paired_difference(before[own], after[own], full.recordings[own])
        rows.append(
            {"label": label, "clips": int(own.sum())}
            | {"full": float(before[own].mean()), "accuracy": float(after[own].mean())}
            | change.columns("change")
        )
    return pd.DataFrame(rows).sort_values("change", kind="stable", ignore_index=True)


def summarise_changes(changes: pd.DataFrame) -> dict:
    """Return of `class_changes` how many classes are lower and higher after, and which with an interval that excludes 0.

    Returns
    -------
    dict
        classes, lower, higher, n_lose, n_gain (numbers of classes); lose, gain (their names); most (the row that loses most).
    """
    lose, gain = changes[changes["high"] < 0], changes[changes["low"] > 0]
    return {
        "classes": len(changes),
        "lower": int((changes["change"] < 0).sum()),
        "higher": int((changes["change"] > 0).sum()),
        "lose": lose["label"].tolist(),
        "n_lose": len(lose),
        "gain": gain["label"].tolist(),
        "n_gain": len(gain),
        "most": changes.to_dict("records")[0],
    }


def changed_clips(full: CrossValidation, run: CrossValidation, tested: Responses) -> pd.DataFrame:
    """Return the clips that are right before or after, and not both times.

    Parameters
    ----------
    full, run : CrossValidation
        Before and after, on the same clips.
    tested : Responses
        To these clips.

    Returns
    -------
    DataFrame
        Columns clip, label, before and after (what it is taken for).
    """
    changed = np.flatnonzero(full.correct() != run.correct())
    names, said = np.array(tested.classes), (full.predictions(), run.predictions())
    return pd.DataFrame(
        {"clip": tested.table["clip"].to_numpy()[changed], "label": names[full.y[changed]]}
        | {when: names[of[changed]] for when, of in zip(("before", "after"), said, strict=True)}
    ).sort_values(["label", "clip"], ignore_index=True)


def confusion(run: CrossValidation) -> np.ndarray:
    """Return how many clips of every class are taken for which, shape (classes, classes), int; every clip once."""
    n_classes = int(max(run.y.max(), run.predictions().max())) + 1  # every class is tested
    matrix = np.zeros((n_classes, n_classes), int)
    np.add.at(matrix, (run.y, run.predictions()), 1)
    return matrix


def confused_pairs(matrix: np.ndarray, classes: Sequence[str], most: int = 10) -> pd.DataFrame:
    """Return the pairs of classes that are taken for one another most often: columns label, other, clips (either way)."""
    both = np.triu(matrix + matrix.T, k=1)
    order = np.argsort(-both, axis=None, kind="stable")[:most]
    pairs = [np.unravel_index(place, both.shape) for place in order]
    return pd.DataFrame(
        {"label": classes[i], "other": classes[j], "clips": int(both[i, j])} for i, j in pairs if both[i, j]
    )


def summarise(full: CrossValidation, run: CrossValidation, tested: Responses) -> dict:
    """Return for a results file `summarise_changes`, the pairs confused most after, and how many clips change."""
    return {
        "classes": summarise_changes(class_changes(full, run, tested.classes)),
        "pairs": confused_pairs(confusion(run), tested.classes).to_dict("records"),
        "changed": len(changed_clips(full, run, tested)),
    }
