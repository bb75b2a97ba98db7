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


def check_budget(network: Network, n_samples: int, budget: float) -> None:
    """Raise where no `allocate` gets within a budget; arguments as there.

    Raises
    ------
    ParameterError
        If the budget is no fraction, or the fewest maps take more.
    """
    if not 0 < budget <= 1:
        raise ParameterError(
            f"budget is {budget!r}, expected a fraction of the computation in (0, 1], such as 0.4"
        )
    full = list(network.widths.values())
    fewest = [_fewest(count) for count in full]
    costs = count_macs(network, n_samples)
    first, *_ = costs["maps_in"]
    work = (costs["kernel"] * costs["positions"]).to_numpy()
    share = np.dot(work, np.multiply([first, *fewest[:-1]], fewest)) / costs["macs"].sum()
    if share > budget:
        raise ParameterError(
            f"a budget of {budget!r} cannot be had: {'-'.join(map(str, fewest))} maps, the fewest, take "
            f"{share:.4f} of the computation; give at least {np.ceil(share * 1e4) / 1e4:g}"
        )


def _fewest(full: int) -> int:
    """Return the maps that are left of a layer after as many steps as it has."""
    step = max(1, full // STEPS)
    return full - (full - 1) // step * step


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
        As `check_budget`.
    """
    check_budget(network, n_samples, budget)
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
        counts = best[1]
        cost = cost_of(counts)
    return dict(zip(layers, counts, strict=True))
