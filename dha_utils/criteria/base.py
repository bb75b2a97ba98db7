"""What a criterion is: the one contract that every way of scoring feature maps follows.

Conventions: a *score* is a float per map and **higher means keep**; a map that cannot be scored (constant,
undefined) has score ``-inf`` and p-value 1, so it is the first to be ignored; ties are broken by the lower
channel number (`dha_utils.criteria.selection` sorts stably).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MapScores:
    """Scores of the C maps of one tap.

    Attributes
    ----------
    score : ndarray, shape (C,), float64
        Higher means keep; ``-inf`` where the criterion is undefined.
    pvalue : ndarray, shape (C,), float64, or None
        Raw p-value per map where the criterion is a test, else None.
    effect : ndarray, shape (C,), float64, or None
        Effect size (unit named by the criterion), else None.
    n_keep : int or None
        How many maps the criterion's own stopping rule keeps, 0 to C, where it has one, else None.
    lost : ndarray, shape (C + 1,), float64, or None
        Share of what the criterion measures that is lost when only the k best maps are kept, k = 0 to C, falling from 1; None
        where that is their share of the sum of scores.
    columns : int
        How many columns of responses every map has: more than one where several poolings stand side by side.
    """

    score: np.ndarray
    pvalue: np.ndarray | None = None
    effect: np.ndarray | None = None
    n_keep: int | None = None
    lost: np.ndarray | None = None
    columns: int = 1


@dataclass(frozen=True)
class Criterion:
    """A named way to score the maps of one tap.

    Attributes
    ----------
    name : str
        Key in `dha_utils.CRITERIA`.
    function : callable
        ``function(x, y, groups, rng) -> MapScores`` for ``needs == "responses"``: x (n, C) pooled responses, y (n,) int
        labels, groups (n,) recording per clip, rng a `numpy.random.Generator`;
        ``function(maps, y, rng) -> MapScores`` for ``needs == "maps"``: maps (n, C, T) full feature maps;
        ``function(weights) -> MapScores`` for ``needs == "weights"``: the tensors of the tap's layer;
        ``function(statistics) -> MapScores`` for ``needs == "activations"``: of what a layer hands on, all its positions;
        ``function(around) -> MapScores`` for ``needs == "neighbourhood"``: the tensors of a layer and of what reads it;
        ``function(x, y, groups, rng) -> MapScores`` for ``needs == "loss"``: as for responses.
    needs : {"responses", "maps", "weights", "activations", "neighbourhood", "loss"}
        What it is computed from. The last three choose filters to be removed, layer by layer (`scores_taps`).
    family : str
        Heading under which the book lists it.
    summary : str
        One line for tables.
    reference : str
        Where it comes from.
    is_order : bool
        Whether it ranks maps; if not, it names a set of them, and says by ``n_keep`` how many they are.
    """

    name: str
    function: Callable[..., MapScores]
    needs: str
    family: str
    summary: str
    reference: str
    is_order: bool = True

    @property
    def scores_taps(self) -> bool:
        """Whether it says which maps to ignore at a tap, rather than which filters to remove from a layer."""
        return self.needs in ("responses", "maps", "weights")


CRITERIA: dict[str, Criterion] = {}
"""All criteria by name."""


def criterion(
    name: str, *, needs: str = "responses", family: str, summary: str, reference: str, is_order: bool = True
) -> Callable:
    """Register a function as the criterion `name`; a second one of the same name is a programming error."""

    def register(function: Callable[..., MapScores]) -> Callable[..., MapScores]:
        if name in CRITERIA:
            raise RuntimeError(f"criterion {name!r} is registered twice")
        CRITERIA[name] = Criterion(name, function, needs, family, summary, reference, is_order)
        return function

    return register
