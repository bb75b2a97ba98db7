"""Pooled responses of arrays that are at hand: pictures, spectrograms, waveforms; no file is read.

Conventions: as in `dha_utils.responses.table`; an array of the set is called a clip here as well.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dha_utils.core.errors import DataError, choose
from dha_utils.core.hardware import choose_device
from dha_utils.core.hashing import hash_arrays
from dha_utils.datasets.clips import COLUMNS, Clips, check_folds
from dha_utils.datasets.folds import make_folds
from dha_utils.networks.base import Network
from dha_utils.responses.outputs import described
from dha_utils.responses.pooling import POOLINGS, pool_maps
from dha_utils.responses.provenance import extraction_provenance
from dha_utils.responses.table import Responses

BATCH_SIZE = 64
"""Arrays per forward pass."""


def responses_of(
    network: Network,
    x: np.ndarray | torch.Tensor,
    y: Sequence,
    folds: Sequence[int] | None = None,
    *,
    recordings: Sequence | None = None,
    pooling: str = "mean",
    device: str = "auto",
    name: str = "arrays",
) -> Responses:
    """Run arrays through a network and pool every feature map of its taps.

    Parameters
    ----------
    network : Network
        Of your own (`Network.wrap`), or one that hears sounds, for waveforms in [-1, 1] at its rate.
    x : ndarray or Tensor, shape (clips, *shape)
        Whatever the network takes; computed with as float32.
    y : sequence, length clips
        Label of each: text or numbers.
    folds : sequence of int, optional
        Fold of each, from 1 on; 0 is learned from and never tested. By default five, stratified by class.
    recordings : sequence, optional
        What each was taken from, where several are of one, such as a speaker: those are never counted as independent, nor
        divided among folds that are made here.
    pooling : str
        One of `dha_utils.responses.pooling.POOLINGS`.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    name : str
        What the set is called.

    Returns
    -------
    Responses

    Raises
    ------
    DataError
        If lengths or shapes do not fit, values are not finite, or a class is too small to be tested.
    ParameterError
        If there is no such pooling or device.

    Examples
    --------
    >>> module = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    >>> x = np.random.default_rng(0).random((10, 1, 8, 8))
    >>> responses_of(Network.wrap(module, (1, 8, 8)), x, ["a", "b"] * 5)["1"].shape
    (10, 4)
    """
    choose("pooling", pooling, POOLINGS)
    x = np.ascontiguousarray(x.numpy(force=True) if isinstance(x, torch.Tensor) else x, np.float32)
    rows = {"y": y, "folds": folds, "recordings": recordings}
    for what, given in rows.items():
        if given is not None and len(given) != len(x):
            raise DataError(f"{what} has length {len(given)}, x holds {len(x)}: one for each")
    if not np.isfinite(x).all():
        raise DataError(
            f"x holds values that are not finite, the first in row {int(np.argwhere(~np.isfinite(x))[0][0])}"
        )
    network.check_input(torch.from_numpy(x[:1]))
    clips = [f"{number:0{len(str(len(x)))}d}" for number in range(len(x))]
    table = pd.DataFrame(
        {"clip": clips, "path": "", "label": [str(label) for label in np.asarray(y).tolist()]}
    )
    table["recording"] = clips if recordings is None else [str(own) for own in recordings]
    table["fold"] = make_folds(table, name) if folds is None else np.asarray(folds, np.int64)
    check_folds(table["label"], table["fold"].to_numpy())
    table["sound"] = [hash_arrays([("x", row)]) for row in x]
    place = choose_device(device)
    taps = network.fast(place)
    parts = [
        pool_maps(taps, x[start : start + BATCH_SIZE], pooling) for start in range(0, len(x), BATCH_SIZE)
    ]
    arrays = {tap: np.concatenate([part[tap] for part in parts]) for tap in network.taps}
    parameters = {"rate": network.rate, "pooling": pooling, "device": place.type, **network.settings}
    provenance = extraction_provenance(Clips(name, Path(), table[COLUMNS]), parameters, network)
    return Responses(arrays, described(Clips(name, Path(), table)), provenance)
