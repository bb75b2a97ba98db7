"""What criteria are worth against random maps: cells of a sweep, fraction by fraction."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.criteria.multiplicity import adjust
from dha_utils.evaluation.inference import RANK_LEVEL, paired_random, rank_among_random, simultaneous_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.outcomes import random_outcome
from dha_utils.paper import PRIMARY


def describe_draws(results: Sequence[Mapping], fusion: str = "all") -> dict:
    """Return for a results file how many random selections there are, and how their accuracies are spread."""
    accuracies = np.array([cell["accuracy"][fusion] for cell in results])
    low, high = np.quantile(accuracies, [0.025, 0.975])
    spread = {"mean": accuracies.mean(), "std": accuracies.std(ddof=1), "low": low, "high": high}
    return {"seeds": len(accuracies)} | spread


def by_fraction(table: pd.DataFrame, *outer: str) -> pd.DataFrame:
    """Return a table for a results file, its rows named by the fraction kept in per cent, and by other columns before that.

    >>> by_fraction(pd.DataFrame({"keep": [0.11], "random": [0.9]})).to_dict("index")
    {'11': {'keep': 0.11, 'random': 0.9}}
    """
    percent = pd.Index([f"{100 * keep:g}" for keep in table["keep"]])
    return table.set_index([*outer, percent], drop=False)


def tap_table(results: Iterable[Mapping], taps: Sequence[str], criterion: str = "anova") -> pd.DataFrame:
    """Return the accuracy of every tap by itself in cells of a criterion and of random maps.

    Returns
    -------
    DataFrame
        Columns criterion, keep, tap, accuracy, one row for each cell and tap.
    """
    return pd.DataFrame(
        {"criterion": cell["criterion"], "keep": cell["keep"], "tap": tap, "accuracy": cell["accuracy"][tap]}
        for cell in results
        if cell["criterion"] in (criterion, "random")
        for tap in taps
    )


def split_random(results: Iterable[Mapping]) -> tuple[list[Mapping], list[Mapping]]:
    """Return the cells of named criteria, and those of random maps."""
    results = list(results)
    named = [result for result in results if result["criterion"] != "random"]
    return named, [result for result in results if result["criterion"] == "random"]


COLUMNS = (
    "keep", "accuracy", "draws", "random", "lowest", "highest", "difference", "low", "high", "as_good", "outcome",
)  # fmt: skip
"""Columns of `random_table`."""


def random_tables(
    selected: Mapping[str, Sequence[Mapping]], drawn: Mapping[str, Sequence[Mapping]], recordings: np.ndarray
) -> pd.DataFrame:
    """Return `random_table` for each classifier, one below the other, with a first column classifier.

    Parameters
    ----------
    selected, drawn : dict of str to sequence of dict
        Classifier -> cells of ANOVA, and of random maps at the same fractions.
    recordings : ndarray, shape (clips,)
    """
    tables = []
    for name, cells in selected.items():
        table = random_table([*cells, *drawn[name]], recordings)
        table.insert(0, "classifier", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["classifier", *COLUMNS])


def primary_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the protocol's classifier, or where it is not there, of the first one.

    >>> primary_rows(pd.DataFrame({"classifier": ["least_squares", "converging"], "random": [0.9, 0.8]}))["random"].tolist()
    [0.8]
    """
    names = table["classifier"].tolist()
    return table[table["classifier"] == (PRIMARY if PRIMARY in names else names[0])]


def random_table(
    results: Iterable[Mapping],
    recordings: np.ndarray,
    fusion: str = "all",
    criterion: str = "anova",
    **options,
) -> pd.DataFrame:
    """Return what a criterion is worth against random maps, one row per fraction kept.

    Parameters
    ----------
    results : iterable of dict
        Cells of the criterion and of random maps, without a control, as `dha_utils.sweep` returns them.
    recordings : ndarray, shape (clips,)
    fusion : str
        A tap, or a sum of taps.
    criterion : str
    **options
        As in `dha_utils.evaluation.inference.paired_random`.

    Returns
    -------
    DataFrame
        Columns keep, accuracy, draws (how many), random (their mean accuracy), lowest, highest, difference, low, high (to the
        mean of the draws, with its 95 % interval), as_good (share of the draws, the criterion's among them), outcome.
    """
    named, random = split_random(results)
    rows = []
    for result in sorted(named, key=lambda result: result["keep"]):
        if result["criterion"] != criterion:
            continue
        draws = np.stack([unpack_correct(draw, fusion) for draw in random if draw["keep"] == result["keep"]])
        correct, accuracies = unpack_correct(result, fusion), draws.mean(axis=1)
        difference = paired_random(correct, draws, recordings, **options)
        rows.append(
            {"keep": result["keep"], "accuracy": float(correct.mean()), "draws": len(draws)}
            | {"random": float(draws.mean()), "lowest": accuracies.min(), "highest": accuracies.max()}
            | difference.columns("difference")
            | {"as_good": rank_among_random(float(correct.mean()), accuracies).as_good}
            | {"outcome": random_outcome(difference)}
        )
    return pd.DataFrame(rows)


def random_by_tap(results: Iterable[Mapping], recordings: np.ndarray, taps: Sequence[str]) -> pd.DataFrame:
    """Return `random_table` of every tap by itself, one below the other, with the column tap."""
    return pd.concat(random_table(results, recordings, tap, resamples=1999).assign(tap=tap) for tap in taps)


def cost_of_any(full: np.ndarray, drawn: Sequence[Mapping], recordings: np.ndarray) -> dict:
    """Return what random maps cost against all maps.

    Parameters
    ----------
    full : ndarray, shape (clips,), bool
        Which clips are right with all maps.
    drawn : sequence of dict
        Cells of random maps at one fraction.
    recordings : ndarray, shape (clips,)

    Returns
    -------
    dict
        draws (how many), lowest (accuracy), and the change of accuracy, mean over the draws, with its 95 % interval: change, low,
        high.
    """
    draws = np.stack([unpack_correct(cell) for cell in drawn])
    gain = paired_random(full, draws, recordings)
    change = {"change": -gain.estimate, "low": -gain.high, "high": -gain.low}
    return {"draws": len(draws), "lowest": draws.mean(axis=1).min()} | change


def criteria_table(results: Iterable[Mapping], recordings: np.ndarray, fusion: str = "all") -> pd.DataFrame:
    """Return all criteria against random maps at one fraction kept, with intervals that hold for all of them together.

    Parameters
    ----------
    results : iterable of dict
        Cells of criteria and of random maps at one fraction, without a control.
    recordings, fusion
        As in `random_table`.

    Returns
    -------
    DataFrame
        Columns criterion, accuracy, difference, low, high (to the mean of the random draws, simultaneous 95 % intervals),
        outcome, as_good, as_bad and rank (`dha_utils.evaluation.inference.Rank`); the most accurate first.
    """
    named, random = split_random(results)
    draws = np.stack([unpack_correct(draw, fusion) for draw in random])
    correct = np.stack([unpack_correct(result, fusion) for result in named])
    rows = []
    for result, right, difference in zip(
        named, correct, simultaneous_random(correct, draws, recordings), strict=True
    ):
        rank = rank_among_random(float(right.mean()), draws.mean(axis=1))
        rows.append(
            {"criterion": result["criterion"], "accuracy": float(right.mean())}
            | difference.columns("difference")
            | {"outcome": random_outcome(difference)}
            | {"as_good": rank.as_good, "as_bad": rank.as_bad, "rank": rank.outcome}
        )
    return pd.DataFrame(rows).sort_values("accuracy", ascending=False, kind="stable", ignore_index=True)


def count_outcomes(table: pd.DataFrame) -> dict[str, int]:
    """Return of a `criteria_table` how many criteria come out how.

    Returns
    -------
    dict of str to int
        criteria; better, worse, equivalent, undecided (by the simultaneous intervals); and by the rank among the random draws
        alone_better and alone_worse, each criterion taken by itself, and holm_better and holm_worse, adjusted for their number.
    """
    counts = {
        name: int((table["outcome"] == name).sum()) for name in ("better", "worse", "equivalent", "undecided")
    }
    for name, share in (("better", "as_good"), ("worse", "as_bad")):
        counts[f"alone_{name}"] = int((table["rank"] == name).sum())
        counts[f"holm_{name}"] = int((adjust(table[share].to_numpy(), "holm") <= RANK_LEVEL).sum())
    return {"criteria": len(table)} | counts


def outcomes_by_fraction(
    results: Iterable[Mapping], recordings: np.ndarray, fusion: str = "all"
) -> pd.DataFrame:
    """Return `count_outcomes` of every fraction kept, one row each; arguments as in `criteria_table`."""
    by_keep = {}
    for result in results:
        by_keep.setdefault(result["keep"], []).append(result)
    return pd.DataFrame(
        {"keep": keep} | count_outcomes(criteria_table(cells, recordings, fusion))
        for keep, cells in by_keep.items()
    )
