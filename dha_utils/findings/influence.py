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
from dha_utils.criteria.classwise import EQUIVALENCE_FORMS, anova, spread
from dha_utils.criteria.groups import MIN_CLIPS
from dha_utils.criteria.multiplicity import adjust
from dha_utils.criteria.selection import mean_jaccard, select
from dha_utils.responses.table import Responses
from dha_utils.studies.results import records

BLOCK = 256
"""Maps that are looked at together: few enough for the processor's cache, which makes it twice as fast."""


class WithoutEach(NamedTuple):
    """The F test with each of R recordings left out: their names (R,), F (R, C) and its degrees of freedom, those within (R,).

    Undefined maps have F ``-inf``; it is NaN where too few clips of a class would be left.
    """

    recordings: np.ndarray
    f: np.ndarray
    between: int
    within: np.ndarray

    def pvalues(self) -> np.ndarray:
        """Return the p-values (R, C): 1 for undefined maps, NaN where F is."""
        return special.fdtrc(self.between, self.within[:, None], np.maximum(self.f, 0))

    def different(self, alpha: float) -> np.ndarray:
        """Return which maps are significant (R, C) after Benjamini and Hochberg's adjustment over all maps; none where F is NaN.

        With so many recordings most time would go into p-values. The adjustment needs none: of one recording all maps have the
        same degrees of freedom, so that the k-th largest F has the k-th smallest p-value, and is compared with the F that has
        the p-value it is allowed.
        """
        n_maps = self.f.shape[1]
        allowed = alpha * np.arange(n_maps, 0, -1) / n_maps
        degrees, which = np.unique(self.within, return_inverse=True)
        critical = special.fdtri(self.between, degrees[:, None], 1 - allowed)
        ordered = np.sort(self.f, axis=1)
        reached = ordered >= critical[which]
        first = reached.argmax(axis=1)
        least = np.where(reached.any(axis=1), ordered[np.arange(len(ordered)), first], np.inf)
        return (self.f >= least[:, None]) & reached.any(axis=1, keepdims=True)


def anova_without_each(x: np.ndarray, y: np.ndarray, recordings: np.ndarray) -> WithoutEach:
    r"""Return the one-way analysis of variance with each recording left out in turn.

    The test is not made afresh for every recording: what a recording adds to the sums is taken away. With :math:`S_k` the sum
    of the responses in class *k*, :math:`Q` the sum of all squares, and :math:`s_k, q` the recording's part of them, what is left
    between classes and the origin is :math:`B = \sum_k (S_k - s_k)^2 / (n_k - m_k)`, and within classes :math:`Q - q - B`. Only
    the terms of the recording's own classes, one most often, change.

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
    names, recording = np.unique(recordings, return_inverse=True)
    classes, y = np.unique(y, return_inverse=True)
    order = np.lexsort((y, recording))
    x, y, recording = np.asarray(x, dtype=np.float64)[order], y[order], recording[order]
    # A part is what a recording has of a class.
    parts = np.flatnonzero(np.diff(recording * len(classes) + y, prepend=-1))
    firsts = np.flatnonzero(np.diff(recording[parts], prepend=-1))
    label, size = y[parts], np.diff(parts, append=len(y))
    n_class = np.bincount(y)
    left = n_class[label] - size

    centred = x - x.mean(axis=0)  # sums of squares then lose nothing to a common offset
    sums = np.add.reduceat(centred, parts, axis=0)
    of_class = np.stack([sums[label == k].sum(axis=0) for k in range(len(classes))])
    terms = of_class**2 / n_class[:, None]
    change = (of_class[label] - sums) ** 2 / np.maximum(left, 1)[:, None] - terms[label]
    between = terms.sum(axis=0) + np.add.reduceat(change, firsts, axis=0)
    squares = centred**2
    squares = squares.sum(axis=0) - np.add.reduceat(squares, parts[firsts], axis=0)
    n = len(y) - np.add.reduceat(size, firsts)
    within = np.maximum(squares - between, 0)
    between = np.maximum(between - np.add.reduceat(sums, firsts, axis=0) ** 2 / n[:, None], 0)
    df_between, df_within = len(classes) - 1, n - len(classes)
    with np.errstate(divide="ignore", invalid="ignore"):  # no variance within classes makes F infinite
        f = between / df_between / (within / df_within[:, None])
    f[np.isnan(f) | _constant_without_each(x, parts[firsts])] = -np.inf
    enough = np.minimum.reduceat(left, firsts) >= MIN_CLIPS
    f[~(enough & (n_class.min() >= MIN_CLIPS))] = np.nan
    return WithoutEach(names, f, df_between, df_within)


def _constant_without_each(x: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return which maps of `x` (n, C) hold one value only once a recording is left out, shape (R, C).

    A recording's clips are rows that follow one another; `starts` (R,) are the first ones. Of two recordings one stays, so the
    value that is left is that of the first clip or of the last.
    """
    constant = np.zeros((len(starts), x.shape[1]), bool)
    for value in (x[0], x[-1]):
        other = np.logical_or.reduceat(x != value, starts, axis=0)  # has the recording another value?
        constant |= other.sum(axis=0) - other == 0
    return constant


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

    sizes = np.array([responses[tap].shape[1] for tap in responses.taps])
    starts = np.cumsum(sizes) - sizes

    def counts(training: Responses) -> np.ndarray:
        """Return how many maps of every tap differ without each recording, shape (recordings, taps)."""
        x, y = training.matrix(), training.y
        everything = adjust(anova(x, y, training.recordings, None).pvalue) <= alpha
        different = np.tile(np.add.reduceat(everything.astype(float), starts), (len(names), 1))
        blocks = [
            anova_without_each(x[:, start : start + BLOCK], y, training.recordings)
            for start in range(0, x.shape[1], BLOCK)
        ]
        without = blocks[0]._replace(f=np.concatenate([block.f for block in blocks], axis=1))
        found = np.add.reduceat(without.different(alpha).astype(float), starts, axis=1)
        found[np.isnan(without.f[:, 0])] = np.nan
        different[np.searchsorted(names, without.recordings)] = found
        return different

    found = in_order(counts, responses.training_folds())
    # Whole numbers until the last step: recordings that do equally much are to stay in order.
    same = len(found) * sizes - np.sum(found, axis=0)
    by_tap = dict(zip(responses.taps, (same / (len(found) * sizes)).T, strict=True))
    table = table.reset_index().assign(all=same.sum(axis=1) / (len(found) * sizes.sum()), **by_tap)
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
    steps = range(len(recordings) + 1)
    folds = [
        (count, fold) for count in steps for fold in leave_out(responses, recordings[:count]).training_folds()
    ]

    def look(item: tuple[int, Responses]) -> tuple[dict, np.ndarray]:
        count, training = item
        x, y = training.matrix(), training.y
        test = anova(x, y, training.recordings, None)
        shares = {form: (spread(x, y, form).alike() <= alpha).mean() for form in EQUIVALENCE_FORMS}
        share = (adjust(test.pvalue) > alpha).mean()
        return {"left_out": count, "no_difference": share} | shares, test.effect

    shares, effects = zip(*in_order(look, folds), strict=True)
    table = pd.DataFrame(shares)
    counts = table["left_out"].to_numpy()
    eta2 = [np.median([effects[row] for row in np.flatnonzero(counts == count)]) for count in steps]
    table = table.groupby("left_out", as_index=False).mean()
    table.insert(1, "recording", ["", *recordings])
    table.insert(3, "eta2", eta2)
    return table


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


def summary(each: pd.DataFrame, without: pd.DataFrame) -> dict[str, float | None]:
    """Return what the first recordings that are left out do, in a few numbers; None where there are fewer.

    Parameters
    ----------
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
        "no_difference": steps["no_difference"][0],
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
