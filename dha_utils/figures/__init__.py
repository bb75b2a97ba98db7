"""The figures of the book, one function each."""

from dha_utils.figures.beside import changes, controls
from dha_utils.figures.classes import class_changes, confusion
from dha_utils.figures.dimension import dimensions, silence_by_class, silence_by_tap, similarity, unexplained
from dha_utils.figures.ensemble import (
    against_random,
    cost_of_ignoring,
    curves,
    forest,
    overlap,
    percent_axis,
    tap_accuracies,
    tap_curves,
    tap_differences,
    with_all_maps,
)
from dha_utils.figures.maps import (
    carried_variance,
    class_means,
    effect_sizes,
    example_maps,
    margin_curves,
    pair_counts,
    spectrograms,
    without_each_recording,
)
from dha_utils.figures.pruning import compensations, equal_cost, frontier, layer_costs, speeds
from dha_utils.figures.second import kept_curve, pitch_accuracies
from dha_utils.figures.sensitivity import specification_curve
from dha_utils.figures.style import readable, set_style

__all__ = [
    "against_random",
    "carried_variance",
    "changes",
    "class_changes",
    "class_means",
    "compensations",
    "confusion",
    "controls",
    "cost_of_ignoring",
    "curves",
    "dimensions",
    "effect_sizes",
    "equal_cost",
    "example_maps",
    "forest",
    "frontier",
    "kept_curve",
    "layer_costs",
    "margin_curves",
    "overlap",
    "pair_counts",
    "percent_axis",
    "pitch_accuracies",
    "readable",
    "set_style",
    "silence_by_class",
    "silence_by_tap",
    "similarity",
    "specification_curve",
    "spectrograms",
    "speeds",
    "tap_accuracies",
    "tap_curves",
    "tap_differences",
    "unexplained",
    "with_all_maps",
    "without_each_recording",
]
