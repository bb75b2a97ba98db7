"""How many filters each layer keeps, for a given amount of computation.

The layers of SoundNet are far from equal: conv1 and conv2 hold three quarters of the multiplications and less than one in
fifty of the parameters, and an upper layer says in a few maps what it says in a thousand. So the number of maps is not one
fraction for all layers but what a criterion asks for: where little is lost of what it measures, maps go first.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dha_utils.complexity import count_macs
from dha_utils.errors import ParameterError
from dha_utils.pruning import resized
from dha_utils.soundnet import Layer, SoundNet

STEPS = 32
"""A layer loses its maps in steps of 1/32 of them, at least one map."""


def allocate(
    model: SoundNet, lost: Mapping[str, np.ndarray], n_samples: int, budget: float
) -> dict[str, int]:
    """Return how many maps each layer keeps.

    Greedy: starting from the full network, again and again the layer gives up a step of maps that loses the least for what
    it saves, where saving is the share of the multiply-accumulates plus the share of the parameters; until the
    multiply-accumulates are within the budget. Accuracies are not looked at.

    Parameters
    ----------
    model : SoundNet
        The full network.
    lost : dict of str to ndarray, shape (maps + 1,)
        Share of what a criterion measures in a layer that is lost when its first k maps are kept, as
        `dha_utils.channels.order_filters` gives it.
    n_samples : int
        Length of a clip.
    budget : float
        Fraction of the full network's multiply-accumulates, in (0, 1].

    Returns
    -------
    dict of str to int

    Raises
    ------
    ParameterError
        If the budget is out of range, or below what one map per layer costs.
    """
    if not 0 < budget <= 1:
        raise ParameterError(
            f"budget is {budget!r}, expected a fraction of the computation in (0, 1], such as 0.4"
        )
    full = [layer.maps_out for layer in model.layers]
    counts = list(full)
    curves = [lost[f"conv{number}"] for number in range(1, len(full) + 1)]
    positions = count_macs(model, n_samples)["positions"].tolist()
    everything = _cost(model.layers, full, positions)
    cost = everything
    while cost[0] > budget * everything[0]:
        best = None
        for layer, count in enumerate(counts):
            fewer = count - max(1, full[layer] // STEPS)
            if fewer < 1:
                continue
            tried = [*counts[:layer], fewer, *counts[layer + 1 :]]
            saved = (cost - _cost(model.layers, tried, positions)) / everything
            rate = (curves[layer][fewer] - curves[layer][count]) / saved.sum()
            if best is None or rate < best[0]:
                best = (rate, tried)
        if best is None:
            raise ParameterError(
                f"budget {budget!r} is below the cost of one map per layer; choose a larger one"
            )
        counts = best[1]
        cost = _cost(model.layers, counts, positions)
    return {f"conv{number}": count for number, count in enumerate(counts, 1)}


def _cost(layers: Sequence[Layer], widths: Sequence[int], positions: Sequence[int]) -> np.ndarray:
    """Return multiply-accumulates and parameters of a network of these widths, shape (2,)."""
    sizes = [layer.maps_in * layer.maps_out * layer.kernel for layer in resized(layers, widths)]
    macs = sum(size * n for size, n in zip(sizes, positions, strict=True))
    return np.array([macs, sum(sizes) + 5 * sum(widths)], dtype=float)
