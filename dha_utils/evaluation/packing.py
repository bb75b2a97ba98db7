"""What is kept of a cross-validated ensemble, in JSON types: in files of sweeps and of trials."""

from collections.abc import Mapping

import numpy as np

from dha_utils.evaluation.crossvalidation import CrossValidation, fusions


def pack_run(run: CrossValidation) -> dict:
    """Return what was measured: per tap and sum of taps the accuracy and which clips are right, and what holds of all.

    Which clips are right is a hexadecimal number, first clip first (see `unpack_correct`); what holds of all is the fraction of
    maps ignored, and the numbers of SVMs that did not converge and of clips.
    """
    sums = fusions(run.taps)
    return {
        "ignored": run.ignored,
        "not_converged": run.not_converged,
        "accuracy": {name: run.accuracy(taps) for name, taps in sums.items()},
        "correct": {name: np.packbits(run.correct(taps)).tobytes().hex() for name, taps in sums.items()},
        "clips": len(run.y),
    }


RENAMED = {"15 taps": "all", "10 taps": "released"}
"""What the sums of taps were called in files that were kept before networks named theirs, and what they are called now."""


def with_sums_renamed(result: Mapping) -> dict:
    """Return a packed run, with what else is in it, with the names that sums of taps have now."""
    return {**result} | {
        what: {RENAMED.get(name, name): value for name, value in result[what].items()}
        for what in ("accuracy", "correct")
    }


def unpack_correct(result: Mapping, fusion: str = "all") -> np.ndarray:
    """Return which clips a packed run gets right by a sum of taps, or by one of its taps, shape (clips,), bool."""
    packed = np.frombuffer(bytes.fromhex(result["correct"][fusion]), np.uint8)
    return np.unpackbits(packed, count=result["clips"]).astype(bool)
