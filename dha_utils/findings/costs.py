"""What ignoring maps and removing filters save of all that is computed for a clip, over the folds of a data set."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dha_utils.criteria.selection import Selection
from dha_utils.evaluation.crossvalidation import tap_layers
from dha_utils.evaluation.ensemble import LayerEnsemble
from dha_utils.pruning.cost import count_classifier_macs, needed_filters, pooling_additions, savings_table
from dha_utils.responses.table import Responses
from dha_utils.studies.results import nested

SECONDS = (5, 30)
"""Lengths of clips: those of ESC, and those of DCASE."""


def unread_filters(selections: Mapping[int, Selection]) -> pd.DataFrame:
    """Return how many filters need not be computed for the maps that are kept: a row per layer, a column per fold."""
    return pd.DataFrame(
        {
            f"fold {fold}": {layer: int((~mask).sum()) for layer, mask in needed_filters(kept.masks).items()}
            for fold, kept in selections.items()
        }
    )


def unread_summary(unread: pd.DataFrame) -> dict[str, float]:
    """Return of `unread_filters` mean, low and high (over folds, of the last layer), and below: all those of other layers."""
    *_, last = unread.index
    top = unread.loc[last]
    below = int(unread.drop(last).to_numpy().sum())
    return {"mean": float(top.mean()), "low": int(top.min()), "high": int(top.max()), "below": below}


def reader_costs(
    responses: Responses, selections: Mapping[int, Selection], n_samples: int, classifier: str = "converging"
) -> pd.DataFrame:
    """Return what averages over time and classifiers take for a clip, with all maps and with those that are kept.

    Parameters
    ----------
    responses : Responses
    selections : dict of int to Selection
        Test fold -> what is kept there, decided on the others; the ensemble is fitted on those as well.
    n_samples : int
        Length of the clip.
    classifier : str
        One of `dha_utils.CLASSIFIERS`.

    Returns
    -------
    DataFrame
        Columns fold, maps ("all" or "kept"), averages (additions), classifiers (multiply-accumulates).
    """
    rows = []
    for fold, selection in selections.items():
        training = responses.take(responses.folds != fold)
        every = {tap: np.ones_like(mask) for tap, mask in selection.masks.items()}
        for name, masks in {"all": every, "kept": selection.masks}.items():
            ensemble = LayerEnsemble(tap_layers(training), np.concatenate(list(masks.values())), classifier)
            ensemble.fit(training.matrix(), training.y)
            averages = pooling_additions({tap: int(mask.sum()) for tap, mask in masks.items()}, n_samples)
            classifiers = int(count_classifier_macs(ensemble)["macs"].sum())
            rows.append({"fold": fold, "maps": name, "averages": averages, "classifiers": classifiers})
    return pd.DataFrame(rows)


def savings(
    selections: Mapping[int, Selection], keep: float, readers: pd.DataFrame, rate: int
) -> pd.DataFrame:
    """Return `dha_utils.pruning.cost.savings_table` over the folds, for clips of `SECONDS`.

    Parameters
    ----------
    selections : dict of int to Selection
        As in `reader_costs`.
    keep : float
        The fraction of maps that is kept.
    readers : DataFrame
        What `reader_costs` returns.
    rate : int
        Hz.

    Returns
    -------
    DataFrame
        Index name, what, seconds (str); columns network and all (means over folds), and each with ``_low`` and ``_high``.
    """
    tables = []
    for fold, selection in selections.items():
        classifiers = readers.loc[readers["fold"] == fold, "classifiers"]
        tables += [
            savings_table(selection.masks, keep, *classifiers, seconds * rate).assign(seconds=str(seconds))
            for seconds in SECONDS
        ]
    groups = pd.concat(tables).groupby(["name", "what", "seconds"], sort=False)[["network", "all"]]
    found = groups.agg(["mean", "min", "max"])
    endings = {"mean": "", "min": "_low", "max": "_high"}
    return found.set_axis([f"{kind}{endings[how]}" for kind, how in found], axis="columns")


def savings_by_name(table: pd.DataFrame) -> dict[str, dict]:
    """Return `savings` for a results file: name -> what, and a row for each length of clips."""
    return {
        name: {"what": what} | nested(part.droplevel([0, 1]))
        for (name, what), part in table.groupby(level=[0, 1], sort=False)
    }
