"""Whether what holds of SoundNet's maps holds of another network's, and what is left of that network when it is made smaller."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import select
from dha_utils.evaluation.inference import cluster_bootstrap, paired_difference, paired_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.dimension import dimension_table, dominant_recordings
from dha_utils.findings.kept_maps import kept_table
from dha_utils.findings.random_maps import by_fraction
from dha_utils.responses.table import Responses
from dha_utils.studies.pitch import FILE


def redundancy_table(responses: Responses, keep: float, alpha: float) -> pd.DataFrame:
    """Return how different and how many-sided the maps of every tap are, one row per tap.

    Returns
    -------
    DataFrame
        Columns tap, maps, eta2 (median), significant (share of the maps), ratio_rest and pc90_rest (effective dimension, and
        components for 90 % of the variance, without dominant recordings), jaccard (of the maps that ANOVA keeps, over folds).
    """
    selections = [select(fold, "anova", keep=keep) for fold in responses.training_folds()]
    dominant = [found["recording"] for found in dominant_recordings(responses)]
    table = kept_table(selections, alpha).merge(
        dimension_table(responses, dominant).drop(columns="maps"), on="tap"
    )
    return table[["tap", "maps", "eta2", "significant", "ratio_rest", "pc90_rest", "jaccard"]]


def ensemble_table(
    whole: Mapping[str, Mapping], responses: Mapping[str, Responses], recordings: np.ndarray
) -> pd.DataFrame:
    """Return how accurate ensembles with all maps are, one row per network.

    Parameters
    ----------
    whole : dict of str to dict
        Network -> the cell of a sweep in which all maps are kept.
    responses : dict of str to Responses
        Network -> what its ensemble reads.
    recordings : ndarray, shape (clips,)

    Returns
    -------
    DataFrame
        Columns network, maps, best_tap, best (its accuracy), and accuracy, low, high of the sum of all taps (clustered).
    """
    rows = []
    for network, cell in whole.items():
        arrays = responses[network].arrays
        taps = {tap: cell["accuracy"][tap] for tap in arrays}
        best = max(taps, key=taps.get)
        interval = cluster_bootstrap(unpack_correct(cell), recordings)
        rows.append(
            {"network": network, "maps": sum(x.shape[1] for x in arrays.values())}
            | {"best_tap": best, "best": taps[best]}
            | interval.columns("accuracy")
        )
    return pd.DataFrame(rows)


def read_pitch(dataset: str) -> list[dict]:
    """Return what was measured of smaller networks, see `dha_utils.studies.pitch.measure_pitch`.

    Raises
    ------
    DataError
        If it is not bundled with the data set, or damaged.
    """
    path = bundled(dataset) / FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))["networks"]
    except (OSError, ValueError, LookupError) as error:
        raise DataError(
            f"{path}: missing or damaged ({error}); `dha bundle {dataset} --only pitch` makes it"
        ) from error


def pitch_table(rows: Sequence[Mapping]) -> pd.DataFrame:
    """Return raw pitch accuracies of smaller networks, one row per size, the smallest first.

    Returns
    -------
    DataFrame
        Columns size (maps of the first two layers, "128-16"), widths, macs and parameters (as fractions of the full network's),
        unfitted, accuracy (maps of explained variance, refitted), change, low, high (to the full network, 95 % interval over
        frames), random (mean of the draws, refitted), lowest, highest, difference, difference_low, difference_high (to them).
    """
    full, frames = rows[0], np.arange(rows[0]["clips"])
    table = []
    for own in rows:
        if own["selection"] != "explained_variance":
            continue
        same = [row for row in rows if row["network"] == own["network"] and row["widths"] == own["widths"]]
        draws = np.stack([unpack_correct(row) for row in same if row["selection"] == "random"])
        right = unpack_correct(own)
        table.append(
            {"size": "-".join(map(str, own["widths"][:2])), "widths": "-".join(map(str, own["widths"]))}
            | {cost: own[cost] / full[cost] for cost in ("macs", "parameters")}
            | {"unfitted": next(row["accuracy"] for row in same if row["selection"] == "unfitted")}
            | {"accuracy": own["accuracy"]}
            | paired_difference(unpack_correct(full), right, frames).columns("change")
            | {
                "random": draws.mean(),
                "lowest": draws.mean(axis=1).min(),
                "highest": draws.mean(axis=1).max(),
            }
            | paired_random(right, draws, frames).columns("difference", "difference_")
        )
    return pd.DataFrame(table).sort_values("macs", ignore_index=True)


def tiny_against(rows: Sequence[Mapping]) -> dict[str, float]:
    """Return the authors' tiny network, and how much more accurate the refitted one of the same size is.

    Returns
    -------
    dict
        full, accuracy, macs, parameters (fractions of the full network's), change, low, high (tiny to full); refitted_change,
        refitted_low, refitted_high (refitted to tiny).
    """
    full, tiny = rows[:2]
    frames = np.arange(full["clips"])
    ours = next(
        row for row in rows if row["selection"] == "explained_variance" and row["widths"] == tiny["widths"]
    )
    against = paired_difference(unpack_correct(tiny), unpack_correct(ours), frames)
    return (
        {"full": full["accuracy"], "accuracy": tiny["accuracy"]}
        | {cost: tiny[cost] / full[cost] for cost in ("macs", "parameters")}
        | paired_difference(unpack_correct(full), unpack_correct(tiny), frames).columns("change")
        | against.columns("refitted_change", "refitted_")
    )


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return tables of several networks, one below the other, with a first column network."""
    parts = [table.assign(network=name) for name, table in tables.items()]
    joined = pd.concat(parts, ignore_index=True)
    return joined[["network", *joined.columns.drop("network")]]


def by_network(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return for a results file what `dha_utils.findings.random_maps.random_table` gives of several networks, by fraction."""
    return {name: by_fraction(table) for name, table in tables.items()}
