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
        Columns size (maps of the first two layers, "128-16"), widths, macs and parameters (as fractions of the full network's);
        unfitted, accuracy (maps of explained variance, refitted), group_norm (its maps, refitted); random (mean of the draws,
        refitted), lowest, highest, difference, difference_low, difference_high (explained variance to random); trained (maps of
        explained variance, refitted and trained; NaN where they are not). Of accuracy and of trained, with 95 % intervals over
        frames, change, low, high (to the full network) and to_tiny, to_tiny_low, to_tiny_high; of the latter after ``trained_``.
    """
    full, tiny, frames = *rows[:2], np.arange(rows[0]["clips"])

    def against_both(own: Mapping, prefix: str = "") -> dict:
        right = unpack_correct(own)
        found = {
            name: paired_difference(unpack_correct(other), right, frames)
            for name, other in (("change", full), ("to_tiny", tiny))
        }
        return found["change"].columns(f"{prefix}change", prefix) | found["to_tiny"].columns(
            f"{prefix}to_tiny", f"{prefix}to_tiny_"
        )

    table = []
    for own in rows:
        if own["selection"] != "explained_variance":
            continue
        same = [row for row in rows if row["network"] == own["network"] and row["widths"] == own["widths"]]
        one = {row["selection"]: row for row in same}
        draws = np.stack([unpack_correct(row) for row in same if row["selection"] == "random"])
        row = {"size": "-".join(map(str, own["widths"][:2])), "widths": "-".join(map(str, own["widths"]))}
        row |= {cost: own[cost] / full[cost] for cost in ("macs", "parameters")}
        row |= {name: one[name]["accuracy"] for name in ("unfitted", "group_norm")}
        row |= {"accuracy": own["accuracy"]} | against_both(own)
        row |= {"random": draws.mean(), "draws": len(draws)}
        row |= {"lowest": draws.mean(axis=1).min(), "highest": draws.mean(axis=1).max()}
        row |= paired_random(unpack_correct(own), draws, frames).columns("difference", "difference_")
        if "trained" in one:
            row |= {"trained": one["trained"]["accuracy"]} | against_both(one["trained"], "trained_")
        table.append(row)
    return pd.DataFrame(table).sort_values("macs", ignore_index=True)


def tiny_against(rows: Sequence[Mapping]) -> dict[str, float]:
    """Return how accurate the authors' tiny network is, and what it costs.

    Returns
    -------
    dict
        full, accuracy; macs, parameters (fractions of the full network's); change, low, high (tiny to full).
    """
    full, tiny = rows[:2]
    frames = np.arange(full["clips"])
    return (
        {"full": full["accuracy"], "accuracy": tiny["accuracy"]}
        | {cost: tiny[cost] / full[cost] for cost in ("macs", "parameters")}
        | paired_difference(unpack_correct(full), unpack_correct(tiny), frames).columns("change")
    )


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return tables of several networks, one below the other, with a first column network."""
    parts = [table.assign(network=name) for name, table in tables.items()]
    joined = pd.concat(parts, ignore_index=True)
    return joined[["network", *joined.columns.drop("network")]]


def by_network(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return for a results file what `dha_utils.findings.random_maps.random_table` gives of several networks, by fraction."""
    return {name: by_fraction(table) for name, table in tables.items()}
