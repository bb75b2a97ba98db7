"""Whether what holds of SoundNet's maps holds of another network's, and what is left of that network when it is made smaller."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled
from dha_utils.criteria.base import CRITERIA
from dha_utils.criteria.described import needs_of
from dha_utils.criteria.selection import select
from dha_utils.evaluation.inference import cluster_bootstrap, paired_random, simultaneous_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.dimension import dimension_table, dominant_recordings
from dha_utils.findings.kept_maps import kept_table
from dha_utils.findings.outcomes import random_outcome
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


WAYS = {
    "full": "the full network",
    "tiny": "the authors' tiny network",
    "unfitted": "explained variance, not refitted",
    "random": "random maps, refitted",
    "explained_variance": "explained variance, refitted",
    "trained": "explained variance, refitted and trained",
    "nearest_trained": "the nearest choice, refitted and trained",
    "components": "principal components of all maps (a mark)",
}
"""Selection -> how a network was made, in words."""


def pitch_table(rows: Sequence[Mapping]) -> pd.DataFrame:
    """Return raw pitch accuracies of networks, one row per size and way to make it; draws of random maps are one row.

    Parameters
    ----------
    rows : sequence of dict
        As `dha_utils.studies.pitch.measure_pitch` gives them: the full network and the tiny one first.

    Returns
    -------
    DataFrame
        Columns selection (`WAYS`), way, size (maps of the first two layers, "64-28"), widths (of all), draws, macs and parameters
        (as fractions of the full network's); accuracy, lowest, highest (over draws); and, with 95 % intervals over frames,
        change, low, high (to the full network), to_tiny, to_tiny_low, to_tiny_high, and to_random, to_random_low,
        to_random_high (NaN where no maps of this size were drawn).
    """
    full, frames = rows[0], np.arange(rows[0]["clips"])
    measured: dict[tuple[str, str], list[Mapping]] = {("full", ""): [full], ("tiny", ""): [rows[1]]}
    for row in rows[2:]:
        if row["selection"] in WAYS:  # the others are those of `choices_table`
            measured.setdefault((row["selection"], "-".join(map(str, row["widths"]))), []).append(row)
    right = {key: np.stack([unpack_correct(row) for row in group]) for key, group in measured.items()}
    marks = {"change": ("full", "low", "high"), "to_tiny": ("tiny", "to_tiny_low", "to_tiny_high")}
    table = []
    for (selection, widths), group in measured.items():
        own, each = right[selection, widths], right[selection, widths].mean(axis=1)
        row = {
            "selection": selection,
            "way": WAYS[selection],
            "size": "-".join(map(str, group[0]["widths"][:2])),
        }
        row |= {"widths": "-".join(map(str, group[0]["widths"])), "draws": len(own)}
        row |= {cost: group[0][cost] / full[cost] for cost in ("macs", "parameters")}
        row |= {"accuracy": each.mean(), "lowest": each.min(), "highest": each.max()}
        for name, (mark, low, high) in marks.items():
            difference = cluster_bootstrap(own.mean(axis=0) - right[mark, ""][0], frames)
            row |= dict(zip((name, low, high), difference, strict=True))
        drawn = right.get(("random", widths))
        against = (np.nan,) * 3
        if drawn is not None and selection != "random":
            against = paired_random(own[0], drawn, frames)
        table.append(row | dict(zip(("to_random", "to_random_low", "to_random_high"), against, strict=True)))
    order = [*WAYS]
    return pd.DataFrame(table).sort_values(
        ["macs", "selection"], key=lambda column: column.map(order.index) if column.name == "selection" else column,
        ascending=[False, True], ignore_index=True,
    )  # fmt: skip


def choices_table(rows: Sequence[Mapping]) -> pd.DataFrame:
    """Return how ways to choose CREPE's maps compare in the same numbers per layer, and so at equal cost; all refitted.

    Parameters
    ----------
    rows : sequence of dict
        As `dha_utils.studies.pitch.measure_pitch` gives them.

    Returns
    -------
    DataFrame
        Columns criterion, needs (labels, data or nothing), a column of accuracies per size that all criteria were tried at, named
        by the multiply-accumulates that are left ("10 %"), largest first; at the smallest also loss (how far it is from the full
        network, `dha_utils.studies.pitch.find_nearest`), difference (to the random maps, frame by frame), all_low, all_high (the
        interval that holds for all criteria together) and outcome. The best at the smallest first; random maps, the mean of the
        draws, last. Empty where no criteria were compared.
    """
    full, losses = rows[0]["macs"], next((row["losses"] for row in rows if "losses" in row), {})
    rows = [row for row in rows if row["selection"] in CRITERIA]
    compared = {row["macs"] for row in rows if row["selection"] not in WAYS}
    found: dict[tuple[int, str], list[np.ndarray]] = {}
    for row in rows:
        found.setdefault((row["macs"], row["selection"]), []).append(unpack_correct(row))
    if not compared:
        return pd.DataFrame(columns=["criterion", "needs"])
    smallest = min(compared)
    names = sorted(
        {name for _, name in found} - {"random"}, key=lambda name: -found[smallest, name][0].mean()
    )
    together = simultaneous_random(
        np.stack([found[smallest, name][0] for name in names]),
        np.stack(found[smallest, "random"]),
        np.arange(rows[0]["clips"]),
    )
    table = []
    for name, interval in zip([*names, "random"], [*together, None], strict=True):
        row = {"criterion": name, "needs": needs_of(CRITERIA[name])}
        for macs in sorted(compared, reverse=True):
            row[f"{100 * macs / full:.2g} %"] = np.mean(found[macs, name])
        row["loss"] = losses.get(name)
        if interval is not None:
            row |= interval.columns("difference", "all_") | {"outcome": random_outcome(interval)}
        table.append(row)
    return pd.DataFrame(table)


def by_selection(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return `pitch_table` for a results file: by selection, and by size."""
    return {name: own.set_index("size", drop=False) for name, own in table.groupby("selection")}


def stacked(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return tables of several networks, one below the other, with a first column network; without the ends of the draws."""
    parts = [table.assign(network=name) for name, table in tables.items()]
    joined = pd.concat(parts, ignore_index=True).drop(columns=["lowest", "highest"])
    return joined[["network", *joined.columns.drop("network")]]


def by_network(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return for a results file what `dha_utils.findings.random_maps.random_table` gives of several networks, by fraction."""
    return {name: by_fraction(table) for name, table in tables.items()}
