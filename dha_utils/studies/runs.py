"""Runs of the ensemble that are kept: many notebooks compare with the same ones, and on thousands of clips they take a while.

A file holds any number of runs, each under its key (`dha_utils.core.artifacts`): ``runs_RATE.safetensors`` those of a data set
that are bundled, ``run_KEY.safetensors`` in a folder of results one that was made there.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dha_utils.core.artifacts import short
from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_arrays
from dha_utils.core.paths import bundled
from dha_utils.core.tensor_files import load_tensors, reading, save_tensors
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
    chosen, keys = choose_masks(responses, selectors, classifier)
    file = bundled(responses.provenance["dataset"]) / runs_file(responses)
    found: dict[str, CrossValidation] = {}
    for name, key in keys.items():
        for path in (file, Path(folder) / _own_file(key)):
            with suppress(DataError):  # not there, or another's
                found[name] = replace(load_run(path, responses, key), selections=chosen[name])
                break

    def known(of: Mapping[int, Selection], training: Responses) -> Selection:
        (fold,) = {*responses.test_folds} - {*training.test_folds}
        return of[fold]

    missing = {
        name: partial(known, chosen[name]) if chosen[name] else None for name in keys if name not in found
    }
    for name, run in cross_validate_many(responses, missing, classifier=classifier).items():
        save_runs(Path(folder) / _own_file(keys[name]), [(keys[name], run)])
        found[name] = run
    return {name: found[name] for name in selectors}


def choose_masks(
    responses: Responses, selectors: Mapping[str, Selector | None], classifier: str
) -> tuple[dict[str, dict[int, Selection]], dict[str, dict]]:
    """Return for every way to select maps the selection of every fold, none where all are kept, and the key of its run."""
    chosen: dict[str, dict[int, Selection]] = {
        name: {fold: select(responses.take(responses.folds != fold)) for fold in responses.test_folds}
        if select
        else {}
        for name, select in selectors.items()
    }
    keys = {
        name: key_of("run", responses, classifier=classifier, masks=_hash_masks(of))
        for name, of in chosen.items()
    }
    return chosen, keys


def runs_file(responses: Responses) -> str:
    """Return the name of the file of bundled runs on some responses."""
    return f"runs_{responses.provenance['parameters']['rate']}.safetensors"


def _own_file(key: Mapping) -> str:
    return f"run_{short(key)}.safetensors"


def _hash_masks(chosen: Mapping[int, Selection]) -> str | None:
    masks = ((f"{fold}/{tap}", mask) for fold, of in chosen.items() for tap, mask in of.masks.items())
    return hash_arrays(masks) if chosen else None


def save_runs(path: Path, runs: Iterable[tuple[Mapping, CrossValidation]]) -> None:
    """Write runs, each with its key."""
    arrays, keys = {}, []
    for key, run in runs:
        said = {sums: run.predictions(taps).astype(np.int16) for sums, taps in fusions(run.taps).items()}
        said["converged"] = np.array([*run.converged.values()])
        arrays |= {f"{len(keys)}/{what}": array for what, array in said.items()}
        keys.append(key)
    save_tensors(path, arrays, {"keys": keys})


def load_run(path: Path, responses: Responses, key: Mapping) -> CrossValidation:
    """Return the run with a key, without its selections.

    Raises
    ------
    DataError
        If the file is missing or damaged, or holds no such run.
    """
    header, arrays = load_tensors(path, "runs", "they are made anew", "keys")
    with reading(path, "runs"):
        keys = [*header["keys"]]
    if key not in keys:
        raise DataError(f"{path}: holds no run with this key")
    number = keys.index(key)
    tested = responses.tested()
    with reading(path, "runs"):
        return CrossValidation(
            responses.taps,
            None,
            responses.y[np.isin(responses.folds, responses.test_folds)],
            tested.folds,
            tested.recordings,
            {},
            {fold: arrays[f"{number}/converged"][n].tolist() for n, fold in enumerate(responses.test_folds)},
            {
                tuple(taps): arrays[f"{number}/{name}"].astype(np.int64)
                for name, taps in fusions(responses.taps).items()
            },
        )
