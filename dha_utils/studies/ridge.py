"""How much pull towards the original kernels the refit should have: its error on clips that it has not seen.

Conventions: everything happens inside a training fold of the data set, on the clips of it that fit
(`dha_utils.pruning.compressor.clips_that_fit`). Their recordings are divided once more, four parts to one;
filters are chosen and kernels refitted on the four, and the error is taken on the fifth. No label enters, and no test clip.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold

from dha_utils.core.artifacts import load_json, obtain, places
from dha_utils.core.paths import write_json
from dha_utils.networks.base import Network
from dha_utils.pruning.compensation import compensate
from dha_utils.pruning.compressor import Compressor, Trial, fit_key
from dha_utils.pruning.refitting import RIDGE
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses
from dha_utils.studies.trials import SMALL, CompressionStudy

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Values that are compared, see `dha_utils.pruning.refitting.RIDGE`."""

PARTS = 5
"""Parts of a training fold's recordings, one of which is held out."""


def layer_errors(
    small: Network, kept: Mapping[str, np.ndarray], activations: Sequence[torch.Tensor]
) -> dict[str, float]:
    """Return by how much the maps of a smaller network miss those of the full one, layer by layer.

    Parameters
    ----------
    small : Network
    kept : dict of str to ndarray, shape (maps,), int
        The channels of every layer that it has.
    activations : sequence of Tensor
        Of some clips in the full network, as `dha_utils.networks.activations.layer_activations` gives them.

    Returns
    -------
    dict of str to float
        For every layer but the first: the squared differences of what it hands on, as a share of the squared deviations of
        the full network's kept maps from their means. 0 is perfect; 1 is as bad as those means.
    """
    errors = {}
    (_, first), *others = kept.items()
    with torch.inference_mode():
        x = activations[1][:, torch.from_numpy(first)]
        for (layer, channels), full in zip(others, activations[2:], strict=True):
            x = small.layer_output(layer, x)
            target = full[:, torch.from_numpy(channels)]
            every = [0, *range(2, target.ndim)]
            energy = (target - target.mean(every, keepdim=True)).double().square().sum()
            errors[layer] = float((x - target).double().square().sum() / energy)
    return errors


def ridge_errors(study: CompressionStudy, ridges: Sequence[float] = RIDGES, size: str = SMALL) -> list[dict]:
    """Return the errors of refitted networks, on the clips that they were fitted on and on held-out ones.

    Filters are those of explained variance.

    Parameters
    ----------
    study : CompressionStudy
    ridges : sequence of float
    size : str
        As in `dha_utils.pruning.compressor.Trial`.

    Returns
    -------
    list of dict
        fold, ridge, clips ("fitted" or "held out"), layer and error (`layer_errors`).
    """
    rows = []
    for fold in study.folds:
        outer = np.flatnonzero(study.compressor(fold).fitted)
        inner = study.responses.take(outer)
        parts = GroupKFold(PARTS, shuffle=True, random_state=0)
        fitted, held_out = next(parts.split(outer, groups=inner.recordings))
        clips = {"fitted": outer[fitted], "held out": outer[held_out]}
        training = np.isin(np.arange(len(study.waveforms)), clips["fitted"])
        compressor = Compressor(
            study.model, study.waveforms, study.responses, study.activations, training, fold
        )
        keep = compressor.keep(Trial("explained_variance", size))
        seen = {name: study.activations_of(chosen) for name, chosen in clips.items()}
        for ridge in ridges:
            small = compensate(study.model, keep, seen["fitted"], ridge=ridge)
            for name, activations in seen.items():
                errors = layer_errors(small, keep, activations)
                rows += [
                    {
                        "fold": int(fold),
                        "ridge": ridge,
                        "clips": name,
                        "layer": layer,
                        "error": error,
                    }
                    for layer, error in errors.items()
                ]
    return rows


def keep_ridge_errors(study: CompressionStudy, folder: Path) -> dict:
    """Compute `ridge_errors` and write them, with their key, as ``ridge_RATE.json`` into a folder; return what is written."""
    kept = {"key": _key(study.responses), "errors": ridge_errors(study)}
    write_json(folder / _name(study.responses), kept)
    return kept


def load_ridge_errors(
    responses: Responses, folder: Path, study: Callable[[], CompressionStudy], *, only_kept: bool = False
) -> pd.DataFrame:
    """Return the mean of `ridge_errors` over folds: bundled, kept in `folder`, or computed now from the audio, and kept there.

    Parameters
    ----------
    responses : Responses
        Of all clips to the full network.
    folder : Path
    study : callable
        Returns the study; asked only if there is nothing else.
    only_kept : bool
        Compute nothing: the table is empty where there is nothing else.

    Returns
    -------
    DataFrame
        Columns clips ("fitted" or "held out"), ridge, one per layer, and mean.
    """
    held, _ = obtain(
        _key(responses),
        places(responses.provenance["dataset"], folder, _name(responses)),
        lambda path: (content := load_json(path, "errors"), content["key"]),
        lambda: {"errors": []} if only_kept else keep_ridge_errors(study(), folder),
    )
    if not held["errors"]:
        return pd.DataFrame(columns=["clips", "ridge", "mean"])
    errors = pd.DataFrame(held["errors"])
    table = errors.pivot_table("error", ["clips", "ridge"], "layer", sort=False)
    return table.assign(mean=table.mean(axis=1)).rename_axis(columns=None).reset_index()


def summary(errors: pd.DataFrame) -> dict[str, float]:
    """Return the value that is used, the best one on held-out clips, and, if `load_ridge_errors` knows, what they miss."""
    if errors.empty:
        return {"used": RIDGE}
    table = errors.pivot(index="ridge", columns="clips", values="mean")
    held_out = table["held out"]
    return {
        "used": RIDGE,
        "used_held_out": held_out[RIDGE],
        "used_fitted": table.loc[RIDGE, "fitted"],
        "best": held_out.idxmin(),
        "best_held_out": held_out.min(),
        "weakest_held_out": held_out.iloc[0],
        "strongest_held_out": held_out.iloc[-1],
    }


def _key(responses: Responses) -> dict:
    return key_of("trials", responses, ridges=list(RIDGES), size=SMALL, **fit_key(responses))


def _name(responses: Responses) -> str:
    return f"ridge_{responses.provenance['parameters']['rate']}.json"
