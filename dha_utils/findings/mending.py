"""The released selection methods beside their corrected variants: what they keep by their own rule, and what that is worth.

Conventions: shares are fractions of the maps of all taps; differences of accuracy are fractions of clips.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from dha_utils.criteria.released import MENDED, METHODS
from dha_utils.criteria.selection import apply_rule, mean_jaccard
from dha_utils.evaluation.inference import paired_difference
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.responses.table import Responses
from dha_utils.studies.scores import FoldScores

Results = Iterable[Mapping]
"""Cells with their results, as `dha_utils.sweep` returns them."""


def own_rule_table(scores: FoldScores, responses: Responses) -> pd.DataFrame:
    """Return the share of maps that the released methods keep by their own rule, as released and corrected.

    Returns
    -------
    DataFrame
        Columns method, released, corrected (shares of all maps, mean over folds), jaccard (of the two, mean over taps and folds).
    """
    rows = []
    for method in METHODS:
        shares: dict[str, list[float]] = {"released": [], "corrected": []}
        overlaps = []
        for fold in responses.test_folds:
            released, corrected = (
                apply_rule(name, scores.get(name, fold), own_rule=True)
                for name in (f"{method}_as_released", f"{method}_corrected")
            )
            shares["released"].append(released.n_kept / released.n_maps)
            shares["corrected"].append(corrected.n_kept / corrected.n_maps)
            overlaps += [mean_jaccard([released.masks[tap], corrected.masks[tap]]) for tap in released.masks]
        means = {name: float(np.mean(values)) for name, values in shares.items()}
        rows.append({"method": method} | means | {"jaccard": float(np.mean(overlaps))})
    return pd.DataFrame(rows)


def own_rule_range(own: pd.DataFrame, keep: float) -> dict:
    """Return which released method comes nearest to a share of maps by its own rule, and between which shares all lie.

    Parameters
    ----------
    own : DataFrame
        As `own_rule_table` returns it.
    keep : float

    Returns
    -------
    dict
        Per variant (released, corrected): nearest (a method), kept (its share), least and most (kept by any), least_ignored and
        most_ignored, and inside: whether `keep` lies between them, in words.
    """
    found = {}
    for variant in ("released", "corrected"):
        shares = own[variant]
        row = own.loc[(shares - keep).abs().idxmin()]
        least, most = float(shares.min()), float(shares.max())
        found[variant] = {
            "nearest": str(row["method"]),
            "kept": float(row[variant]),
            "least": least,
            "most": most,
            "least_ignored": 1 - most,
            "most_ignored": 1 - least,
            "inside": "inside" if least <= keep <= most else "outside",
        }
    return found


def released_costs(results: Results, recordings: np.ndarray, fusion: str = "all") -> pd.DataFrame:
    """Return the cost of every variant of the released methods, one row each.

    Parameters
    ----------
    results : iterable of dict
        Cells of the methods at one fraction kept and, with all maps (kept: 1), of any criterion; of one classifier.
    recordings : ndarray, shape (clips,)
    fusion : str
        The sum of taps.

    Returns
    -------
    DataFrame
        Columns criterion, accuracy, and change, low, high: against all maps, with the clustered 95 % interval.
    """
    results = list(results)
    (full,) = (unpack_correct(result, fusion) for result in results if result["keep"] == 1)
    correct = _by_criterion(results, fusion)
    rows = []
    for method in METHODS:
        for variant in MENDED:
            right = correct[f"{method}_{variant}"]
            change = paired_difference(full, right, recordings)
            rows.append((f"{method}_{variant}", float(right.mean()), *change))
    return pd.DataFrame(rows, columns=["criterion", "accuracy", "change", "low", "high"])


def mending_gains(results: Results, recordings: np.ndarray, fusion: str = "all") -> pd.DataFrame:
    """Return what mending all slips of a method is worth, clip by clip; arguments as in `released_costs`.

    Returns
    -------
    DataFrame
        Columns method, and change, low, high: accuracy corrected minus accuracy as released.
    """
    correct = _by_criterion(results, fusion)
    rows = []
    for method in METHODS:
        released, corrected = (correct[f"{method}_{variant}"] for variant in MENDED)
        rows.append((method, *paired_difference(released, corrected, recordings)))
    return pd.DataFrame(rows, columns=["method", "change", "low", "high"])


def classifier_record(results: Results, fusions: Mapping[str, list[str]]) -> pd.DataFrame:
    """Return what the ensemble reaches with all maps, one row per classifier.

    Parameters
    ----------
    results : iterable of dict
        Cells with all maps, one per classifier.
    fusions : dict
        Name of a sum -> its taps, as `dha_utils.evaluation.ensemble.fusions` returns them without single taps.

    Returns
    -------
    DataFrame
        Columns classifier, the names of the sums, best_tap and best (the tap that is most accurate on the very clips it is
        judged by, and its accuracy), and not_converged (SVMs).
    """
    rows = []
    for result in results:
        accuracy = result["accuracy"]
        singles = {tap: value for tap, value in accuracy.items() if tap not in fusions}
        best = max(singles, key=singles.get)
        rows.append(
            {"classifier": result["classifier"]}
            | {name: accuracy[name] for name in fusions}
            | {"best_tap": best, "best": singles[best], "not_converged": result["not_converged"]}
        )
    return pd.DataFrame(rows)


def _by_criterion(results: Results, fusion: str) -> dict[str, np.ndarray]:
    return {result["criterion"]: unpack_correct(result, fusion) for result in results if result["keep"] < 1}
