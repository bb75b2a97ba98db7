"""Clips grouped by class, and the one rule for maps that a criterion cannot score.

Conventions: pooled responses ``x`` are (n clips, C maps), ``y`` (n,) int labels; per-class arrays are (k
classes, C).

The rule: a map is *undefined* for a criterion when it is constant over all clips, when the criterion divides
by the variance within each class and some class has none (a ReLU map that is silent for a whole class), or
when the score or the p-value comes out NaN. An undefined map has score ``-inf``, p-value 1 and effect 0: it
is the first to be ignored and never significant. Every class-wise criterion gets the rule from
`where_defined`; no criterion writes its own.
"""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

import numpy as np

from dha_utils.core.errors import DataError
from dha_utils.criteria.base import MapScores

MIN_CLIPS = 2
"""Fewest clips per class: a variance needs two."""

Scorer = Callable[[np.ndarray, np.ndarray, np.ndarray, np.random.Generator], MapScores]


class Moments(NamedTuple):
    """Number of clips (k, 1), mean (k, C) and unbiased variance (k, C) per class; 0 where all are equal."""

    count: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def split_by_class(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Return the rows of `x` class by class, in float64.

    Parameters
    ----------
    x : ndarray, shape (n, C)
        Pooled responses.
    y : ndarray, shape (n,), int
        Class of every clip.

    Returns
    -------
    list of ndarray, each shape (clips of the class, C), float64
        Classes in ascending order.

    Raises
    ------
    DataError
        If there are fewer than two classes, or a class has fewer than `MIN_CLIPS` clips.
    """
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise DataError(
            f"a class-wise criterion needs at least 2 classes, got {len(classes)}: check the labels"
        )
    if counts.min() < MIN_CLIPS:
        raise DataError(
            f"class {classes[counts.argmin()]} has {counts.min()} clips, a class-wise criterion needs at "
            f"least {MIN_CLIPS}: add clips or leave the class out"
        )
    x = np.asarray(x, dtype=np.float64)
    return [x[y == label] for label in classes]


def moments(x: np.ndarray, y: np.ndarray) -> Moments:
    """Return count, mean and variance of every class; arguments and errors as in `split_by_class`."""
    parts = split_by_class(x, y)
    mean = np.stack([part.mean(axis=0) for part in parts])
    variance = np.stack([part.var(axis=0, ddof=1) for part in parts])
    # Rounding gives equal values a variance of about 1e-33, which as a weight would drown every other class.
    same = np.stack([is_constant(part) for part in parts])
    return Moments(np.array([[len(part)] for part in parts]), mean, np.where(same, 0.0, variance))


def is_constant(x: np.ndarray) -> np.ndarray:
    """Return which columns of `x` (n, C) hold one value only, shape (C,), bool."""
    return np.ptp(x, axis=0) == 0


def varies(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which maps of `x` (n, C) are not constant, shape (C,), bool."""
    return ~is_constant(x)


def varies_within_classes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which maps of `x` (n, C) vary within every single class of `y` (n,), shape (C,), bool."""
    return ~np.any([is_constant(part) for part in split_by_class(x, y)], axis=0)


def where_defined(condition: Callable[[np.ndarray, np.ndarray], np.ndarray], *, test: bool) -> Callable:
    """Let a criterion see only the maps for which it is defined, and score the others by the rule above.

    Parameters
    ----------
    condition : callable
        ``condition(x, y) -> (C,) bool``: `varies` or `varies_within_classes`.
    test : bool
        Whether the criterion gives p-values.

    Returns
    -------
    callable
        Decorator of ``function(x, y, groups, rng) -> MapScores``; the function gets x in float64.
    """

    def decorate(function: Scorer) -> Scorer:
        @wraps(function)
        def scored(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
            x = np.asarray(x, dtype=np.float64)
            defined = condition(x, y)
            pvalue = np.ones(len(defined)) if test else None
            scores = MapScores(np.full(len(defined), -np.inf), pvalue, np.zeros(len(defined)))
            if not defined.any():
                return scores
            with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
                # NaN is dealt with here, inf is a legal score, and of maps that hardly vary SciPy warns at every turn.
                warnings.filterwarnings("ignore", "Precision loss occurred")
                part = function(x[:, defined], y, groups, rng)
            usable = ~np.isnan(part.score)
            if test:
                usable &= ~np.isnan(part.pvalue)
            into = np.flatnonzero(defined)[usable]
            scores.score[into], scores.effect[into] = part.score[usable], part.effect[usable]
            if test:
                scores.pvalue[into] = part.pvalue[usable]
            return scores

        return scored

    return decorate
