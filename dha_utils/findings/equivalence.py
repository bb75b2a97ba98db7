"""Which maps are shown to respond alike to all classes: the test of equivalence, over all maps.

Shares are fractions of all maps over all taps, averaged over the training folds (all folds but one).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.core.work import in_order
from dha_utils.criteria.classwise import EQUIVALENCE_FORMS, EQUIVALENCE_MARGIN, Spread, spread
from dha_utils.criteria.multiplicity import adjust
from dha_utils.findings.shuffles import SHUFFLES, over_shuffles, ranked
from dha_utils.responses.table import Responses

Spreads = Mapping[str, Sequence[Spread]]
"""Form of the test (`EQUIVALENCE_FORMS`) -> how far the class means lie apart, training fold by training fold, over all maps."""


def spreads(responses: Responses) -> Spreads:
    """Return what all tables here but the last start from: it does not hang on margin or level."""
    folds = in_order(_fold_spreads, responses.training_folds())
    return {form: [fold[form] for fold in folds] for form in EQUIVALENCE_FORMS}


def _fold_spreads(training: Responses) -> dict[str, Spread]:
    return {form: spread(training.matrix(), training.y, form) for form in EQUIVALENCE_FORMS}


def equivalence_table(responses: Responses, spreads: Spreads, alpha: float) -> pd.DataFrame:
    """Return the share of maps shown to respond alike to all classes, per tap (Welch form, margin `EQUIVALENCE_MARGIN`).

    Parameters
    ----------
    responses : Responses
    spreads : dict
        Those of the responses, see `spreads`.
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
    for fold in spreads["welch"]:
        pvalues = fold.alike()
        kinds = (fold.constant, pvalues <= alpha, adjust(pvalues) <= alpha)
        folds.append([[part.mean() for part in np.split(kind, ends)] for kind in kinds])
    constant, raw, adjusted = np.mean(folds, axis=0)
    return pd.DataFrame(
        {"tap": responses.taps, "maps": sizes, "constant": constant, "raw": raw, "adjusted": adjusted}
    )


def share_alike(table: pd.DataFrame) -> dict[str, float]:
    """Return the shares of an `equivalence_table` over all maps: alike_raw and alike_adjusted."""
    return {f"alike_{p}": np.average(table[p], weights=table["maps"]) for p in ("raw", "adjusted")}


MARGINS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0)
"""Margins f of the curve: from Cohen's "small" to classes that explain 80 % of the variance."""


def equivalence_curve(spreads: Spreads, alpha: float) -> pd.DataFrame:
    """Return the share of maps shown to respond alike, over `MARGINS`.

    Parameters
    ----------
    spreads : dict
        As `spreads` returns them.
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
        folds = [fold.alike(margins) for fold in spreads[form]]
        raw = np.mean([(p <= alpha).mean(axis=1) for p in folds], axis=0)
        adjusted = np.mean([[(adjust(row) <= alpha).mean() for row in p] for p in folds], axis=0)
        tables.append(pd.DataFrame({"form": form, "margin": margins, "raw": raw, "adjusted": adjusted}))
    return pd.concat(tables, ignore_index=True)


NAMED = {"medium": EQUIVALENCE_MARGIN, "half": 0.5, "one": 1.0, "two": 2.0}
"""The margins of `MARGINS` that have a name in results files."""


def different_shares(spreads: Spreads, alpha: float) -> dict[str, float]:
    """Return the share of maps shown to differ between classes by more than `EQUIVALENCE_MARGIN`, in every form.

    Parameters
    ----------
    spreads : dict
        As `spreads` returns them.
    alpha : float
        Level after Benjamini and Hochberg's adjustment over the maps of all taps.

    Returns
    -------
    dict of str to float
        Form -> share, mean over training folds.
    """
    return {
        form: float(np.mean([(adjust(fold.different()) <= alpha).mean() for fold in folds]))
        for form, folds in spreads.items()
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
        `NAMED`; medium_refuted, those shown to be different; margin_reaching, the smallest margin at which `share` of the
        maps are alike by raw p-values, NaN where there is none.
    """
    rows = []
    for form, part in curve.set_index("margin").groupby("form", sort=False):
        alike = {f"{name}_{p}": part.loc[f, p] for p in ("raw", "adjusted") for name, f in NAMED.items()}
        reached = part.index[part["raw"] >= share].min()
        rows.append({"form": form} | alike | {"medium_refuted": different[form], "margin_reaching": reached})
    return pd.DataFrame(rows)


def equivalence_of_recordings(responses: Responses, alpha: float, share: float) -> pd.DataFrame:
    """Return `equivalence_by_form` with recordings for units: the mean of a recording's clips, one value each.

    Clips of a recording resemble one another, so that a test which counts them one by one is surer than it may be. The margin is
    then in standard deviations between recordings, which are smaller than those between clips.
    """
    by_recording = spreads(responses.average_recordings())
    curve = equivalence_curve(by_recording, alpha)
    return equivalence_by_form(curve, different_shares(by_recording, alpha), share)


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
    folds = responses.training_folds()[:seeds]
    # Ranks do not hang on labels: those of the form on ranks are taken once, and it is the pooled form of them.
    of_ranks = in_order(ranked, folds)
    rows = []
    for way, shuffle in SHUFFLES.items():
        for form in EQUIVALENCE_FORMS:
            parts, of = (of_ranks, "pooled") if form == "ranks" else (folds, form)

            def share(seed: int, parts=parts, of=of, shuffle=shuffle) -> float:
                shuffled = shuffle(parts[seed % len(parts)], seed)
                return (spread(shuffled.matrix(), shuffled.y, of).alike() <= alpha).mean()

            shares = in_order(share, range(seeds))
            rows.append({"shuffled": way, "form": form} | over_shuffles("alike", shares))
    return pd.DataFrame(rows)
