"""How many filters each layer keeps, for a given amount of computation.

The layers of SoundNet are far from equal: conv1 and conv2 hold three quarters of the multiplications and less than one in
fifty of the parameters, and an upper layer says in a few maps what it says in a thousand. So the number of maps is not one
fraction for all layers but what a criterion asks for: where little is lost of what it measures, maps go first.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dha_utils.core.errors import ParameterError
from dha_utils.networks.base import Network
from dha_utils.pruning.cost import count_macs

STEPS = 32
"""A layer loses its maps in steps of 1/32 of them, at least one map."""


def allocate(
    network: Network, lost: Mapping[str, np.ndarray], n_samples: int, budget: float
) -> dict[str, int]:
    """Return how many maps each layer keeps.

    Greedy: starting from the full network, again and again the layer gives up a step of maps that loses the least for what
    it saves, where saving is the share of the multiply-accumulates plus the share of the parameters; until the
    multiply-accumulates are within the budget. Accuracies are not looked at.

    Parameters
    ----------
    network : Network
        The full network.
    lost : dict of str to ndarray, shape (maps + 1,)
        Share of what a criterion measures in a layer that is lost when its first k maps are kept, as
        `dha_utils.criteria.selection.order_filters` gives it.
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
    layers = network.layers
    full = list(network.widths.values())
    counts = list(full)
    curves = [lost[layer] for layer in layers]
    costs = count_macs(network, n_samples)
    first, *_ = costs["maps_in"]
    kernels, positions = costs["kernel"].to_numpy(), costs["positions"].to_numpy()
    vectors = (
        costs["parameters"] - costs["macs"] // positions
    ).to_numpy() // full  # bias and batch norm, per map

    def cost_of(widths: Sequence[int]) -> np.ndarray:
        """Return multiply-accumulates and parameters of a network of these widths, shape (2,)."""
        sizes = np.array([first, *widths[:-1]]) * widths * kernels
        return np.array([(sizes * positions).sum(), sizes.sum() + (vectors * widths).sum()], dtype=float)

    everything = cost_of(full)
    cost = everything
    while cost[0] > budget * everything[0]:
        best = None
        for layer, count in enumerate(counts):
            fewer = count - max(1, full[layer] // STEPS)
            if fewer < 1:
                continue
            tried = [*counts[:layer], fewer, *counts[layer + 1 :]]
            saved = (cost - cost_of(tried)) / everything
            rate = (curves[layer][fewer] - curves[layer][count]) / saved.sum()
            if best is None or rate < best[0]:
                best = (rate, tried)
        if best is None:
            raise ParameterError(
                f"budget {budget!r} is below the cost of one map per layer; choose a larger one"
            )
        counts = best[1]
        cost = cost_of(counts)
    return dict(zip(layers, counts, strict=True))
