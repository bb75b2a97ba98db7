r"""A mark for what a choice of maps can reach: every layer hands on the best few combinations of all its maps, not a few maps.

Conventions: as in `dha_utils.pruning.compensation`. The combinations are the first principal components of what a layer hands on;
no k maps, however chosen and however combined, hold more of its variance than the first k components. Nothing is computed any
faster: behind an activation, a rotation cannot go into the filters. It is a mark, not a network to use, and for what the last
layer says it is no strict bound, since variance is not accuracy.

References
----------
After Ashkboos et al., "SliceGPT: Compress Large Language Models by Deleting Rows and Columns", ICLR 2024.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from dha_utils.networks.activations import layer_activations
from dha_utils.networks.base import Network
from dha_utils.pruning.refitting import RIDGE, fit_reader, pairs_by_group
from dha_utils.pruning.surgery import prune_network


def rotated_outputs(
    network: Network,
    x: np.ndarray,
    asked: np.ndarray,
    counts: Mapping[str, int],
    *,
    ridge: float = RIDGE,
) -> dict[str, Tensor]:
    """Return what the heads of a chain say when every layer hands on principal components alone.

    Layers are fitted from the input upwards, without labels, each to what it gave in the whole network.

    Parameters
    ----------
    network : Network
        A chain with heads; left as it was.
    x : ndarray, shape (clips, *shape)
        Inputs by which components are found and layers are fitted.
    asked : ndarray, shape (other clips, *shape)
        Inputs to be answered.
    counts : dict of str to int
        Layer -> how many components it hands on.
    ridge : float
        See `dha_utils.pruning.refitting.RIDGE`.

    Returns
    -------
    dict of str to Tensor, shape (other clips, outputs)
        By head.
    """
    rotated, activations = prune_network(network, {}), layer_activations(network, x)
    with torch.inference_mode():
        seen, other = activations[0], network.prepare(torch.from_numpy(asked))
        for number, (name, (conv, norm, stages)) in enumerate(rotated.layers.items()):
            if number:
                behind = norm if stages[1:] and rotated.get_submodule(stages[1]) is norm else None
                _fit(conv, behind, network.get_submodule(name), activations[number], seen, ridge)
            seen, other = (rotated.layer_output(name, maps) for maps in (seen, other))
            project = _projection(seen, counts[name])
            seen, other = project(seen), project(other)
        answers, before = {}, network.head_inputs(activations[-1])
        for name, inputs in rotated.head_inputs(seen).items():
            head = rotated.get_submodule(name)
            _fit(head, None, network.get_submodule(name), before[name], inputs, ridge)
            answers[name] = head(rotated.head_inputs(other)[name])
    return answers


def _fit(reader, norm, original, x_full: Tensor, x_small: Tensor, ridge: float) -> None:
    rows = torch.ones(len(original.weight), dtype=torch.bool)
    fit_reader(reader, norm, pairs_by_group(reader, original, rows, x_full, x_small), ridge)


def _projection(maps: Tensor, count: int) -> Callable[[Tensor], Tensor]:
    """Return what leaves of maps (clips, maps, *positions) the first principal components of the given ones."""
    flat = maps.transpose(0, 1).flatten(1).double()
    mean = flat.mean(1, keepdim=True)
    _, vectors = torch.linalg.eigh(torch.cov(flat))
    first = vectors[:, -count:]

    def project(maps: Tensor) -> Tensor:
        flat = maps.transpose(0, 1).flatten(1).double()
        left = first @ (first.T @ (flat - mean)) + mean
        return left.to(maps.dtype).unflatten(1, (len(maps), *maps.shape[2:])).transpose(0, 1)

    return project
