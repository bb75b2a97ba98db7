"""What the kept maps of a tap say of the others: how much of their variance a regression on clips not seen leaves unexplained.

Conventions: as in `dha_utils.findings.dimension`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import linalg

from dha_utils.criteria.selection import Selection, n_to_keep
from dha_utils.findings.dimension import standardise
from dha_utils.findings.influence import leave_out
from dha_utils.responses.table import Responses

RIDGE = 0.1
"""Added to the variance (1) of every map that others are predicted from: without it a hundred maps fitted to a few hundred
clips follow their noise, and a map that answers to one clip only is predicted to be anything."""


DRAWS = 5
"""Random selections of which it is computed what they explain of the other maps."""


class Scatter(NamedTuple):
    """Second moments of clips to fit a regression on, and of clips to judge it by, each (C, C), about the mean of the first."""

    training: np.ndarray
    test: np.ndarray


def scatter(z: np.ndarray, test: np.ndarray) -> Scatter:
    """Return the second moments of standardised responses `z` (n, C); `test` (n,), bool, says which clips are held out."""
    centred = z - z[~test].mean(axis=0)
    parts = centred[~test], centred[test]
    return Scatter(*(part.T @ part / len(part) for part in parts))


def lost_to_regression(moments: Scatter, kept: np.ndarray, ridge: float = RIDGE) -> tuple[float, float]:
    """Predict the other maps from the kept ones, by ridge regression fitted on other clips.

    Parameters
    ----------
    moments : Scatter
    kept : ndarray, shape (C,), bool
    ridge : float
        See `RIDGE`.

    Returns
    -------
    lost, total : float
        Mean squares over the test clips, summed over the maps that are not kept: of what the prediction misses, and of the
        distance to the mean over the training clips, which is what predicting nothing would miss.
    """
    own, cross = np.ix_(kept, kept), np.ix_(kept, ~kept)
    covariance = moments.training[own] + ridge * np.eye(int(kept.sum()))
    weights = linalg.solve(covariance, moments.training[cross], assume_a="pos")
    total = float(moments.test.diagonal()[~kept].sum())
    gained = 2 * np.sum(weights * moments.test[cross]) - np.sum(weights * (moments.test[own] @ weights))
    return total - float(gained), total


def lost_to_components(moments: Scatter, n: int) -> tuple[float, float]:
    """Do as `lost_to_regression` with the first `n` principal components of the training clips, of which all maps are made."""
    size = len(moments.training)
    first = linalg.eigh(moments.training, subset_by_index=(max(0, size - n), size - 1))[1]
    total = float(moments.test.trace())
    return total - float(np.sum(first * (moments.test @ first))), total


def unexplained_table(
    responses: Responses,
    selections: Mapping[str, Sequence[Mapping[int, Selection]]],
    keep: float | None = None,
    *,
    without: Iterable[str] = (),
    ridge: float = RIDGE,
) -> pd.DataFrame:
    """Return what share of the variance of the other maps the kept ones leave unexplained, on clips not seen.

    For every fold the regression is fitted on the others; lost and total variance are added up over folds.

    Parameters
    ----------
    responses : Responses
    selections : dict of str to sequence of dict
        Name -> selections (one per draw), each fold -> selection, as `dha_utils.studies.sweeps.fold_selections` returns them.
    keep : float, optional
        The fraction of principal components that take the place of maps, in the column ``pca``; by default there is none.
    without : iterable of str
        Recordings that are neither fitted on nor judged by.
    ridge : float
        See `RIDGE`.

    Returns
    -------
    DataFrame
        Columns tap, maps, a column per name (mean over the draws), with more than one draw also its lowest and its highest
        (``NAME_low``, ``NAME_high``), and pca; NaN where there is no other map that varies.
    """
    rest = leave_out(responses, without)
    sizes = {fold: int((rest.folds == fold).sum()) for fold in rest.test_folds}
    rows = []
    for tap in rest.taps:
        varies = np.ptp(rest[tap], axis=0) > 0
        z = standardise(rest[tap])
        row: dict[str, object] = {"tap": tap, "maps": rest[tap].shape[1]}
        folds = {fold: scatter(z, rest.folds == fold) for fold in rest.test_folds}
        for name, draws in selections.items():
            shares = [
                _share(
                    np.multiply(
                        lost_to_regression(moments, draw[fold].masks[tap][varies], ridge), sizes[fold]
                    )
                    for fold, moments in folds.items()
                )
                for draw in draws
            ]
            row[name] = float(np.mean(shares))
            if len(draws) > 1:
                row |= {f"{name}_low": min(shares), f"{name}_high": max(shares)}
        if keep is not None:
            n = n_to_keep(keep, rest[tap].shape[1])
            row["pca"] = _share(
                np.multiply(lost_to_components(moments, n), sizes[fold]) for fold, moments in folds.items()
            )
        rows.append(row)
    return pd.DataFrame(rows)


def _share(parts: Iterable[tuple[float, float]]) -> float:
    lost, total = np.sum(list(parts), axis=0)
    return float(lost / total) if total > 0 else float("nan")


def better_table(
    responses: Responses,
    selections: Mapping[str, Sequence[Mapping[int, Selection]]],
    without: Sequence[str],
    first: pd.DataFrame,
) -> pd.DataFrame:
    """Return in how many taps random maps explain more of the others than ANOVA's, and how much that hangs on choices.

    Parameters
    ----------
    responses, selections, without
        As in `unexplained_table`; the selections are called ``anova`` and ``random``, the latter of several draws.
    first : DataFrame
        What that returns, of the choices that are made: without those recordings, with `RIDGE`.

    Returns
    -------
    DataFrame
        Columns recordings, ridge; taps, every and none (numbers of taps: random maps leave less unexplained on average, in
        every draw, in no draw), of (taps with anything to explain). The first row is of `first`; the others have a tenth of
        the ridge, or all recordings.
    """
    settings = [("without those that dominate" if without else "all", without, RIDGE)]
    settings.append((settings[0][0], without, RIDGE / 10))
    if without:
        settings += [("all", (), RIDGE), ("all", (), RIDGE / 10)]
    rows = []
    for number, (name, left_out, ridge) in enumerate(settings):
        table = unexplained_table(responses, selections, without=left_out, ridge=ridge) if number else first
        counts = {
            "taps": table["random"] < table["anova"],
            "every": table["random_high"] < table["anova"],
            "none": table["random_low"] > table["anova"],
            "of": table["anova"].notna(),
        }
        rows.append(
            {"recordings": name, "ridge": ridge} | {key: int(which.sum()) for key, which in counts.items()}
        )
    return pd.DataFrame(rows)
