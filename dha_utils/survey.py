"""Surveys of all maps: what the class-wise tests say of them, training fold by training fold.

Shares are fractions of all maps over all taps, averaged over the training folds (all folds but one).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import equivalence_pvalues
from dha_utils.criteria.pairwise import separated_pairs
from dha_utils.criteria.released import METHODS as METHODS_RELEASED
from dha_utils.multiplicity import METHODS, adjust
from dha_utils.responses import Responses
from dha_utils.scores import FoldScores
from dha_utils.selection import Selection, apply_rule, mean_jaccard, select
from dha_utils.stability import nogueira
from dha_utils.sweeps import Cell, selector

TESTS = {
    "anova": "η²",
    "welch": "ω²",
    "alexander_govern": "η²",
    "kruskal": "ε²",
    "permutation_f": "η²",
}
"""The tests for differences between classes, and the effect size that each comes with."""


def training_folds(responses: Responses) -> list[Responses]:
    """Return, for every fold that is tested, the responses outside it."""
    return [responses.take(responses.folds != fold) for fold in responses.test_folds]


def _test(responses: Responses, test: str, seed: int = 0):
    """Return p-values, effect sizes and which maps are undefined, over the maps of all taps, each (maps,)."""
    rng = np.random.default_rng(seed)
    function = CRITERIA[test].function
    scores = function(responses.matrix(), responses.y, responses.recordings, rng)
    return scores.pvalue, scores.effect, np.isneginf(scores.score)


def significance_table(responses: Responses, alpha: float) -> pd.DataFrame:
    """Return the share of maps that each test calls different between classes, per adjustment.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level after adjustment.

    Returns
    -------
    DataFrame
        Columns test, bh, by, holm, undefined (shares), effect (median over the defined maps), effect_size (its name).
    """
    rows = []
    for test, effect_size in TESTS.items():
        folds = [_test(training, test) for training in training_folds(responses)]
        shares = {m: float(np.mean([(adjust(p, m) <= alpha).mean() for p, _, _ in folds])) for m in METHODS}
        undefined = float(np.mean([u.mean() for _, _, u in folds]))
        effect = float(np.median(np.concatenate([e[~u] for _, e, u in folds])))
        rows.append(
            {"test": test} | shares | {"undefined": undefined, "effect": effect, "effect_size": effect_size}
        )
    return pd.DataFrame(rows)


def shuffle_by_clip(responses: Responses, seed: int) -> Responses:
    """Return the same responses with labels permuted over clips, as if each were a recording of its own."""
    shuffled = responses.shuffle_labels(seed)
    return Responses(
        shuffled.arrays, shuffled.table.assign(recording=shuffled.table["clip"]), shuffled.provenance
    )


def shuffle_by_recording(responses: Responses, seed: int) -> Responses:
    """Return the same responses with labels permuted over recordings: clips of a recording move together."""
    table = responses.table
    labels = table.groupby("recording")["label"].first()
    shuffled = dict(zip(labels.index, np.random.default_rng(seed).permutation(labels), strict=True))
    return Responses(
        responses.arrays, table.assign(label=table["recording"].map(shuffled)), responses.provenance
    )


def calibration_table(responses: Responses, seeds: int) -> pd.DataFrame:
    """Return the share of p-values below 0.05 with shuffled labels, where no map differs between classes.

    Parameters
    ----------
    responses : Responses
        The clips of all folds.
    seeds : int
        Number of shuffles, whose shares are averaged.

    Returns
    -------
    DataFrame
        Columns test, shuffled ("by clip" or "by recording"), false_alarms; undefined maps are left out.
    """
    ways = {"by clip": shuffle_by_clip, "by recording": shuffle_by_recording}
    rows = []
    for test in TESTS:
        for way, shuffle in ways.items():
            runs = [_test(shuffle(responses, seed), test, seed) for seed in range(seeds)]
            share = float(np.mean([(p[~undefined] <= 0.05).mean() for p, _, undefined in runs]))
            rows.append({"test": test, "shuffled": way, "false_alarms": share})
    return pd.DataFrame(rows)


def equivalence_table(responses: Responses, alpha: float) -> pd.DataFrame:
    """Return the share of maps shown to respond alike to all classes, per tap.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level, of the raw p-values and of the Benjamini-Hochberg adjusted ones (all taps together).

    Returns
    -------
    DataFrame
        Columns tap, maps, raw, adjusted (shares).
    """
    sizes = [responses[tap].shape[1] for tap in responses.taps]
    ends = np.cumsum(sizes)[:-1]
    raw, adjusted = [], []
    for training in training_folds(responses):
        pvalues = equivalence_pvalues(training.matrix(), training.y)
        raw.append([part.mean() for part in np.split(pvalues <= alpha, ends)])
        adjusted.append([part.mean() for part in np.split(adjust(pvalues, "bh") <= alpha, ends)])
    columns = {"tap": responses.taps, "maps": sizes, "raw": np.mean(raw, 0), "adjusted": np.mean(adjusted, 0)}
    return pd.DataFrame(columns)


def pair_counts(responses: Responses) -> pd.DataFrame:
    """Return how many pairs of classes each map tells apart (Games-Howell, first training fold).

    Returns
    -------
    DataFrame
        Columns tap, pairs; one row per map.
    """
    training = training_folds(responses)[0]
    counts = {tap: separated_pairs(training[tap], training.y).sum(axis=0) for tap in training.taps}
    return pd.concat(pd.DataFrame({"tap": tap, "pairs": count}) for tap, count in counts.items())


def own_rule_table(scores: FoldScores, responses: Responses) -> pd.DataFrame:
    """Return the share of maps that the released methods keep by their own rule, as released and corrected.

    Returns
    -------
    DataFrame
        Columns method, released, corrected (shares of all maps, mean over folds), jaccard (of the two, mean over taps and folds).
    """
    rows = []
    for method in METHODS_RELEASED:
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


def criterion_masks(
    responses: Responses, scores: FoldScores, names: Sequence[str], keep: float
) -> dict[str, np.ndarray]:
    """Return the keep mask over the maps of all taps of each criterion, first training fold, shape (maps,), bool."""
    training = training_folds(responses)[0]
    masks = {}
    for name in names:
        selection = selector(Cell(name, keep), responses, scores)(training)
        masks[name] = np.concatenate(list(selection.masks.values()))
    return masks


def stability_table(responses: Responses, keep: float) -> pd.DataFrame:
    """Return how stable the maps kept by the criteria on responses are over the training folds.

    Returns
    -------
    DataFrame
        Columns criterion, estimate, low, high (Nogueira's index, maps of all taps) and jaccard (mean over pairs of folds).
    """
    rows = []
    for name, criterion in CRITERIA.items():
        if criterion.needs == "responses":
            folds = enumerate(training_folds(responses))  # each fold draws anew, where a criterion draws
            selections = [select(training, name, keep=keep, seed=seed) for seed, training in folds]
            masks = np.stack([np.concatenate(list(selection.masks.values())) for selection in selections])
            rows.append({"criterion": name} | nogueira(masks)._asdict() | {"jaccard": mean_jaccard(masks)})
    return pd.DataFrame(rows)


def first_and_last(selection: Selection, tap: str, most: int) -> dict[str, np.ndarray]:
    """Return the channels of a tap that a selection ranks first and last, at most as many as it keeps, and at most `most`.

    Returns
    -------
    dict of str to ndarray of int
        "kept": from the best downwards; "ignored": the last ones, the very last at the end.
    """
    order = np.argsort(-selection.scores[tap].score, kind="stable")
    n = min(most, int(selection.masks[tap].sum()))
    return {"kept": order[:n], "ignored": order[-n:]}


def peak_class_mean(responses: Responses, tap: str, channels: np.ndarray) -> float:
    """Return how far the class that a map answers to most is from its mean, in its standard deviations; median over maps."""
    x = responses[tap][:, channels].astype(float)
    x = x[:, x.std(axis=0) > 0]
    means = np.stack([x[responses.y == label].mean(axis=0) for label in range(len(responses.classes))])
    peaks = np.abs(means - x.mean(axis=0)).max(axis=0) / x.std(axis=0)
    return float(np.median(peaks)) if len(peaks) else 0.0
