"""What the class-wise tests say of the differences between classes, over all maps.

Shares are fractions of all maps over all taps, averaged over the training folds (all folds but one).
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from sklearn.preprocessing import normalize

from dha_utils.core.work import in_order
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.classwise import anova, kruskal, kruskal_of_ranks
from dha_utils.criteria.multiplicity import METHODS, adjust
from dha_utils.criteria.pairwise import separated_pairs
from dha_utils.criteria.permutation import permutation_test
from dha_utils.findings.shuffles import SHUFFLES, over_shuffles, ranked
from dha_utils.responses.table import Responses

TESTS = {
    "anova": "η²",
    "welch": "ω²",
    "alexander_govern": "η²",
    "kruskal": "ε²",
    "permutation_f": "η²",
}
"""The tests for differences between classes, and the effect size that each comes with."""


def unit_length(responses: Responses) -> Responses:
    """Return the responses that the classifiers see: those of a clip at a tap divided by their Euclidean norm."""
    arrays = {tap: normalize(responses[tap]) for tap in responses.taps}
    return Responses(arrays, responses.table, responses.provenance)


def _test(responses: Responses, function: Callable, seed: int = 0):
    """Return p-values, effect sizes and which maps are undefined, over the maps of all taps, each (maps,)."""
    rng = np.random.default_rng(seed)
    scores = function(responses.matrix(), responses.y, responses.recordings, rng)
    return scores.pvalue, scores.effect, np.isneginf(scores.score)


def _significance(training: Responses, test: str, alpha: float, permutations: int):
    """Return shares as in `significance_table` for some clips, and the effect sizes of the defined maps."""
    # The permutation test has the F of ANOVA; its p-values come from more permutations than the criterion draws.
    function = CRITERIA["anova" if test == "permutation_f" else test].function
    pvalues, effect, undefined = _test(training, function)
    familywise = np.full(len(pvalues), np.nan)
    if test == "permutation_f":
        x, rng = training.matrix(), np.random.default_rng(0)
        pvalues, familywise = permutation_test(x, training.y, training.recordings, rng, permutations)
    shares = {method: (adjust(pvalues, method) <= alpha).mean() for method in METHODS}
    shares["westfall_young"] = (familywise <= alpha).mean()
    shares["holm" if test == "permutation_f" else "westfall_young"] = np.nan
    shares |= {"undefined": undefined.mean(), "of_defined": shares["bh"] / (~undefined).mean()}
    return shares, effect[~undefined]


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
    rows, training = [], responses.training_folds()
    for test, effect_size in TESTS.items():
        found = partial(_significance, test=test, alpha=alpha, permutations=permutations)
        folds = in_order(found, training)
        means = pd.DataFrame([shares for shares, _ in folds]).mean()
        effect = float(np.median(np.concatenate([effect for _, effect in folds])))
        rows.append({"test": test, **means, "effect": effect, "effect_size": effect_size})
    return pd.DataFrame(rows)


def no_difference_table(responses: Responses, alpha: float) -> pd.DataFrame:
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
    for fold, training in zip(responses.test_folds, responses.training_folds(), strict=True):
        variants = {
            "anova": _test(training, anova),
            "ranks": _test(training, kruskal),
            "unit_length": _test(unit_length(training), anova),
        }
        shares = {name: float((adjust(p) > alpha).mean()) for name, (p, _, _) in variants.items()}
        rows.append({"fold": fold} | shares)
    return pd.DataFrame(rows)


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
        shuffles, standard_error (of the mean); undefined maps are left out.
    """
    rows, ranks = [], ranked(responses)  # ranks do not hang on labels
    for test in TESTS:
        of, function = (
            (ranks, kruskal_of_ranks) if test == "kruskal" else (responses, CRITERIA[test].function)
        )
        for way, shuffle in SHUFFLES.items():
            runs = in_order(partial(_test_shuffled, of, function, shuffle), range(seeds))
            shares = [(p[~undefined] <= 0.05).mean() for p, _, undefined in runs]
            rows.append({"test": test, "shuffled": way} | over_shuffles("false_alarms", shares))
    table = pd.DataFrame(rows)
    return table.assign(standard_error=table["sd"] / np.sqrt(seeds))


def _test_shuffled(responses: Responses, function: Callable, shuffle: Callable, seed: int):
    return _test(shuffle(responses, seed), function, seed)


def pair_counts(responses: Responses) -> pd.DataFrame:
    """Return how many pairs of classes each map tells apart (Games-Howell, first training fold).

    Returns
    -------
    DataFrame
        Columns tap, pairs; one row per map.
    """
    training = responses.training_folds()[0]
    counts = {tap: separated_pairs(training[tap], training.y).sum(axis=0) for tap in training.taps}
    return pd.concat(pd.DataFrame({"tap": tap, "pairs": count}) for tap, count in counts.items())
