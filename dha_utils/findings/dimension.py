"""How many independent things the maps of a tap say: why a few of them, drawn at random, do almost as well as all.

Conventions: responses ``x`` are (clips, maps); *standardised* means zero mean and unit variance of every map over all clips, so
that every map that varies counts alike; constant maps are left out. Shares of variance are fractions.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import linalg

from dha_utils.criteria.selection import Selection, n_to_keep
from dha_utils.findings.influence import leave_out
from dha_utils.networks.base import Network
from dha_utils.networks.registry import outline
from dha_utils.responses.table import Responses
from dha_utils.studies.sweeps import Cell, selector

DOMINANT = 0.25
"""A recording dominates a tap if its share of the variance is larger by so much than its share of the clips."""

MOST_DOMINANT = 0.05
"""At most this share of the clips is taken for dominant, but always one recording if there is one."""

RIDGE = 0.1
"""Added to the variance (1) of every map that others are predicted from: without it a hundred maps fitted to a few hundred
clips follow their noise, and a map that answers to one clip only is predicted to be anything."""


DRAWS = 5
"""Random selections of which it is computed what they explain of the other maps."""


def standardise(x: np.ndarray) -> np.ndarray:
    """Return the maps of `x` (n, C) that vary, standardised, shape (n, varying), float64."""
    x = np.asarray(x, dtype=np.float64)
    x = x[:, np.ptp(x, axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def spectrum(x: np.ndarray) -> np.ndarray:
    """Return the variances of the principal components of the standardised maps of `x` (n, C), largest first."""
    z = standardise(x)
    gram = z @ z.T if z.shape[0] < z.shape[1] else z.T @ z
    return np.clip(linalg.eigvalsh(gram)[::-1], 0, None) / len(z)


def participation_ratio(variances: np.ndarray) -> float:
    r"""Return the effective dimension :math:`(\sum_j \lambda_j)^2 / \sum_j \lambda_j^2`.

    It is d where d components share the variance evenly, and 1 where one has it all; 0 where nothing varies.

    Parameters
    ----------
    variances : ndarray
        Of the principal components.

    Examples
    --------
    >>> participation_ratio(np.array([2.0, 2.0, 2.0, 0.0])), participation_ratio(np.array([5.0, 0.0]))
    (3.0, 1.0)
    """
    total = variances.sum()
    return float(total**2 / np.sum(variances**2)) if total > 0 else 0.0


def components_for(variances: np.ndarray, share: float) -> int:
    """Return how many principal components have a share of the variance; 0 where nothing varies.

    >>> components_for(np.array([6.0, 3.0, 1.0]), 0.9), components_for(np.array([6.0, 3.0, 1.0]), 0.95)
    (2, 3)
    """
    total = variances.sum()
    # A hair less, so that a share which is reached but for rounding counts as reached.
    return int(np.searchsorted(np.cumsum(variances), share * total * (1 - 1e-12))) + 1 if total > 0 else 0


def recording_shares(x: np.ndarray, recordings: np.ndarray) -> pd.Series:
    """Return the share of the variance of the standardised maps of `x` (n, C) that lies in the clips of each recording."""
    energy = np.sum(standardise(x) ** 2, axis=1)
    return pd.Series(energy / max(energy.sum(), np.finfo(float).tiny)).groupby(np.asarray(recordings)).sum()


def dominant_recordings(responses: Responses) -> list[dict]:
    """Return the recordings that by themselves are much of the variance of a tap, the most dominant first.

    One after the other, each as it dominates among those that are left: see `DOMINANT` and `MOST_DOMINANT`.

    Returns
    -------
    list of dict
        recording, clips (their number), tap, share (of the tap's variance).
    """
    found: list[dict] = []
    left = responses
    clips = pd.Series(responses.recordings).value_counts()
    while len(left):
        shares = pd.DataFrame({tap: recording_shares(left[tap], left.recordings) for tap in left.taps})
        above = shares.sub(clips[shares.index] / len(left), axis="index")
        recording, tap = above.stack().idxmax()
        taken = int(clips[recording]) + sum(other["clips"] for other in found)
        if above.loc[recording, tap] <= DOMINANT or (found and taken > MOST_DOMINANT * len(responses)):
            break
        found.append(
            {
                "recording": str(recording),
                "clips": int(clips[recording]),
                "tap": tap,
                "share": float(shares.loc[recording, tap]),
            }
        )
        left = left.take(left.recordings != recording)
    return found


def dimension_table(responses: Responses, without: Iterable[str] = ()) -> pd.DataFrame:
    """Return the effective dimension of every tap.

    Parameters
    ----------
    responses : Responses
    without : iterable of str
        Recordings that are left out in a second count.

    Returns
    -------
    DataFrame
        Columns tap, maps, varying (maps that are not constant), ratio (participation ratio), pc90, pc99 (principal components
        for 90 and 99 % of the variance), and the last three again without those recordings, in columns that end in ``_rest``.
    """
    rest = leave_out(responses, without)
    rows = []
    for tap in responses.taps:
        row: dict[str, object] = {"tap": tap, "maps": responses[tap].shape[1]}
        row["varying"] = standardise(responses[tap]).shape[1]
        for ending, part in (("", responses), ("_rest", rest)):
            variances = spectrum(part[tap])
            row[f"ratio{ending}"] = participation_ratio(variances)
            row[f"pc90{ending}"] = components_for(variances, 0.9)
            row[f"pc99{ending}"] = components_for(variances, 0.99)
        rows.append(row)
    return pd.DataFrame(rows)


def extremes(table: pd.DataFrame) -> dict[str, float | str | int]:
    """Return the taps of the smallest and the largest effective dimension of a `dimension_table`, without what is left out.

    Returns
    -------
    dict
        smallest, smallest_tap, largest, largest_tap; most_components, the largest number of components for 90 %.
    """
    order = table.sort_values("ratio_rest", kind="stable")
    ends = {"smallest": order.iloc[0], "largest": order.iloc[-1]}
    found = {}
    for name, row in ends.items():
        found |= {name: float(row["ratio_rest"]), f"{name}_tap": row["tap"]}
    return found | {"most_components": int(table["pc90_rest"].max())}


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


def fold_selections(responses: Responses, cell: Cell) -> dict[int, Selection]:
    """Return the selection of every fold that is tested, decided on the others."""
    select = selector(cell, responses)
    return {fold: select(responses.take(responses.folds != fold)) for fold in responses.test_folds}


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
        Name -> selections (one per draw), each fold -> selection, as `fold_selections` returns them.
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


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    r"""Return how alike two taps see the same clips, 1 if alike but for a rotation and a scale, 0 if they share nothing.

    Linear centred kernel alignment :math:`\lVert X^\top Y \rVert_F^2 / (\lVert X^\top X \rVert_F \lVert Y^\top Y \rVert_F)` of
    the standardised maps. Source: Kornblith, Norouzi, Lee and Hinton, ICML 2019.

    Parameters
    ----------
    x, y : ndarray, shape (n, C) and (n, D)

    Returns
    -------
    float
        NaN where one of the two is constant.
    """
    x, y = standardise(x), standardise(y)
    scale = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.sum((x.T @ y) ** 2) / scale) if scale > 0 else float("nan")


def cka_matrix(responses: Responses) -> pd.DataFrame:
    """Return `linear_cka` of every pair of taps, rows and columns named by them."""
    taps = list(responses.taps)
    matrix = np.empty((len(taps), len(taps)))
    for i, first in enumerate(taps):
        for j, second in enumerate(taps[: i + 1]):
            matrix[i, j] = matrix[j, i] = linear_cka(responses[first], responses[second])
    return pd.DataFrame(matrix, taps, taps)


def kept_filters(selection: Selection, network: Network) -> dict[str, np.ndarray]:
    """Return which filters of every layer are kept at one of its taps at least: layer -> mask (filters,), bool."""
    filters: dict[str, np.ndarray] = {}
    for tap, mask in selection.masks.items():
        layer = network.layer_of(tap)
        filters[layer] = filters[layer] | mask if layer in filters else mask
    return filters


def filter_table(
    selections: Mapping[str, Sequence[Mapping[int, Selection]]], network: Network | None = None
) -> pd.DataFrame:
    """Return how many distinct filters are behind the kept maps, layer by layer and in all.

    Parameters
    ----------
    selections : dict
        As in `unexplained_table`.
    network : Network, optional
        By default SoundNet-8.

    Returns
    -------
    DataFrame
        Columns layer (the last row is "all"), taps, maps, filters, and a column per name: the share of the filters that is kept
        at one tap at least, mean over folds and draws.
    """
    first = next(iter(next(iter(selections.values()))[0].values()))
    network = network or outline()
    taps = Counter(network.layer_of(tap) for tap in first.masks)
    filters = {layer: len(mask) for layer, mask in kept_filters(first, network).items()}
    table = pd.DataFrame(
        {
            "layer": list(filters),
            "taps": [taps[layer] for layer in filters],
            "maps": [taps[layer] * count for layer, count in filters.items()],
            "filters": list(filters.values()),
        }
    )
    table.loc[len(table)] = ["all", *table[["taps", "maps", "filters"]].sum()]
    for name, draws in selections.items():
        counts = [
            [mask.sum() for mask in kept_filters(selection, network).values()]
            for draw in draws
            for selection in draw.values()
        ]
        covered = np.mean(counts, axis=0)
        table[name] = np.append(covered, covered.sum()) / table["filters"].to_numpy()
    return table
