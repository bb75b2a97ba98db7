"""What single recordings do to the numbers: what is found without one of them, or without several.

Conventions: responses ``x`` are (n clips, C maps); the clips of a recording are left out together; shares are fractions. Where
a share is a mean over training folds, a recording is left out of those that hold it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from dha_utils.core.work import in_order
from dha_utils.criteria.classwise import EQUIVALENCE_FORMS, anova, equivalence_pvalues
from dha_utils.criteria.groups import MIN_CLIPS
from dha_utils.criteria.multiplicity import adjust
from dha_utils.criteria.selection import mean_jaccard, select
from dha_utils.responses.table import Responses
from dha_utils.studies.results import records


class WithoutEach(NamedTuple):
    """The F test with each of R recordings left out: their names (R,), and F and p-value, both (R, C).

    Undefined maps have F ``-inf`` and p-value 1; both are NaN where too few clips of a class would be left.
    """

    recordings: np.ndarray
    f: np.ndarray
    pvalue: np.ndarray


def anova_without_each(x: np.ndarray, y: np.ndarray, recordings: np.ndarray) -> WithoutEach:
    r"""Return the one-way analysis of variance with each recording left out in turn.

    The test is not made afresh for every recording: what a recording adds to the sums is taken away. With :math:`S_k` the sum
    of the responses in class *k*, :math:`Q` the sum of all squares, and :math:`s_k, q` the recording's part of them, what is left
    between classes and the origin is :math:`B = \sum_k (S_k - s_k)^2 / (n_k - m_k)`, and within classes :math:`Q - q - B`.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses.
    y : ndarray, shape (n,), int
        Class of every clip.
    recordings : ndarray, shape (n,)
        Recording of every clip.

    Returns
    -------
    WithoutEach
    """
    x = np.asarray(x, dtype=np.float64)
    names, recording = np.unique(recordings, return_inverse=True)
    member = np.equal.outer(np.arange(len(names)), recording).astype(float)  # (R, n)
    centred = x - x.mean(axis=0)  # sums of squares then lose nothing to a common offset
    squares = (centred**2).sum(axis=0) - member @ centred**2
    total = -(member @ centred)
    classes = np.unique(y)
    n, n_classes = (1 - member).sum(axis=1, keepdims=True), len(classes)
    between = np.zeros_like(squares)
    enough = np.ones(len(names), dtype=bool)
    for label in classes:
        inside = y == label
        left = inside.sum() - member[:, inside].sum(axis=1)
        enough &= left >= MIN_CLIPS
        sums = centred[inside].sum(axis=0) - member[:, inside] @ centred[inside]
        between += sums**2 / np.maximum(left, 1)[:, None]
    within = np.maximum(squares - between, 0)
    between = np.maximum(between - total**2 / n, 0)
    with np.errstate(divide="ignore", invalid="ignore"):  # no variance within classes makes F infinite
        f = between / (n_classes - 1) / (within / (n - n_classes))
    undefined = np.isnan(f) | _constant_without_each(x, recording)
    f = np.where(undefined, -np.inf, f)
    pvalue = np.where(undefined, 1.0, special.fdtrc(n_classes - 1, n - n_classes, np.maximum(f, 0)))
    f[~enough], pvalue[~enough] = np.nan, np.nan
    return WithoutEach(names, f, pvalue)


def _constant_without_each(x: np.ndarray, recording: np.ndarray) -> np.ndarray:
    """Return which maps of `x` (n, C) hold one value only once a recording (numbered from 0) is left out, shape (R, C)."""
    parts = [x[recording == number] for number in range(recording.max() + 1)]
    lowest = -_highest_of_others(np.stack([-part.min(axis=0) for part in parts]))
    highest = _highest_of_others(np.stack([part.max(axis=0) for part in parts]))
    return lowest >= highest


def _highest_of_others(values: np.ndarray) -> np.ndarray:
    """Return, for every row of `values` (R, C), the largest value of the other rows, shape (R, C)."""
    columns = np.arange(values.shape[1])
    rest = values.copy()
    rest[values.argmax(axis=0), columns] = -np.inf
    others = np.tile(values.max(axis=0), (len(values), 1))
    others[values.argmax(axis=0), columns] = rest.max(axis=0)
    return others


def no_difference_without_each(responses: Responses, alpha: float) -> pd.DataFrame:
    """Return the share of maps without significant difference between classes, with each recording left out.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level after Benjamini and Hochberg's adjustment over the maps of all taps.

    Returns
    -------
    DataFrame
        One row per recording, the smallest share first: recording, label, clips, all (share of all maps, mean over training
        folds), then the share in every tap; NaN where too few clips of a class would be left.
    """
    table = responses.table.groupby("recording").agg(label=("label", "first"), clips=("clip", "size"))
    names = table.index.to_numpy(dtype=str)

    def differs_not(training: Responses) -> np.ndarray:
        x, y = training.matrix(), training.y
        everything = anova(x, y, training.recordings, None).pvalue
        different = np.tile(adjust(everything) <= alpha, (len(names), 1)).astype(float)
        without = anova_without_each(x, y, training.recordings)
        for row, pvalue in zip(np.searchsorted(names, without.recordings), without.pvalue, strict=True):
            different[row] = np.nan if np.isnan(pvalue[0]) else adjust(pvalue) <= alpha
        return 1 - different

    # Of the training folds in which a map does not differ, shape (recordings, maps).
    share = np.mean(in_order(differs_not, responses.training_folds()), axis=0)
    ends = np.cumsum([responses[tap].shape[1] for tap in responses.taps])[:-1]
    by_tap = {
        tap: part.mean(axis=1)
        for tap, part in zip(responses.taps, np.split(share, ends, axis=1), strict=True)
    }
    table = table.reset_index().assign(all=share.mean(axis=1), **by_tap)
    return table.sort_values("all", kind="stable", ignore_index=True)


def leave_out_in_turn(responses: Responses, alpha: float, count: int) -> list[pd.DataFrame]:
    """Return `no_difference_without_each` for all recordings, then without the first of that table, and so on.

    The first row of each table is the recording without which the fewest maps show no difference; the next table starts from
    what is left without it. There are `count` tables, or fewer where too few clips of a class would be left.
    """
    tables = [no_difference_without_each(responses, alpha)]
    while len(tables) < count and tables[-1]["all"].notna().any():
        responses = leave_out(responses, tables[-1]["recording"][:1])
        tables.append(no_difference_without_each(responses, alpha))
    return tables


def leave_out(responses: Responses, recordings: Sequence[str]) -> Responses:
    """Return the responses without the clips of some recordings."""
    return responses.take(~np.isin(responses.recordings, list(recordings)))


def without_table(responses: Responses, recordings: Sequence[str], alpha: float) -> pd.DataFrame:
    """Return what is found of redundancy with all recordings, without the first of some, the first two, and so on.

    Parameters
    ----------
    responses : Responses
    recordings : sequence of str
        In the order in which they are left out.
    alpha : float
        Level of all tests.

    Returns
    -------
    DataFrame
        Columns left_out (number); recording, the one left out in addition ("" in the first row); no_difference, the share of maps
        that ANOVA does not find significant; eta2, the median over maps; and for every form of the equivalence test the share of
        maps shown alike (raw p-values). Shares are means over training folds, the median is over the maps of all folds.
    """
    rows = []
    for count in range(len(recordings) + 1):
        folds = leave_out(responses, recordings[:count]).training_folds()
        tests = [anova(t.matrix(), t.y, t.recordings, None) for t in folds]
        alike = {
            form: np.mean([(equivalence_pvalues(t.matrix(), t.y, form=form) <= alpha).mean() for t in folds])
            for form in EQUIVALENCE_FORMS
        }
        rows.append(
            {
                "left_out": count,
                "recording": recordings[count - 1] if count else "",
                "no_difference": np.mean([(adjust(test.pvalue) > alpha).mean() for test in tests]),
                "eta2": np.median([test.effect for test in tests]),
            }
            | alike
        )
    return pd.DataFrame(rows)


def kept_overlap(responses: Responses, without: Mapping[str, Sequence[str]], keep: float) -> pd.DataFrame:
    """Return how far the maps that ANOVA keeps, with and without some recordings, are the same.

    Parameters
    ----------
    responses : Responses
    without : dict of str to sequence of str
        Name -> recordings that are left out.
    keep : float
        Fraction of maps kept per tap.

    Returns
    -------
    DataFrame
        A row per tap, a column per name: Jaccard index, mean over training folds.
    """
    overlaps = []
    for training in responses.training_folds():
        kept = select(training, "anova", keep=keep).masks
        others = [select(leave_out(training, names), "anova", keep=keep).masks for names in without.values()]
        overlaps.append([[mean_jaccard([kept[tap], o[tap]]) for o in others] for tap in responses.taps])
    return pd.DataFrame(np.mean(overlaps, axis=0), responses.taps, list(without))


def difference_without_each(first: np.ndarray, second: np.ndarray, recordings: np.ndarray) -> pd.DataFrame:
    """Return the difference of two accuracies on the same clips with each recording left out of the count.

    The predictions stay as they are: classifiers and selections saw the recording.

    Parameters
    ----------
    first, second : ndarray, shape (clips,), bool
        Which clips each classifier gets right.
    recordings : ndarray, shape (clips,)

    Returns
    -------
    DataFrame
        Columns recording, clips, change (second - first); the smallest change first.
    """
    names, recording, clips = np.unique(recordings, return_inverse=True, return_counts=True)
    difference = second.astype(float) - first
    sums = np.bincount(recording, weights=difference)
    change = (difference.sum() - sums) / (len(difference) - clips)
    table = pd.DataFrame({"recording": names, "clips": clips, "change": change})
    return table.sort_values("change", kind="stable", ignore_index=True)


def summary(everything: float, each: pd.DataFrame, without: pd.DataFrame) -> dict[str, float | None]:
    """Return what the first recordings that are left out do, in a few numbers; None where there are fewer.

    Parameters
    ----------
    everything : float
        Share of maps without difference, with all recordings.
    each : DataFrame
        As `no_difference_without_each` returns it.
    without : DataFrame
        As `without_table` returns it.

    Returns
    -------
    dict
        no_difference, without_one and without_three (the first one, all three left out), others_least and others_most (any other
        left out); eta2 likewise; pooled_without_one.
    """
    steps = without.set_index("left_out").reindex(range(4))
    numbers = {
        "no_difference": everything,
        "without_one": steps["no_difference"][1],
        "without_three": steps["no_difference"][3],
        "others_least": each["all"].iloc[1:].min(),
        "others_most": each["all"].iloc[1:].max(),
        "eta2": steps["eta2"][0],
        "eta2_without_one": steps["eta2"][1],
        "eta2_without_three": steps["eta2"][3],
        "pooled_without_one": steps["pooled"][1],
    }
    return records(pd.DataFrame([numbers]))[0]
