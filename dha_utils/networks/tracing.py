"""What a module does, seen from outside: the steps of one that is a chain, and which map each value depends on.

Conventions: a *step* is a submodule without parts, or a function or method that ``forward`` calls, such as `torch.relu`.
Submodules bear their names, functions those that `torch.fx` gives them (``relu``, ``max_pool2d``); what is called again bears
its name with ``_1``, ``_2``, ...
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil, log2
from threading import get_ident

import torch
from torch import Tensor, fx, nn

from dha_utils.networks.base import NORMS

ACTIVATIONS = {
    "celu", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "mish", "prelu", "relu", "relu6", "rrelu",
    "selu", "sigmoid", "silu", "softplus", "softsign", "tanh",
}  # fmt: skip
"""Names of functions that are activations; as modules they are those of `torch.nn.modules.activation`."""


class Step(nn.Module):
    """A function or a method of tensors that a module calls between its submodules, with its other arguments.

    In `arguments` stands None in place `of` the tensor.
    """

    def __init__(self, call: Callable | str, arguments: tuple, of: int, named: dict):
        super().__init__()
        self.call, self.arguments, self.of = call, arguments, of
        self.named = {**named, "inplace": False} if named.get("inplace") else named

    def forward(self, x: Tensor) -> Tensor:
        """Return what it makes of `x`."""
        call = getattr(type(x), self.call) if isinstance(self.call, str) else self.call
        return call(*self.arguments[: self.of], x, *self.arguments[self.of + 1 :], **self.named)


def is_activation(step: nn.Module) -> bool:
    """Return whether a step is an activation, by its kind."""
    if isinstance(step, Step):
        name = step.call if isinstance(step.call, str) else step.call.__name__
        return name.rstrip("_") in ACTIVATIONS
    return type(step).__module__ == "torch.nn.modules.activation"


def is_channelwise(step: nn.Module) -> bool:
    """Return whether a step keeps maps apart, as far as its kind says: batch norm, or something that holds no numbers."""
    one_slope = isinstance(step, nn.PReLU) and step.num_parameters == 1
    return isinstance(step, NORMS) or one_slope or not step.state_dict()


class _Tracer(fx.Tracer):
    """Looks into modules that have parts, and into no others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not [*m.children()]


def chain_steps(module: nn.Module) -> dict[str, str | Step]:
    """Return name -> step of a module, from its input on, as long as each sees what the one before gives and nothing else does.

    A submodule is told by its own name. None of them where the code cannot be followed, as where what is done depends on values.
    """
    try:
        graph = _Tracer().trace(module)
    except Exception:  # whatever the module's code makes of what is no tensor
        return {}
    node, *_ = (n for n in graph.nodes if n.op == "placeholder")
    steps: dict[str, str | Step] = {}
    calls: Counter[str] = Counter()
    while len(node.users) == 1:
        before, (node,) = node, node.users
        places = [place for place, argument in enumerate(node.args) if argument is before]
        if node.op == "output" or len(places) != 1 or node.all_input_nodes != [before]:
            break
        is_module = node.op == "call_module"
        target = str(node.target) if is_module else node.name
        name = f"{target}_{calls[target]}" if calls[target] else target
        steps[name] = (
            target
            if is_module
            else Step(node.target, _without(node.args, before), places[0], dict(node.kwargs))
        )
        calls[target] += 1
    return steps


def _without(arguments: tuple, node: fx.Node) -> tuple:
    return tuple(None if argument is node else argument for argument in arguments)


@contextmanager
def watched(
    module: nn.Module, note: Callable[[str, nn.Module, object], None], *, inputs: bool = False
) -> Iterator[None]:
    """Tell `note` of every call of a submodule without parts, in this thread: its name, the module, what it gives (or sees)."""
    counts: Counter[str] = Counter()
    here = get_ident()

    def hook_of(name: str) -> Callable:
        def hook(part: nn.Module, *values) -> None:
            if get_ident() == here:  # other threads may run the same module
                again = counts[name]
                counts[name] += 1
                note(f"{name}_{again}" if again else name, part, values[0][0] if inputs else values[-1])

        return hook

    handles = []
    for name, part in module.named_modules():
        if not [*part.children()]:
            register = part.register_forward_pre_hook if inputs else part.register_forward_hook
            handles.append(register(hook_of(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def called(module: nn.Module, x: Tensor) -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    """Return name, module and shape of the output of every call of a submodule without parts, in order, for an input `x`."""
    calls = []

    def note(name: str, part: nn.Module, values: object) -> None:
        if isinstance(values, Tensor):
            calls.append((name, part, tuple(values.shape)))

    with torch.inference_mode(), watched(module, note):
        module(x)
    return calls


def channels_behind(
    module: nn.Module, x: Tensor, conv: str, readers: Sequence[str], *, inputs: bool = False
) -> dict[str, Tensor]:
    """Return on which map of a convolution each channel of what other submodules give (or see) depends.

    Found by trial: some maps are made NaN, which spreads to all that depends on them. Each map is in or out of a few sets, as its
    number has or lacks a bit, so that few clips tell all of them apart.

    Parameters
    ----------
    module : Module
    x : Tensor, shape (1, ...)
        An input of it.
    conv : str
        Name of a convolution in it.
    readers : sequence of str
        Names of submodules without parts, in any order.
    inputs : bool
        Look at what they see.

    Returns
    -------
    dict of str to Tensor, shape (channels,), int64
        The number of the map; -1: several, -2: none. Readers that are not called are left out.
    """
    n_maps = module.get_submodule(conv).out_channels
    bits = [(torch.arange(n_maps) >> bit) % 2 == 1 for bit in range(max(1, ceil(log2(n_maps))))]
    sets = torch.stack([side for bit in bits for side in (bit, ~bit)])
    found: dict[str, Tensor] = {}

    def look(name: str, _: nn.Module, values: object) -> None:
        if name in readers and isinstance(values, Tensor) and values.ndim > 1:
            spoilt = values.isnan().reshape(*values.shape[:2], -1).any(2)
            with_bit, without = spoilt[0::2].long(), spoilt[1::2].long()
            numbers = (with_bit << torch.arange(len(with_bit))[:, None]).sum(0)
            several, none = (with_bit + without == 2).any(0), (with_bit + without == 0).any(0)
            found[name] = numbers.masked_fill(several, -1).masked_fill(none, -2)

    def spoil(_part, _seen, maps: Tensor) -> Tensor:
        return maps.masked_fill(sets.view(*sets.shape, *[1] * (maps.ndim - 2)), torch.nan)

    handle = module.get_submodule(conv).register_forward_hook(spoil)
    try:
        with torch.inference_mode(), watched(module, look, inputs=inputs):
            module(x.expand(len(sets), *x.shape[1:]).contiguous())
    finally:
        handle.remove()
    return found


def reached_past(module: nn.Module, x: Tensor, conv: str) -> set[str]:
    """Return the submodules without parts that something of the input reaches on another way than through a convolution.

    Found by trial: the input is NaN, and what the convolution gives is nought. Arguments as in `channels_behind`.
    """
    reached = set()

    def look(name: str, _: nn.Module, values: object) -> None:
        if isinstance(values, Tensor) and values.isnan().any():
            reached.add(name)

    handle = module.get_submodule(conv).register_forward_hook(
        lambda _part, _seen, maps: torch.zeros_like(maps)
    )
    try:
        with torch.inference_mode(), watched(module, look):
            module(torch.full_like(x, torch.nan))
    finally:
        handle.remove()
    return reached
