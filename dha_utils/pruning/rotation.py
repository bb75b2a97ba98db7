r"""A mark for what a choice of maps can reach: every layer hands on the best few combinations of all its maps, not a few maps.

Conventions: as in `dha_utils.pruning.compensation`. The combinations are the first principal components of what a layer hands on;
no k maps, however chosen and however combined, hold more of its variance than the first k components. Nothing is computed any
faster: behind an activation, a rotation cannot go into the filters. It is a mark, not a network to use, and for what the last
layer says it is no strict bound, since variance is not accuracy.

References
----------
After Ashkboos et al., "SliceGPT: Compress Large Language Models by Deleting Rows and Columns", ICLR 2024.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from dha_utils.networks.base import Network
from dha_utils.pruning.refitting import RIDGE, fit_reader, pairs_by_group
from dha_utils.pruning.surgery import prune_network


@torch.inference_mode()
def rotated_maps(
    network: Network,
    activations: Sequence[Tensor],
    asked: np.ndarray,
    counts: Mapping[str, int],
    *,
    ridge: float = RIDGE,
) -> Iterator[tuple[str, Tensor]]:
    """Yield what a chain gives where every layer hands on principal components alone: at its taps, then from its heads.

    Layers are fitted from the input upwards, without labels, each to what it gave in the whole network. A tap inside a layer
    hands nothing on; it is seen in as many components of its own maps.

    Parameters
    ----------
    network : Network
        Left as it was.
    activations : sequence of Tensor
        Of the clips by which components are found and layers are fitted, as
        `dha_utils.networks.activations.layer_activations` gives them.
    asked : ndarray, shape (other clips, *shape)
        Inputs to be answered.
    counts : dict of str to int
        Layer -> how many components it hands on.
    ridge : float
        See `dha_utils.pruning.refitting.RIDGE`.

    Yields
    ------
    name : str
        Of a tap or a head.
    maps : Tensor, shape (other clips, maps, *positions)
        All maps of a tap, rebuilt from the components; or what a head says.
    """
    rotated = prune_network(network, {})
    seen, other = activations[0], network.prepare(torch.from_numpy(asked))
    for number, (name, (conv, norm, stages)) in enumerate(rotated.layers.items()):
        if number:
            behind = norm if stages[1:] and rotated.get_submodule(stages[1]) is norm else None
            _fit(conv, behind, network.get_submodule(name), activations[number], seen, ridge)
        passed: list[str] = []
        for stage in stages:
            passed.append(stage)
            if stage in rotated.taps or stage == stages[-1]:
                seen, other = (rotated.through(passed, maps) for maps in (seen, other))
                project, passed = _projection(seen, counts[name]), []
                if stage in rotated.taps:
                    yield stage, project(other)
        seen, other = project(seen), project(other)
    before = network.head_inputs(activations[-1])
    for name, inputs in rotated.head_inputs(seen).items():
        head = rotated.get_submodule(name)
        _fit(head, None, network.get_submodule(name), before[name], inputs, ridge)
        yield name, head(rotated.head_inputs(other)[name])


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
