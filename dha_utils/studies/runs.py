"""Runs of the ensemble that are kept: many notebooks compare with the same ones, and on thousands of clips they take a while."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dha_utils.core.artifacts import places, short
from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_arrays
from dha_utils.core.tensor_files import load_tensors, save_tensors
from dha_utils.criteria.selection import Selection
from dha_utils.evaluation.crossvalidation import CrossValidation, Selector, cross_validate_many, fusions
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses


def kept_runs(
    responses: Responses, selectors: Mapping[str, Selector | None], classifier: str, folder: Path
) -> dict[str, CrossValidation]:
    """Return a run of the ensemble for every way to select maps: bundled, kept from an earlier call, or computed now and kept.

    What is kept of a run is the class that every tap, and every sum that has a name, takes a clip for; not the probabilities.

    Parameters
    ----------
    responses : Responses
    selectors, classifier
        As in `dha_utils.evaluation.crossvalidation.cross_validate_many`.
    folder : Path
        Where runs are kept, each under a name of its own for every key.
    """
    folds = responses.test_folds
    chosen: dict[str, dict[int, Selection]] = {
        name: {fold: select(responses.take(responses.folds != fold)) for fold in folds} if select else {}
        for name, select in selectors.items()
    }
    keys = {
        name: key_of("run", responses, classifier=classifier, masks=_hash_masks(of))
        for name, of in chosen.items()
    }
    found: dict[str, CrossValidation] = {}
    for name, key in keys.items():
        for path, _ in places(responses.provenance["dataset"], folder, _file(key)):
            try:
                run = _load(path, responses, key)
            except DataError:  # not there, or another's
                continue
            found[name] = replace(run, selections=chosen[name])
            break

    def known(of: Mapping[int, Selection], training: Responses) -> Selection:
        (fold,) = {*folds} - {*training.test_folds}
        return of[fold]

    missing = {
        name: partial(known, chosen[name]) if chosen[name] else None for name in keys if name not in found
    }
    for name, run in cross_validate_many(responses, missing, classifier=classifier).items():
        said = {sums: run.predictions(taps).astype(np.int16) for sums, taps in fusions(run.taps).items()}
        ended = np.array([run.converged[fold] for fold in folds])
        save_tensors(Path(folder) / _file(keys[name]), said | {"converged": ended}, {"key": keys[name]})
        found[name] = run
    return {name: found[name] for name in selectors}


def _file(key: Mapping) -> str:
    return f"run_{short(key)}.safetensors"


def _hash_masks(chosen: Mapping[int, Selection]) -> str | None:
    masks = ((f"{fold}/{tap}", mask) for fold, of in chosen.items() for tap, mask in of.masks.items())
    return hash_arrays(masks) if chosen else None


def _load(path: Path, responses: Responses, key: Mapping) -> CrossValidation:
    header, arrays = load_tensors(path, "a run", "it is made anew", "key")
    if header["key"] != key:
        raise DataError(f"{path}: belongs to something else")
    tested = responses.tested()
    return CrossValidation(
        responses.taps,
        None,
        responses.y[np.isin(responses.folds, responses.test_folds)],
        tested.folds,
        tested.recordings,
        {},
        {fold: arrays["converged"][n].tolist() for n, fold in enumerate(responses.test_folds)},
        {tuple(taps): arrays[name].astype(np.int64) for name, taps in fusions(responses.taps).items()},
    )
