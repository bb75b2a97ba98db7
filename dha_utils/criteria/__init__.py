"""Criteria: ways to score feature maps, one small module per family and one registry, `CRITERIA`."""

from dha_utils.criteria import (
    activations,
    classwise,
    controls,
    filters,
    information,
    pairwise,
    permutation,
    redundancy,
    released,
    removal,
    unpooled,
)
from dha_utils.criteria.base import CRITERIA, Criterion, MapScores

__all__ = [
    "CRITERIA",
    "Criterion",
    "MapScores",
    "activations",
    "classwise",
    "controls",
    "filters",
    "information",
    "pairwise",
    "permutation",
    "redundancy",
    "released",
    "removal",
    "unpooled",
]
