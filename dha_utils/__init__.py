"""Deep Hidden Analysis, reproduced: which feature maps of SoundNet are redundant, and what ignoring them costs.

Public names are imported on first use (PEP 562), so that ``import dha_utils`` and ``dha --help`` do not wait for torch.
"""

from importlib import import_module

_PUBLIC = {
    "COMPENSATIONS": "compensation",
    "CRITERIA": "criteria",
    "Cell": "sweeps",
    "Clips": "datasets.clips",
    "Inputs": "inputs",
    "NETWORKS": "networks",
    "Network": "network_base",
    "LayerEnsemble": "ensemble",
    "NATIVE_RATE": "soundnet",
    "RELEASED_TAPS": "soundnet",
    "ResponseStore": "store",
    "Responses": "responses",
    "Results": "results",
    "SoundNet": "soundnet",
    "TAPS": "soundnet",
    "TAP_MAPS": "soundnet",
    "accuracy_table": "tables",
    "begin": "study",
    "best_taps": "evaluation",
    "cells": "sweeps",
    "check_parameters": "parameters",
    "comparison_table": "tables",
    "compensate": "compensation",
    "count_macs": "complexity",
    "cross_validate": "evaluation",
    "cross_validate_many": "evaluation",
    "describe": "inference",
    "extract_mfcc": "extraction",
    "extract_responses": "extraction",
    "extract_to_store": "extraction",
    "fusions": "evaluation",
    "layer_activations": "network_base",
    "load_clips": "datasets",
    "load_examples": "examples",
    "load_fold_scores": "scores",
    "load_inputs": "inputs",
    "load_network": "networks",
    "load_soundnet": "soundnet",
    "mean_jaccard": "selection",
    "mfcc_baseline": "evaluation",
    "overlap_matrix": "stability",
    "paired_difference": "inference",
    "prune_network": "pruning",
    "records": "results",
    "results_table": "tables",
    "select": "selection",
    "show": "shown",
    "sweep": "sweeps",
    "tap_layers": "evaluation",
    "unpack_correct": "sweeps",
    "wilson_interval": "inference",
    "workers": "work",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
