"""What Torch-Pruning knows of a network: which channels go together. It is imported when it is asked.

Conventions: as in `dha_utils.pruning.graphs`.
"""

from copy import deepcopy

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from dha_utils.core.errors import ParameterError
from dha_utils.pruning.slicing import NORMS, is_depthwise


def trace(module: nn.Module, example: Tensor) -> tuple:
    """Return Torch-Pruning's graph of a copy of a network, the copy, and what each module gives, in the order of calls."""
    try:
        from torch_pruning import DependencyGraph
    except ImportError:
        raise ParameterError(
            f"to cut a {type(module).__name__}, which is no chain, Torch-Pruning is needed: pip install torch-pruning"
        ) from None
    traced = deepcopy(module).eval().requires_grad_(True)
    gives: dict[str, list] = {}
    for name, part in traced.named_modules():
        part.register_forward_hook(lambda _, __, out, name=name: gives.setdefault(name, []).append(out))
    try:
        with torch.enable_grad():
            traced(example)  # which says what is wrong better than Torch-Pruning's second try
            gives.clear()
            graph = DependencyGraph().build_dependency(
                traced, (example,), output_transform=tensors_in, verbose=False
            )
    except Exception as error:  # whatever somebody else's forward may raise
        raise ParameterError(
            f"Torch-Pruning cannot follow {type(module).__name__} on an example of shape {tuple(example.shape)}: "
            f"{' '.join(str(error).split())[:150]}"
        ) from error
    gives[""] = tensors_in(gives[""])
    return graph, traced, gives


def tensors_in(given: object) -> list[Tensor]:
    """Return all tensors in what a module gives."""
    if isinstance(given, Tensor):
        return [given]
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]


def coupled_sets(
    graph, keys: dict, readers: dict[str, nn.Module]
) -> tuple[dict[tuple, np.ndarray], set[str]]:
    """Return in which coupled set each channel is, of what every module and operation gives and reads; and lost readers.

    A reader is lost if Torch-Pruning cannot tell what becomes of its maps.
    """
    sizes: dict[tuple, int] = {}
    for name, reader in readers.items():
        sizes[name, "out"] = len(reader.weight)
        if not is_depthwise(reader):
            sizes[name, "in"] = reader.weight.shape[1] * getattr(reader, "groups", 1)
    sizes |= {(keys[n], "out"): n.module.num_features for n in keys if isinstance(n.module, NORMS)}
    true_sizes, lost = dict(sizes), set()
    pairs = [((name, "out"), np.arange(1), (name, "out"), np.arange(1)) for name in readers]
    for name, reader in readers.items():
        prune = graph.get_pruner_of_module(reader).prune_out_channels
        own = []
        try:
            for item in graph.get_pruning_group(reader, prune, list(range(len(reader.weight)))):
                side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
                slot, numbers = (keys[item.dep.target], side), np.array(item.idxs, dtype=int)
                if numbers.max() >= true_sizes.get(slot, np.inf):
                    raise IndexError
                own.append((slot, numbers, (name, "out"), np.array(item.root_idxs, dtype=int)))
        except (IndexError, TypeError, ValueError):
            lost.add(name)
            continue
        pairs += own
        for slot, numbers, *_ in own:
            sizes[slot] = max(sizes.get(slot, 0), 1 + int(numbers.max()))
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    ends = [np.concatenate([starts[pair[side]] + pair[side + 1] for pair in pairs]) for side in (0, 2)]
    total = sum(sizes.values())
    _, sets = connected_components(
        coo_array((np.ones(len(ends[0])), ends), shape=(total, total)), directed=False
    )
    return {slot: sets[start : start + sizes[slot]] for slot, start in starts.items()}, lost
