"""Controls: criteria that know nothing, against which the others have to prove themselves."""

import numpy as np

from dha_utils.criteria.base import MapScores, criterion


@criterion(
    "random",
    family="controls",
    summary="maps drawn at random",
    reference="the control of every pruning study",
)
def random(x: np.ndarray, y: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> MapScores:
    """Score the C maps of `x` (n, C) by independent draws from `rng`; labels and responses are not looked at."""
    n_maps = x.shape[1]
    return MapScores(rng.random(n_maps), lost=np.linspace(1, 0, n_maps + 1))  # each is worth as much as any
