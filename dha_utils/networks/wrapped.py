"""Any PyTorch module as a network: its maps can be read, and where it is a chain, its filters removed.

A *chain* is a module whose convolutions see one another's maps in turn, through steps that keep maps apart, each read by the
next and by nothing else; what comes behind, up to a linear layer, is its head. Of all others, such as those with branches, maps
are read as submodules are called; cutting them takes Torch-Pruning (`dha_utils.pruning.graphs`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cached_property
from math import prod

import torch
from torch import Tensor, nn

from dha_utils.core.errors import DataError, ParameterError, choose
from dha_utils.networks.base import CONVOLUTIONS, NORMS, ConvLayer, Network
from dha_utils.networks.tracing import (
    Step,
    called,
    chain_steps,
    channels_behind,
    is_activation,
    is_channelwise,
    reached_past,
    watched,
)


class _Enough(Exception):
    """All that is asked for is there."""


class Wrapped(Network):
    """A module of your own, as a network.

    Parameters
    ----------
    module : Module
        It takes one tensor; its convolutions are `torch.nn.Conv1d` or `torch.nn.Conv2d`. It is copied, in evaluation mode: train
        it first.
    shape : sequence of int
        Of one input: ``(1, 28, 28)`` for pictures of one channel, ``(16_000,)`` for a second of sound at 16 kHz.
    taps : sequence of str, optional
        Names of the steps whose maps are read, as ``module.named_modules()`` has them, or `torch.fx` for functions (``relu_1``).
        By default the activation behind every convolution; where there is none, what comes last before the maps change.
    prepare : callable, optional
        Inputs (clips, *shape) -> what the module takes. By default they are taken as they are, and waveforms get an axis for
        their one channel.
    rate : int, optional
        Hz, for a module that hears sounds; then inputs are waveforms, and `shape` is the shortest that it takes.
    name : str, optional
        What it is called; by default by its class.

    Attributes
    ----------
    module : Module
        The copy. Of a network with fewer filters it is the smaller module, for use without this package.
    is_chain : bool
        Whether it is one.

    Raises
    ------
    ParameterError
        If the module cannot take an input of this shape, has no convolution, or has no such tap.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: Sequence[int],
        *,
        taps: Sequence[str] | None = None,
        prepare: Callable[[Tensor], Tensor] | None = None,
        rate: int | None = None,
        name: str | None = None,
    ):
        nn.Module.__init__(self)
        self.name, self.rate, self.shape = name or type(module).__name__, rate, tuple(shape)
        self.min_samples = self.shape[0]
        self.kernels, self.sums, self.settings = {}, {}, {}
        if rate is not None and len(self.shape) != 1:
            raise ParameterError(
                f"shape is {self.shape}, expected the number of samples alone, (samples,), where a rate is given"
            )
        whole = module if [*module.children()] else nn.Sequential(module)  # parts have names
        self.module = deepcopy(whole).eval().requires_grad_(False)
        for part in self.module.modules():
            if getattr(part, "inplace", False):  # maps that were read must stay what they were
                part.inplace = False
        self.given = prepare or ((lambda x: x.unsqueeze(1)) if rate else (lambda x: x))
        try:
            calls = called(self.module, self.example)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ParameterError(
                f"network {self.name!r} cannot take an input of shape {self.shape}: give another shape, or what makes of it what "
                f"it takes, as prepare ({' '.join(str(error).split())[:150]})"
            ) from error
        self.convolutions = [own for own, part, _ in calls if isinstance(part, CONVOLUTIONS)]
        if not self.convolutions:
            raise ParameterError(
                f"network {self.name!r} calls no Conv1d or Conv2d: it has no maps to be read"
            )
        self._arrange(calls)
        self.taps = tuple(self._usual_taps(calls) if taps is None else taps)
        for tap in self.taps:
            choose("tap", tap, self.chain)
        self.eval()

    @property
    def example(self) -> Tensor:
        """What the module takes for one input of noughts."""
        device = next((tensor.device for tensor in self.module.parameters()), "cpu")
        return self.given(torch.zeros(1, *self.shape, device=device))

    def _arrange(self, calls: list) -> None:
        """Find the chain, what comes before and behind it, and which steps each convolution has."""
        linear = [own for own, part, _ in calls if isinstance(part, nn.Linear)]
        steps, shapes = self._steps_from_input()
        names = list(steps)
        convs = [own for own in names if own in self.convolutions]
        self.not_a_chain = ""
        if convs != self.convolutions:
            apart = next((own for own in self.convolutions if own not in convs), self.convolutions[0])
            self.not_a_chain = (
                f"what {apart} sees is not what the convolution before makes, and nothing else reads"
            )
        if len(convs) > 1 and not linear and not any(map(self._is_act, names[names.index(convs[-1]) :])):
            convs, linear = convs[:-1], convs[-1:]  # a convolution that makes the outputs: a head
        layers: dict[str, list[str]] = {}
        for conv, above in zip(convs, [*convs, None][1:], strict=True):
            layers[conv] = [conv]
            behind = names[names.index(conv) + 1 : names.index(above) if above else len(names)]
            for own in behind:
                same = len(shapes[own]) == len(shapes[conv]) and shapes[own][1] == shapes[conv][1]
                if not (same and is_channelwise(self._step(own))) or own in linear:
                    if above:
                        self.not_a_chain = self.not_a_chain or f"{own} does not keep the maps of {conv} apart"
                    break
                layers[conv].append(own)
        if self.is_chain:
            self.before = tuple(names[: names.index(convs[0])])
        else:
            self.before, self._steps = (), {own: self._target(own) for own, *_ in calls}
            layers = self._as_called(calls)
            linear = [own for own in linear if own not in layers]
        self._stages = {conv: tuple(stages) for conv, stages in layers.items()}
        self.chain = tuple(own for stages in self._stages.values() for own in stages)
        if not self.is_chain:
            self.chain = tuple(own for own, _, shape in calls if len(shape) > 2)
        self.heads = tuple(linear)

    def _steps_from_input(self) -> tuple[dict[str, str | Step], dict[str, tuple[int, ...]]]:
        """Return the steps that follow one another from the input on, and the shapes of what they give."""
        self._steps = chain_steps(self.module)
        shapes, x = {}, self.example
        with torch.inference_mode():
            for name in self._steps:
                x = self._step(name)(x)
                if not isinstance(x, Tensor):
                    break
                shapes[name] = tuple(x.shape)
        self._steps = {name: self._steps[name] for name in shapes}
        return self._steps, shapes

    def _target(self, call: str) -> str:
        """Return the name of the submodule of a call: without the number of one that is called again."""
        names = dict(self.module.named_modules())
        return call if call in names else call.rpartition("_")[0]

    def _as_called(self, calls: list) -> dict[str, list[str]]:
        """Return the convolutions, each with the batch norm of its maps that is called next, if any."""
        following = [*calls[1:], ("", None, (0, 0))]
        return {
            own: [own, after] if isinstance(behind, NORMS) and shape[1] == found[1] else [own]
            for (own, part, shape), (after, behind, found) in zip(calls, following, strict=True)
            if isinstance(part, CONVOLUTIONS)
        }

    def _usual_taps(self, calls: list) -> list[str]:
        """Return the activation behind every convolution, or what comes last with maps of its size."""
        shapes = self.shapes()
        taps = []
        for conv, above in zip(self._stages, [*[*self._stages][1:], None], strict=True):
            behind = self.chain[self.chain.index(conv) : self.chain.index(above) if above else None]
            same = [own for own in behind if shapes[own] == shapes[conv]]
            acts = [own for own in same if self._is_act(own)]
            whole = [own for own in same if not isinstance(self._step(own), nn.modules.dropout._DropoutNd)]
            taps.append((acts or whole)[0 if acts else -1])
        return taps

    def _is_act(self, name: str) -> bool:
        return is_activation(self._step(name))

    def _step(self, name: str) -> nn.Module:
        step = self._steps[name]
        return self.module.get_submodule(step) if isinstance(step, str) else step

    def holding(self, module: nn.Module) -> "Wrapped":
        """Return a network like this one of another module, such as one with fewer filters."""
        own = {"taps": self.taps, "prepare": self.given, "rate": self.rate, "name": self.name}
        return Wrapped(module, self.shape, **own)

    @property
    def is_chain(self) -> bool:
        """Whether it is one; `not_a_chain` says why not."""
        return not self.not_a_chain

    def get_submodule(self, target: str) -> nn.Module:
        """Return a step, or a submodule, by the name that it has in the module that was given."""
        if target in self._steps:
            return self._step(target)
        own = target.partition(".")[0] in self._modules
        return super().get_submodule(target) if own or not target else self.module.get_submodule(target)

    def prepare(self, waveforms: Tensor) -> Tensor:
        """Return what the first convolution sees for inputs (clips, *shape)."""
        x = self.given(waveforms)
        for name in self.before:
            x = self._step(name)(x)
        return x

    def check_input(self, waveforms: Tensor) -> None:
        """Raise a DataError unless inputs are (clips, *shape), or waveforms that are long enough."""
        if self.rate is not None:
            super().check_input(waveforms)
        elif tuple(waveforms.shape[1:]) != self.shape:
            raise DataError(
                f"inputs have shape {tuple(waveforms.shape)}, expected (clips, {', '.join(map(str, self.shape))})"
            )

    def input_shape(self, n_samples: int | None = None) -> tuple[int, ...]:
        """Return the shape of one input: what was given, or waveforms of `n_samples`."""
        return self.shape if n_samples is None or self.rate is None else super().input_shape(n_samples)

    @property
    def layers(self) -> Mapping[str, ConvLayer]:
        """Name -> layer, in the order of calls; steps of a network with branches are a convolution and its batch norm."""
        found = {}
        for name, stages in self._stages.items():
            norms = [self._step(own) for own in stages if isinstance(self._step(own), NORMS)]
            found[name] = ConvLayer(self._step(name), norms[-1] if norms else None, stages)
        return found

    @cached_property
    def _behind(self) -> dict[str, str]:
        """Step -> the convolution whose maps, and nothing else, it hands on, one by one; the nearest, if there are several."""
        behind = {}
        for conv in self._stages:
            past = reached_past(self.module, self.example, conv)
            for own, numbers in channels_behind(self.module, self.example, conv, self.chain).items():
                if own not in past and torch.equal(numbers, torch.arange(len(numbers))):
                    behind[own] = conv
        return behind

    def layer_of(self, tap: str) -> str:
        """Return the name of the convolution that makes a tap's maps.

        Raises
        ------
        ParameterError
            If it names no step, or its maps are of several convolutions.
        """
        if self.is_chain or tap not in self.chain:
            return super().layer_of(tap)
        if tap not in self._behind:
            raise ParameterError(
                f"the maps of {tap} of network {self.name!r} are not those of one convolution: criteria of weights cannot "
                "rank them"
            )
        return self._behind[tap]

    @property
    def last_taps(self) -> dict[str, str]:
        """Layer -> the last of its taps; taps whose maps are of several convolutions are left out."""
        return super().last_taps if self.is_chain else {c: t for t in self.taps if (c := self._behind.get(t))}

    @property
    def tap_maps(self) -> dict[str, int]:
        """Tap -> its number of maps."""
        shapes = self.shapes()
        return {tap: shapes[tap][0] for tap in self.taps}

    def stages(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` after every step, in order; as of `Network`."""
        return super().stages(waveforms) if self.is_chain else self._run(waveforms, self.chain)

    def features(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` at the taps, in order; as of `Network`."""
        return super().features(waveforms) if self.is_chain else self._run(waveforms, self.taps)

    def _run(self, waveforms: Tensor, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield what some steps give, once all have given it."""
        self.check_input(waveforms)
        found: dict[str, Tensor] = {}

        def note(name: str, _: nn.Module, maps: Tensor) -> None:
            if name in names:
                found[name] = maps
            if len(found) == len(names):  # what comes behind may ask for inputs of one size
                raise _Enough

        with suppress(_Enough), watched(self.module, note):
            self.module(self.given(waveforms))
        yield from found.items()

    def shapes(self, n_samples: int | None = None) -> dict[str, tuple[int, ...]]:
        """Return step -> shape ``(maps, *positions)`` of what it gives for one input; as of `Network`."""
        if self.is_chain:
            return super().shapes(n_samples)
        one = torch.zeros(1, *self.input_shape(n_samples), device=self.example.device)
        return {own: shape[1:] for own, _, shape in called(self.module, self.given(one)) if own in self.chain}

    def forward(self, waveforms: Tensor) -> Tensor:
        """Return what the module makes of inputs (clips, *shape)."""
        return self.module(self.given(waveforms))

    def headless(self) -> "Wrapped":
        """Return it as it is: its heads are a part of the module."""
        return self

    def head_positions(self, last: Sequence[int]) -> dict[str, int]:
        """Return head -> at how many positions it is applied to one input of the shape that was given."""
        shapes = {own: shape for own, _, shape in called(self.module, self.example)}
        linear = {own: isinstance(self.get_submodule(own), nn.Linear) for own in self.heads}
        return {own: prod(shapes[own][1:-1] if linear[own] else shapes[own][2:]) for own in self.heads}

    def head_inputs(self, maps: Tensor) -> dict[str, Tensor]:
        """Return what the first head of a chain sees of the last layer's maps; nothing where it sees something else."""
        steps, *_, (*_, last) = [*self._steps], *self._stages.values()
        if not self.is_chain or not self.heads or self.heads[0] not in steps:
            return {}
        for name in steps[steps.index(last) + 1 : steps.index(self.heads[0])]:
            maps = self._step(name)(maps)
        return {self.heads[0]: maps}

    def columns(self, head: str, kept: Tensor) -> Tensor | None:
        """Return which inputs of a head are of the kept maps of the last convolution; as of `Network`."""
        last = [*self._stages][-1]
        numbers = channels_behind(self.module, self.example, last, [head], inputs=True)[head]
        if head != self.heads[0]:
            if (numbers >= 0).any():
                raise ParameterError(
                    f"{head} of network {self.name!r} reads the maps of {last} beside {self.heads[0]}: not cut"
                )
            return None
        part = self.get_submodule(head)
        width = part.in_features if isinstance(part, nn.Linear) else part.in_channels
        if len(numbers) != width or (numbers < 0).any():
            raise ParameterError(
                f"{head} of network {self.name!r} does not read the maps of {last} one by one: filters of {last} cannot be "
                "removed"
            )
        return torch.cat([torch.nonzero(numbers == channel)[:, 0] for channel in kept]).sort().values

    def check_prunable(self) -> None:
        """Raise a ParameterError if its filters cannot be removed: if it is no chain, or as of `Network`."""
        if not self.is_chain:
            raise ParameterError(
                f"network {self.name!r} is no chain ({self.not_a_chain}): its maps can be selected, and removed by name with "
                "dha.prune_network"
            )
        super().check_prunable()
