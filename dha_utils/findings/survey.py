"""Surveys of all maps: what the class-wise tests say of them, training fold by training fold.

Shares are fractions of all maps over all taps, averaged over the training folds (all folds but one).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from dha_utils.core.errors import DataError
from dha_utils.core.work import in_order
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import (
    EQUIVALENCE_FORMS,
    EQUIVALENCE_MARGIN,
    difference_pvalues,
    equivalence_pvalues,
)
from dha_utils.criteria.groups import is_constant
from dha_utils.criteria.multiplicity import METHODS, adjust
from dha_utils.criteria.pairwise import separated_pairs
from dha_utils.criteria.permutation import permutation_test
from dha_utils.criteria.released import METHODS as METHODS_RELEASED
from dha_utils.criteria.selection import Selection, apply_rule, mean_jaccard, select
from dha_utils.evaluation.stability import nogueira
from dha_utils.responses.table import Responses
from dha_utils.studies.scores import FoldScores
from dha_utils.studies.sweeps import Cell, selector

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


def unit_length(responses: Responses) -> Responses:
    """Return the responses that the classifiers see: those of a clip at a tap divided by their Euclidean norm."""
    arrays = {tap: normalize(responses[tap]) for tap in responses.taps}
    return Responses(arrays, responses.table, responses.provenance)


def _test(responses: Responses, test: str, seed: int = 0):
    """Return p-values, effect sizes and which maps are undefined, over the maps of all taps, each (maps,)."""
    rng = np.random.default_rng(seed)
    function = CRITERIA[test].function
    scores = function(responses.matrix(), responses.y, responses.recordings, rng)
    return scores.pvalue, scores.effect, np.isneginf(scores.score)


def significance_table(responses: Responses, alpha: float, permutations: int = 999) -> pd.DataFrame:
    """Return the share of maps that each test calls different between classes, per adjustment.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level after adjustment.
    permutations : int
        Of the permutation test.

    Returns
    -------
    DataFrame
        Columns test, bh, by, holm, westfall_young (shares of all maps), undefined (share of all maps), of_defined (share of
        the defined maps, by bh), effect (median over the defined maps), effect_size (its name). Holm cannot be
        used with so few permutations and Westfall and Young's adjustment needs them: NaN where there is none.
    """
    rows = []
    for test, effect_size in TESTS.items():
        folds = []
        for training in training_folds(responses):
            # The permutation test has the F of ANOVA; its p-values come from more permutations than the criterion draws.
            pvalues, effect, undefined = _test(training, "anova" if test == "permutation_f" else test)
            familywise = np.full(len(pvalues), np.nan)
            if test == "permutation_f":
                rng = np.random.default_rng(0)
                x, y = training.matrix(), training.y
                pvalues, familywise = permutation_test(x, y, training.recordings, rng, permutations)
            shares = {method: (adjust(pvalues, method) <= alpha).mean() for method in METHODS}
            shares["westfall_young"] = (familywise <= alpha).mean()
            shares["holm" if test == "permutation_f" else "westfall_young"] = np.nan
            shares |= {"undefined": undefined.mean(), "of_defined": shares["bh"] / (~undefined).mean()}
            folds.append((shares, effect[~undefined]))
        means = pd.DataFrame([shares for shares, _ in folds]).mean()
        effect = float(np.median(np.concatenate([effect for _, effect in folds])))
        rows.append({"test": test, **means, "effect": effect, "effect_size": effect_size})
    return pd.DataFrame(rows)


def no_difference_by_fold(responses: Responses, alpha: float) -> pd.DataFrame:
    """Return the share of maps without significant difference between classes, one row per training fold.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level after Benjamini and Hochberg's adjustment over the maps of all taps.

    Returns
    -------
    DataFrame
        Columns fold (the one left out), anova, ranks (Kruskal-Wallis), unit_length (`unit_length`, then ANOVA).
    """
    rows = []
    for fold, training in zip(responses.test_folds, training_folds(responses), strict=True):
        variants = {
            "anova": _test(training, "anova"),
            "ranks": _test(training, "kruskal"),
            "unit_length": _test(unit_length(training), "anova"),
        }
        shares = {name: float((adjust(p) > alpha).mean()) for name, (p, _, _) in variants.items()}
        rows.append({"fold": fold} | shares)
    return pd.DataFrame(rows)


def zero_table(responses: Responses) -> pd.DataFrame:
    """Return what the responses of every tap are like.

    Returns
    -------
    DataFrame
        Columns tap, maps, mean (of all responses), zero (share of the responses that are 0), silent maps (those that are 0 for
        every clip).
    """
    return pd.DataFrame(
        {"tap": tap, "maps": x.shape[1], "mean": x.mean(dtype=float)}
        | {"zero": (x == 0).mean(), "silent maps": (x == 0).all(axis=0).sum()}
        for tap, x in responses.arrays.items()
    )


def effect_table(selections: Sequence[Selection]) -> pd.DataFrame:
    """Return the effect size of every map in every selection: columns tap, eta2."""
    return pd.concat(
        pd.DataFrame({"tap": tap, "eta2": scores.effect})
        for selection in selections
        for tap, scores in selection.scores.items()
    )


def kept_table(selections: Sequence[Selection], alpha: float) -> pd.DataFrame:
    """Return which maps selections made on several training folds keep, one row per tap.

    Parameters
    ----------
    selections : sequence of Selection
        Made by a test, one for each training fold.
    alpha : float
        Level after adjustment.

    Returns
    -------
    DataFrame
        Columns tap, maps, eta2 (median effect over maps and folds), significant (share of the maps, mean over folds), kept (maps,
        first fold), jaccard (of the kept maps, mean over pairs of folds).
    """
    return pd.DataFrame(
        {"tap": tap, "maps": mask.size}
        | {"eta2": np.median([s.scores[tap].effect for s in selections])}
        | {"significant": np.mean([(s.adjusted[tap] <= alpha).mean() for s in selections])}
        | {"kept": mask.sum(), "jaccard": mean_jaccard([s.masks[tap] for s in selections])}
        for tap, mask in selections[0].masks.items()
    )


def unit_length_overlap(responses: Responses, keep: float) -> dict[str, float]:
    """Return how far the maps that ANOVA keeps of responses, and of these at unit length, are the same.

    Parameters
    ----------
    responses : Responses
    keep : float
        Fraction of the maps kept per tap.

    Returns
    -------
    dict of str to float
        Tap -> Jaccard index, mean over training folds.
    """
    overlaps = []
    for training in training_folds(responses):
        pair = [select(seen, "anova", keep=keep).masks for seen in (training, unit_length(training))]
        overlaps.append([mean_jaccard([masks[tap] for masks in pair]) for tap in responses.taps])
    return dict(zip(responses.taps, np.mean(overlaps, axis=0).tolist(), strict=True))


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


SHUFFLES = {"by clip": shuffle_by_clip, "by recording": shuffle_by_recording}
"""Ways to shuffle labels so that no map differs between classes."""


def calibration_table(responses: Responses, seeds: int) -> pd.DataFrame:
    """Return the share of p-values below 0.05 with shuffled labels, where no map differs between classes.

    Parameters
    ----------
    responses : Responses
        The clips of all folds.
    seeds : int
        Number of shuffles.

    Returns
    -------
    DataFrame
        Columns test, shuffled (a name in `SHUFFLES`), false_alarms (mean over shuffles), sd (between shuffles; NaN for one),
        shuffles; undefined maps are left out.
    """
    rows = []
    for test in TESTS:
        for way, shuffle in SHUFFLES.items():
            runs = in_order(partial(_test_shuffled, responses, test, shuffle), range(seeds))
            shares = [(p[~undefined] <= 0.05).mean() for p, _, undefined in runs]
            rows.append({"test": test, "shuffled": way} | _over_shuffles("false_alarms", shares))
    return pd.DataFrame(rows)


def _test_shuffled(responses: Responses, test: str, shuffle: Callable, seed: int):
    return _test(shuffle(responses, seed), test, seed)


def _over_shuffles(name: str, shares: Sequence[float]) -> dict[str, float]:
    """Return the mean of a share over shuffles, its standard deviation between them, and their number."""
    sd = float(np.std(shares, ddof=1)) if len(shares) > 1 else float("nan")
    return {name: float(np.mean(shares)), "sd": sd, "shuffles": len(shares)}


def equivalence_table(responses: Responses, alpha: float) -> pd.DataFrame:
    """Return the share of maps shown to respond alike to all classes, per tap (Welch form, margin `EQUIVALENCE_MARGIN`).

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level, of the raw p-values and of the Benjamini-Hochberg adjusted ones (all taps together).

    Returns
    -------
    DataFrame
        Columns tap, maps, constant, raw, adjusted (shares); constant maps count as alike.
    """
    sizes = [responses[tap].shape[1] for tap in responses.taps]
    ends = np.cumsum(sizes)[:-1]
    folds = []
    for training in training_folds(responses):
        x = training.matrix()
        pvalues = equivalence_pvalues(x, training.y)
        kinds = (is_constant(x), pvalues <= alpha, adjust(pvalues) <= alpha)
        folds.append([[part.mean() for part in np.split(kind, ends)] for kind in kinds])
    constant, raw, adjusted = np.mean(folds, axis=0)
    return pd.DataFrame(
        {"tap": responses.taps, "maps": sizes, "constant": constant, "raw": raw, "adjusted": adjusted}
    )


MARGINS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0)
"""Margins f of the curve: from Cohen's "small" to classes that explain 80 % of the variance."""


def equivalence_curve(responses: Responses, alpha: float) -> pd.DataFrame:
    """Return the share of maps shown to respond alike, over `MARGINS`.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level, as in `equivalence_table`.

    Returns
    -------
    DataFrame
        Columns form (a name in `EQUIVALENCE_FORMS`), margin, raw, adjusted (shares, mean over training folds).
    """
    margins = np.array(MARGINS)
    tables = []
    for form in EQUIVALENCE_FORMS:
        folds = [equivalence_pvalues(t.matrix(), t.y, margins, form) for t in training_folds(responses)]
        raw = np.mean([(p <= alpha).mean(axis=1) for p in folds], axis=0)
        adjusted = np.mean([[(adjust(row) <= alpha).mean() for row in p] for p in folds], axis=0)
        tables.append(pd.DataFrame({"form": form, "margin": margins, "raw": raw, "adjusted": adjusted}))
    return pd.concat(tables, ignore_index=True)


NAMED_MARGINS = {"medium": EQUIVALENCE_MARGIN, "half": 0.5, "one": 1.0, "two": 2.0}
"""The margins of `MARGINS` that have a name in results files."""


def different_shares(responses: Responses, alpha: float) -> dict[str, float]:
    """Return the share of maps shown to differ between classes by more than `EQUIVALENCE_MARGIN`, in every form.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level after Benjamini and Hochberg's adjustment over the maps of all taps.

    Returns
    -------
    dict of str to float
        Form -> share, mean over training folds.
    """
    folds = training_folds(responses)
    return {
        form: float(
            np.mean([(adjust(difference_pvalues(t.matrix(), t.y, form=form)) <= alpha).mean() for t in folds])
        )
        for form in EQUIVALENCE_FORMS
    }


def equivalence_by_form(curve: pd.DataFrame, different: Mapping[str, float], share: float) -> pd.DataFrame:
    """Return what each form of the test says of all maps, one row each.

    Parameters
    ----------
    curve : DataFrame
        As `equivalence_curve` returns it.
    different : dict of str to float
        As `different_shares` returns it.
    share : float

    Returns
    -------
    DataFrame
        Columns form; medium_raw, half_raw, one_raw, two_raw and the same with adjusted: shares of maps shown alike at
        `NAMED_MARGINS`; medium_refuted, those shown to be different; margin_reaching, the smallest margin at which `share` of the
        maps are alike by raw p-values, NaN where there is none.
    """
    rows = []
    for form, part in curve.set_index("margin").groupby("form", sort=False):
        alike = {
            f"{name}_{p}": part.loc[f, p] for p in ("raw", "adjusted") for name, f in NAMED_MARGINS.items()
        }
        reached = part.index[part["raw"] >= share].min()
        rows.append({"form": form} | alike | {"medium_refuted": different[form], "margin_reaching": reached})
    return pd.DataFrame(rows)


def equivalence_power(responses: Responses, alpha: float, seeds: int) -> pd.DataFrame:
    """Return the share of maps shown to respond alike with shuffled labels, where all respond alike.

    Parameters
    ----------
    responses : Responses
    alpha : float
        Level of the raw p-values; the margin is `EQUIVALENCE_MARGIN`.
    seeds : int
        Number of shuffles; they go through the training folds in turn, to have as many clips as the test itself has.

    Returns
    -------
    DataFrame
        Columns shuffled (a name in `SHUFFLES`), form (a name in `EQUIVALENCE_FORMS`), alike (mean over shuffles), sd,
        shuffles.
    """
    training = training_folds(responses)
    rows = []
    for way, shuffle in SHUFFLES.items():
        shuffled = [shuffle(training[seed % len(training)], seed) for seed in range(seeds)]
        for form in EQUIVALENCE_FORMS:
            pvalues = in_order(lambda s, form=form: equivalence_pvalues(s.matrix(), s.y, form=form), shuffled)
            shares = [(p <= alpha).mean() for p in pvalues]
            rows.append({"shuffled": way, "form": form} | _over_shuffles("alike", shares))
    return pd.DataFrame(rows)


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


def disjoint_halves(responses: Responses, seed: int = 0) -> list[Responses]:
    """Return two halves of the clips that share no recording, each with about half of the recordings of every class."""
    table = responses.table
    recordings = table.groupby("recording")["label"].first().sample(frac=1, random_state=seed)
    half = (recordings.groupby(recordings).cumcount() % 2).reindex(table["recording"]).to_numpy()
    return [responses.take(half == number) for number in range(2)]


def stability_table(responses: Responses, keep: float) -> pd.DataFrame:
    """Return how stable the maps kept by the criteria on responses are, over the training folds and over halves of the clips.

    Returns
    -------
    DataFrame
        Columns criterion, estimate, low, high (Nogueira's index over the training folds, maps of all taps), jaccard (mean over
        pairs of folds), and disjoint (Nogueira's index of `disjoint_halves`; NaN where a half has too little of a class).
    """
    parts, halves = training_folds(responses), disjoint_halves(responses)
    rows = []
    for name, criterion in CRITERIA.items():
        if criterion.needs == "responses":
            masks = _masks(parts, name, keep)
            disjoint = float("nan")
            if halves[0].classes == halves[1].classes:
                with suppress(DataError):  # too few clips of a class
                    disjoint = nogueira(_masks(halves, name, keep)).estimate
            row = {"criterion": name} | nogueira(masks)._asdict() | {"jaccard": mean_jaccard(masks)}
            rows.append(row | {"disjoint": disjoint})
    return pd.DataFrame(rows)


def _masks(parts: Sequence[Responses], criterion: str, keep: float) -> np.ndarray:
    """Return the keep masks that a criterion makes on each part, shape (parts, maps); each part draws anew."""
    selections = in_order(lambda part: select(part[1], criterion, keep=keep, seed=part[0]), enumerate(parts))
    return np.stack([np.concatenate(list(selection.masks.values())) for selection in selections])


def first_and_last(selection: Selection, tap: str, most: int | None = None) -> dict[str, np.ndarray]:
    """Return the channels of a tap that a selection ranks first and last: as many as it keeps, or `most` if those are fewer.

    Returns
    -------
    dict of str to ndarray of int
        "kept": from the best downwards; "ignored": the last ones, the very last at the end.
    """
    order = np.argsort(-selection.scores[tap].score, kind="stable")
    n = min(int(selection.masks[tap].sum()), most or len(order))
    return {"kept": order[:n], "ignored": order[-n:]}


def peak_class_mean(responses: Responses, tap: str, channels: np.ndarray) -> float:
    """Return how far the class that a map answers to most is from its mean, in its standard deviations; median over maps."""
    x = responses[tap][:, channels].astype(float)
    x = x[:, x.std(axis=0) > 0]
    means = np.stack([x[responses.y == label].mean(axis=0) for label in range(len(responses.classes))])
    peaks = np.abs(means - x.mean(axis=0)).max(axis=0) / x.std(axis=0)
    return float(np.median(peaks)) if len(peaks) else 0.0
