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
from torch import Tensor, nn

from dha_utils.core.errors import ParameterError, choose
from dha_utils.pruning.couplings import coupled_sets, tensors_in, trace
from dha_utils.pruning.keep import Keep, as_channels
from dha_utils.pruning.slicing import READERS, is_depthwise, replace, slice_module

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
        rows, columns = masks.outputs.get(name), masks.inputs.get(name)
        if name in graph.sliced and not all(mask is None or mask.all() for mask in (rows, columns)):
            slice_module(name, part, rows, columns)
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
        graph, traced, gives = trace(module, example)
        parameters = {parameter: name for name, parameter in traced.named_parameters()}
        names = {part: name for name, part in traced.named_modules()} | parameters
        # Operations of the forward, such as an addition, have no name and stand for themselves.
        keys = {node: names.get(node.module, node) for node in graph.module2node.values()}
        self.readers = {
            name: traced.get_submodule(name)
            for name in gives
            if isinstance(traced.get_submodule(name), READERS)
            and traced.get_submodule(name) in graph.module2node
        }
        self.norms = {}
        for name, part in self.readers.items():
            behind = graph.module2node[part].outputs
            if len(behind) == 1 and isinstance(behind[0].module, nn.modules.batchnorm._BatchNorm):
                self.norms[name] = names[behind[0].module]
        self._sets, self._lost = coupled_sets(graph, keys, self.readers)
        self.parameters = {
            name: graph.module2node[parameter].pruning_dim
            for parameter, name in parameters.items()
            if (name, "out") in self._sets
        }
        single = {n for n, p in traced.named_modules() if isinstance(p, nn.PReLU) and p.num_parameters == 1}
        self.sliced = {key for key, _ in self._sets if key in names.values()} - {*self.parameters} - single
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
        for name in self._lost:
            if not masks[name, "out"].all():
                raise ParameterError(f"Torch-Pruning cannot follow the maps of {name}: keep them all")
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


def _compare(module: nn.Module, small: nn.Module, masks: Masks, example: Tensor) -> None:
    """Raise a ParameterError unless a cut network returns what the whole one does where nobody reads what was removed."""
    if not example.any():
        noise = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
        example = noise.to(example)
    whole = deepcopy(module).eval()
    for name, mask in masks.inputs.items():
        if mask.all():
            continue
        reader = whole.get_submodule(name)
        axis = -1 if isinstance(reader, nn.Linear) else 1
        reader.register_forward_pre_hook(
            lambda _, args, m=mask, a=axis: (_silenced(args[0], m, a), *args[1:])
        )
    with torch.no_grad():
        expected = tensors_in(whole(example))
        try:
            returned = tensors_in(small(example))
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
