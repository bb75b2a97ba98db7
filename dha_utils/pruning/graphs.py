"""Cutting networks whose maps branch: residual, grouped, depthwise, concatenated and dense ones, of any `torch.nn.Module`.

Conventions: channels are *coupled* where none can go without the others: maps that are added to each other, a map and its
batch norm, a filter of a depthwise convolution and the map that it reads, a map and the inputs of all that read it. Torch-Pruning
(Fang, Ma, Song, Mi and Wang, "DepGraph: Towards Any Structural Pruning", CVPR 2023) finds them by tracing the network once.

How keep masks are combined: **a channel goes only if every mask that names it, or one that it is coupled with, lets it go**.
Channels that no mask names stay. Then, as all groups of a convolution must be of one size, those that keep fewer channels than
another keep their first removed ones too; a group that keeps no input and no output vanishes.

What was cut is compared with the whole network, on the example (or on noise, where that is of noughts), where nobody reads the
removed channels. A network whose ``forward`` does otherwise than its graph says is refused, not cut wrongly.
"""

from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from dha_utils.core.errors import ParameterError, choose
from dha_utils.pruning.keep import Keep, as_channels
from dha_utils.pruning.slicing import CONVOLUTIONS, READERS, is_depthwise, replace, slice_module

TOLERANCE = 1e-4
"""How far the cut network may be from the whole one, relative to the largest value: sums are taken in another order."""


class Masks(NamedTuple):
    """What stays, True = kept.

    Attributes
    ----------
    outputs : dict of str to ndarray, shape (channels,), bool
        Of what a module gives, by its name. Also of parameters that belong to no layer.
    inputs : dict of str to ndarray, shape (channels,), bool
        Of what a convolution, a depthwise one aside, or a linear layer reads.
    returned : list of ndarray, shape (channels,), bool, or None
        Of the tensors that the network returns, in order; None for one whose channels are no layer's.
    """

    outputs: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    returned: list[np.ndarray | None]


def cut(module: nn.Module, example: Tensor, keep: Keep) -> nn.Module:
    """Return a physically smaller copy of a network.

    Parameters
    ----------
    module : Module
        Any that Torch-Pruning can follow; it is left as it was.
    example : Tensor
        What its ``forward`` takes: axes are clips, maps, and positions.
    keep : dict of str to mask or indices
        Name of a module, as in ``module.named_modules()`` -> the maps that stay of those that it gives. What holds no weights
        and is called again is called ``relu_1``, ``relu_2``, ... How masks are combined is said at the head of
        `dha_utils.pruning.graphs`.

    Returns
    -------
    Module
        In evaluation mode; its tensors are slices of those of `module`, bit for bit. Of what `module` returns, it returns the
        channels that stay.

    Raises
    ------
    ParameterError
        If Torch-Pruning is not installed, `keep` does not fit, or the network cannot be cut in this way.
    """
    graph = ChannelGraph(module, example)
    masks = graph.combine(keep)
    small = deepcopy(module).eval()
    for name, part in list(small.named_modules()):
        if name in graph.sliced:
            slice_module(name, part, masks.outputs.get(name), masks.inputs.get(name))
    for name, axis in graph.parameters.items():
        owner, _, own = name.rpartition(".")
        kept = torch.from_numpy(np.flatnonzero(masks.outputs[name]))
        replace(small.get_submodule(owner), own, lambda p, a=axis, k=kept: p.index_select(a, k.to(p.device)))
    _compare(module, small, masks, example)
    return small


class ChannelGraph:
    """Which channels of a network can only be removed together.

    Parameters and errors as in `cut`.

    Attributes
    ----------
    readers : dict of str to Module
        Convolutions and linear layers of a copy of the network, in the order in which they are called.
    norms : dict of str to str
        Reader -> the batch norm that reads what it gives, where nothing else does.
    sliced : set of str
        Modules whose weights go with channels.
    parameters : dict of str to int
        Parameter that belongs to no layer, such as a learned scale of every map -> its axis of channels.
    """

    def __init__(self, module: nn.Module, example: Tensor):
        graph, traced, gives = _trace(module, example)
        parameters = {parameter: name for name, parameter in traced.named_parameters()}
        names = {part: name for name, part in traced.named_modules()} | parameters
        # Operations of the forward, such as an addition, have no name and stand for themselves.
        keys = {node: names.get(node.module, node) for node in graph.module2node.values()}
        self.readers = {
            name: traced.get_submodule(name)
            for name in gives
            if isinstance(traced.get_submodule(name), READERS)
        }
        self.norms = {}
        for name, part in self.readers.items():
            behind = graph.module2node[part].outputs
            if len(behind) == 1 and isinstance(behind[0].module, nn.modules.batchnorm._BatchNorm):
                self.norms[name] = names[behind[0].module]
        self._sets = _coupled_sets(graph, keys, self.readers)
        self.parameters = {
            name: graph.module2node[parameter].pruning_dim
            for parameter, name in parameters.items()
            if (name, "out") in self._sets
        }
        self.sliced = {key for key, _ in self._sets if key in names.values()} - {*self.parameters}
        made_by = {node.grad_fn: key for node, key in keys.items()}
        self._returned = [made_by.get(out.grad_fn) for out in gives.pop("")]
        # What holds no weights, or several modules, gives what some operation gives.
        self._named = {
            f"{name}_{again}" if again else name: made_by.get(getattr(out, "grad_fn", None))
            for name, outs in gives.items()
            for again, out in enumerate(outs)
        }
        self._named |= {name: name for name in self.sliced}
        self._named = {name: key for name, key in self._named.items() if (key, "out") in self._sets}

    @property
    def widths(self) -> dict[str, int]:
        """Module -> how many maps it gives, of all that `keep` can name."""
        return {name: len(self._sets[key, "out"]) for name, key in self._named.items()}

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The convolutions and linear layers that share coupled outputs: one mask is enough for each of these groups."""
        groups: list[tuple[set, list]] = []
        for name in self.readers:
            sets, members = {*self._sets[name, "out"]}, []
            for group in [group for group in groups if group[0] & sets]:
                groups.remove(group)
                sets, members = sets | group[0], members + group[1]
            groups.append((sets, [*members, name]))
        return [tuple(members) for _, members in groups]

    def combine(self, keep: Keep) -> Masks:
        """Return what is left of every module, by the rule at the head of this module."""
        n_sets = 1 + max(int(sets.max()) for sets in self._sets.values())
        named, kept = np.zeros(n_sets, bool), np.zeros(n_sets, bool)
        widths = self.widths
        for name, chosen in keep.items():
            sets = self._sets[self._named[choose("module", name, widths)], "out"]
            named[sets] = True
            kept[sets[as_channels(name, chosen, len(sets))]] = True
        kept |= ~named
        self._level(kept)
        masks = {slot: kept[sets] for slot, sets in self._sets.items()}
        for (key, side), mask in masks.items():
            if not mask.any():
                raise ParameterError(
                    f"keep leaves {key} without {side}puts: at least one of {len(mask)} must stay"
                )
        keys = self._named | {name: name for name in self.parameters}
        return Masks(
            {name: masks[key, "out"] for name, key in keys.items()},
            {key: mask for (key, side), mask in masks.items() if side == "in"},
            [masks.get((key, "out")) for key in self._returned],
        )

    def _level(self, kept: np.ndarray) -> None:
        """Keep more sets until all groups of every convolution are of one size."""
        before = -1
        while before != kept.sum():
            before = kept.sum()
            for name, conv in self.readers.items():
                if isinstance(conv, nn.Linear) or conv.groups == 1 or is_depthwise(conv):
                    continue
                sides = [self._sets[name, side].reshape(conv.groups, -1) for side in ("in", "out")]
                alive = np.any([kept[sets].any(1) for sets in sides], axis=0)
                for sets in sides:
                    most = kept[sets].sum(1).max()
                    for group in sets[alive]:
                        removed = group[~kept[group]]
                        kept[removed[: most - kept[group].sum()]] = True


def _trace(module: nn.Module, example: Tensor) -> tuple:
    """Return Torch-Pruning's graph of a copy of a network, the copy, and what each module gives, in the order of calls."""
    try:
        from torch_pruning import DependencyGraph
        from torch_pruning.utils import flatten_as_list
    except ImportError:
        raise ParameterError(
            f"to cut a {type(module).__name__}, which is no chain, Torch-Pruning is needed: pip install torch-pruning"
        ) from None
    traced = deepcopy(module).eval().requires_grad_(True)
    gives: dict[str, list[Tensor]] = {name: [] for name, _ in traced.named_modules()}
    for name, part in traced.named_modules():
        part.register_forward_hook(
            lambda _, __, out, tensors=gives[name]: tensors.extend(flatten_as_list([out]))
        )
    try:
        with torch.enable_grad():
            graph = DependencyGraph().build_dependency(traced, (example,), verbose=False)
    except Exception as error:  # whatever somebody else's forward may raise
        raise ParameterError(
            f"Torch-Pruning cannot follow {type(module).__name__} on an example of shape {tuple(example.shape)}: "
            f"{' '.join(str(error).split())[:150]}"
        ) from error
    gives[""] = flatten_as_list(gives[""])
    return graph, traced, gives


def _coupled_sets(graph, keys: dict, readers: dict[str, nn.Module]) -> dict[tuple, np.ndarray]:
    """Return, for the outputs and inputs of every module and operation, in which coupled set each channel is."""
    sizes: dict[tuple, int] = {}
    pairs = []
    for name, reader in readers.items():
        root, n_rows = (name, "out"), len(reader.weight)
        if not is_depthwise(reader):
            sizes[name, "in"] = reader.weight.shape[1] * getattr(reader, "groups", 1)
        prune = graph.get_pruner_of_module(reader).prune_out_channels
        for item in graph.get_pruning_group(reader, prune, list(range(n_rows))):
            slot = keys[item.dep.target], "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
            sizes[slot] = max(sizes.get(slot, 0), 1 + max(item.idxs))
            pairs.append((slot, np.array(item.idxs), root, np.array(item.root_idxs)))
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
    ends = [np.concatenate([starts[pair[side]] + pair[side + 1] for pair in pairs]) for side in (0, 2)]
    total = sum(sizes.values())
    _, sets = connected_components(
        coo_array((np.ones(len(ends[0])), ends), shape=(total, total)), directed=False
    )
    return {slot: sets[start : start + sizes[slot]] for slot, start in starts.items()}


def _compare(module: nn.Module, small: nn.Module, masks: Masks, example: Tensor) -> None:
    """Raise a ParameterError unless a cut network returns what the whole one does where nobody reads what was removed."""
    if not example.any():
        noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
        example = noise.to(example)
    whole = deepcopy(module).eval()
    for name, mask in masks.inputs.items():
        reader = whole.get_submodule(name)
        axis = 1 if isinstance(reader, CONVOLUTIONS) else -1
        reader.register_forward_pre_hook(
            lambda _, args, m=mask, a=axis: (_silenced(args[0], m, a), *args[1:])
        )
    from torch_pruning.utils import flatten_as_list

    with torch.no_grad():
        expected = flatten_as_list([whole(example)])
        try:
            returned = flatten_as_list([small(example)])
        except Exception as error:
            raise ParameterError(
                f"{type(module).__name__} cannot run with fewer maps, perhaps as its forward counts on their number: "
                f"{' '.join(str(error).split())[:150]}"
            ) from error
    for before, now, mask in zip(expected, returned, masks.returned, strict=True):
        before = before if mask is None else before[:, torch.as_tensor(mask, device=before.device)]
        if before.shape != now.shape or (before - now).abs().max() > TOLERANCE * before.abs().max():
            raise ParameterError(
                f"{type(module).__name__} does something with its maps that Torch-Pruning does not see: cut, it would not "
                "be the network without the removed maps"
            )


def _silenced(x: Tensor, mask: np.ndarray, axis: int) -> Tensor:
    """Return a tensor whose removed channels are zero."""
    return (x.movedim(axis, -1) * torch.as_tensor(mask, device=x.device)).movedim(-1, axis)
