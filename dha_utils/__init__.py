"""Deep Hidden Analysis, reproduced: which feature maps of SoundNet are redundant, and what ignoring them costs.

Public names are imported on first use (PEP 562), so that ``import dha_utils`` and ``dha --help`` do not wait for torch.
"""

from importlib import import_module

_PUBLIC = {
    "CLASSIFIERS": "evaluation.ensemble",
    "COMPENSATIONS": "pruning.compensation",
    "CRITERIA": "criteria",
    "Cell": "studies.sweeps",
    "Clips": "datasets.clips",
    "Inputs": "studies.inputs",
    "NETWORKS": "networks.registry",
    "Network": "networks.base",
    "LayerEnsemble": "evaluation.ensemble",
    "NATIVE_RATE": "networks.soundnet",
    "RELEASED_TAPS": "networks.soundnet",
    "ResponseStore": "responses.store",
    "Responses": "responses.table",
    "Results": "studies.results",
    "SoundNet": "networks.soundnet",
    "TAPS": "networks.soundnet",
    "TAP_MAPS": "networks.soundnet",
    "accuracy_table": "findings.accuracy",
    "begin": "book.study",
    "best_taps": "evaluation.crossvalidation",
    "cells": "studies.sweeps",
    "check_parameters": "book.parameters",
    "comparison_table": "findings.accuracy",
    "compensate": "pruning.compensation",
    "count_macs": "pruning.cost",
    "cross_validate": "evaluation.crossvalidation",
    "cross_validate_many": "evaluation.crossvalidation",
    "describe": "evaluation.inference",
    "extract_mfcc": "responses.extraction",
    "extract_responses": "responses.extraction",
    "extract_to_store": "responses.extraction",
    "fold_selections": "studies.sweeps",
    "fusions": "evaluation.crossvalidation",
    "layer_activations": "networks.activations",
    "load_clips": "datasets",
    "load_examples": "studies.examples",
    "load_fold_scores": "studies.scores",
    "load_inputs": "studies.inputs",
    "load_network": "pruning.opening",
    "load_soundnet": "networks.soundnet",
    "mean_jaccard": "criteria.selection",
    "mfcc_baseline": "evaluation.crossvalidation",
    "named_criteria": "studies.sweeps",
    "overlap_matrix": "evaluation.stability",
    "paired_difference": "evaluation.inference",
    "power_table": "evaluation.comparison",
    "prune_network": "pruning.surgery",
    "records": "studies.results",
    "responses_of": "responses.arrays",
    "results_table": "findings.accuracy",
    "select": "criteria.selection",
    "show": "book.shown",
    "shrink_network": "pruning.shrinking",
    "sweep": "studies.sweeps",
    "tap_layers": "evaluation.crossvalidation",
    "unpack_correct": "evaluation.packing",
    "wilson_interval": "evaluation.inference",
    "workers": "core.work",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name == "figures":
        return import_module(f"{__name__}.figures")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, "figures"])
