"""Which maps selections keep, and how far they agree: over training folds, over halves of the clips, between criteria."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.core.work import in_order
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.selection import Selection, mean_jaccard, select
from dha_utils.evaluation.stability import nogueira
from dha_utils.findings.differences import unit_length
from dha_utils.networks.base import Network
from dha_utils.networks.registry import outline
from dha_utils.pruning.cost import kept_filters
from dha_utils.responses.table import Responses
from dha_utils.studies.scores import FoldScores
from dha_utils.studies.sweeps import Cell, selector


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
    for training in responses.training_folds():
        pair = [select(seen, "anova", keep=keep).masks for seen in (training, unit_length(training))]
        overlaps.append([mean_jaccard([masks[tap] for masks in pair]) for tap in responses.taps])
    return dict(zip(responses.taps, np.mean(overlaps, axis=0).tolist(), strict=True))


def criterion_masks(
    responses: Responses, scores: FoldScores, names: Sequence[str], keep: float
) -> dict[str, np.ndarray]:
    """Return the keep mask over the maps of all taps of each criterion, first training fold, shape (maps,), bool."""
    training = responses.training_folds()[0]
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
    parts, halves = responses.training_folds(), disjoint_halves(responses)
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


def filter_table(
    selections: Mapping[str, Sequence[Mapping[int, Selection]]], network: Network | None = None
) -> pd.DataFrame:
    """Return how many distinct filters are behind the kept maps, layer by layer and in all.

    Parameters
    ----------
    selections : dict
        As in `dha_utils.findings.explained.unexplained_table`.
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
    filters = {
        layer: len(mask) for layer, mask in kept_filters(first.masks, network).items() if layer in taps
    }
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
            [kept[layer].sum() for layer in filters]
            for draw in draws
            for kept in (kept_filters(selection.masks, network) for selection in draw.values())
        ]
        covered = np.mean(counts, axis=0)
        table[name] = np.append(covered, covered.sum()) / table["filters"].to_numpy()
    return table
