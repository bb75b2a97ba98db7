"""What the rest asks of a network: a chain of named modules, the points at which its maps are read, and what goes in.

Conventions: a *layer* is a convolution with all that comes behind it, up to the next one, and bears the name of the convolution;
all these modules give the same maps. A *tap* is a module whose maps are read. Maps are ``(clips, maps, *positions)``: one axis of
positions for sounds, two for spectrograms. Waveforms are ``(clips, samples)``, mono, float32 in [-1, 1].

A network of one's own is a subclass, or an instance, of `Network`; all but `Network.prepare` has a default.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from math import prod
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dha_utils.core.errors import DataError, ParameterError, closest

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)

BATCH = 8
"""Clips that go through a layer at a time: what is held beside its maps stays below 100 MB."""


class ConvLayer(NamedTuple):
    """A convolution, the batch norm behind it (None: there is none), and the names of all modules that give its maps."""

    conv: nn.Conv1d | nn.Conv2d
    norm: nn.BatchNorm1d | nn.BatchNorm2d | None
    stages: tuple[str, ...]


class Network(nn.Module):
    """A convolutional chain with taps.

    Parameters
    ----------
    chain : dict of str to Module
        What the maps pass, in order; from a convolution on. They become submodules of these names; of an `nn.Sequential`
        every part is a module of its own, named ``block.0``, ``block.1``, ...
    taps : sequence of str
        Names of the modules whose maps are read, from the input upwards.
    name : str
        What it is called in `dha_utils.networks.registry.NETWORKS` and in the provenance of responses.
    rate : int
        Hz; the rate of the sounds that it knows.
    min_samples : int
        Shortest waveform, in samples, for which every tap has at least one position.
    heads : dict of str to Module
        Convolutions that read the last maps; they play no part in the taps.
    kernels : dict of str to (int, float)
        Tap -> degree and gamma of its classifier's kernel, where somebody has set them.
    sums : dict of str to sequence of str
        Name -> taps whose scores are summed, beside the sum of all (`dha_utils.fusions`).
    settings : dict
        What tells it from others of its name, in JSON types: a part of the provenance, and what its maker is called with.

    Raises
    ------
    ParameterError
        If a tap is none of the modules, the chain does not begin with a convolution, a name is taken, or a module that is no
        sequence holds convolutions.
    """

    is_chain: bool = True
    """Whether the layers read one another's maps in turn; of a network with branches, layers are those that are called."""

    listener: Callable | None = None
    """Returns what tells classes from its responses (`predict`, `listen`)."""

    def __init__(
        self, chain: Mapping[str, nn.Module], taps: Sequence[str], *, name: str, rate: int, min_samples: int,
        heads: Mapping[str, nn.Module] | None = None, kernels: Mapping[str, tuple[int, float]] | None = None,
        sums: Mapping[str, Sequence[str]] | None = None, settings: Mapping[str, object] | None = None,
    ):  # fmt: skip
        super().__init__()
        self.taps, self.name, self.rate, self.min_samples = tuple(taps), name, rate, min_samples
        self.kernels, self.sums, self.settings = dict(kernels or {}), dict(sums or {}), dict(settings or {})
        self.chain, self.heads = (), tuple(heads or {})
        for own, module in (*chain.items(), *(heads or {}).items()):
            if hasattr(type(self), own) or own in vars(self) or own in self._modules or "." in own or not own:
                raise ParameterError(
                    f"network {name!r} cannot have a module named {own!r}: the name is taken, or no name; choose another"
                )
            self.add_module(own, module)
        self.chain = tuple(part for own in chain for part in self._parts(own))
        if not self.chain or not isinstance(self.get_submodule(self.chain[0]), CONVOLUTIONS):
            raise ParameterError(
                f"network {name!r} begins with no convolution: put what comes before into prepare"
            )
        for tap in self.taps:
            self.layer_of(tap)

    @staticmethod
    def wrap(module: nn.Module, shape: Sequence[int], **options) -> "Network":
        """Return a network of your own module; arguments as of `dha_utils.networks.wrapped.Wrapped`.

        Examples
        --------
        >>> module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
        >>> Network.wrap(module, (1, 8, 8)).tap_maps
        {'1': 4}
        """
        from dha_utils.networks.wrapped import Wrapped  # which is built upon this module

        return Wrapped(module, shape, **options)

    def _parts(self, name: str) -> Iterator[str]:
        """Yield the name of a module, or, of one that is a sequence, those of its parts."""
        module = self.get_submodule(name)
        if isinstance(module, nn.Sequential):
            for part, _ in module.named_children():
                yield from self._parts(f"{name}.{part}")
            return
        if not isinstance(module, CONVOLUTIONS) and any(
            isinstance(m, CONVOLUTIONS) for m in module.modules()
        ):
            raise ParameterError(
                f"module {name!r} of network {self.name!r}, a {type(module).__name__}, holds convolutions: name each in the chain"
            )
        yield name

    def prepare(self, waveforms: Tensor) -> Tensor:
        """Return what the first module sees for waveforms (clips, samples): here ``(clips, 1, samples)``."""
        return waveforms.unsqueeze(1)

    @property
    def layers(self) -> dict[str, ConvLayer]:
        """Name -> layer, from the input upwards."""
        found: dict[str, list] = {}
        for name in self.chain:
            module = self.get_submodule(name)
            if isinstance(module, CONVOLUTIONS):
                current = found[name] = [module, None, ()]
            elif isinstance(module, NORMS):
                current[1] = module
            current[2] += (name,)
        return {name: ConvLayer(*parts) for name, parts in found.items()}

    def layer_of(self, tap: str) -> str:
        """Return the name of the layer that makes a tap's maps.

        Raises
        ------
        ParameterError
            If it names no module of the chain.
        """
        for name, layer in self.layers.items():
            if tap in layer.stages:
                return name
        raise ParameterError(
            f"tap {tap!r} names no module of {self.name}{closest(tap, self.chain)}; its taps: {', '.join(self.taps)}"
        )

    @property
    def last_taps(self) -> dict[str, str]:
        """Layer -> the last of its taps, whose maps the next layer sees; layers without a tap are left out."""
        return {self.layer_of(tap): tap for tap in self.taps}

    @property
    def widths(self) -> dict[str, int]:
        """Layer -> its number of maps."""
        return {name: layer.conv.out_channels for name, layer in self.layers.items()}

    @property
    def tap_maps(self) -> dict[str, int]:
        """Tap -> its number of maps."""
        widths = self.widths
        return {tap: widths[self.layer_of(tap)] for tap in self.taps}

    def stages(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` after every module of the chain, in order.

        Parameters
        ----------
        waveforms : Tensor, shape (clips, samples), float32

        Yields
        ------
        name : str
        maps : Tensor, shape (clips, maps, *positions)

        Raises
        ------
        DataError
            If the waveforms are not a matrix or too short for the deepest layer.
        """
        self.check_input(waveforms)
        x = self.prepare(waveforms)
        for name in self.chain:
            x = self.get_submodule(name)(x)
            yield name, x

    def features(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` at the taps; arguments and errors as in `stages`."""
        return ((name, maps) for name, maps in self.stages(waveforms) if name in self.taps)

    def forward(self, waveforms: Tensor) -> tuple[Tensor, ...]:
        """Return what every head makes of the last maps; arguments and errors as in `stages`."""
        *_, (_, maps) = self.stages(waveforms)
        return tuple(self.get_submodule(head)(maps) for head in self.heads)

    def predict(self, sound, rate: float | None = None):
        """Say what is heard in a sound: for a network that was loaded from a file of ``dha prune``.

        Parameters
        ----------
        sound : path or ndarray, shape (n_samples,) or (n_samples, channels)
            A file, or samples in [-1, 1]. Padded or cut to what the network was made for, and resampled.
        rate : float, optional
            Of samples, Hz.

        Returns
        -------
        dha_utils.pruning.listening.Prediction
            `label`, the `scores` of all classes, `seconds` of each step.

        Raises
        ------
        ParameterError
            If the network comes without classifiers, or samples without a rate.
        AudioError
            If the sound cannot be used.
        """
        return self._listening().predict(sound, rate)

    def listen(self, blocks, rate: float, every: float = 1.0):
        """Say what is heard in a stream, as it comes; for a network that was loaded from a file of ``dha prune``.

        Parameters
        ----------
        blocks : iterable of ndarray, shape (n_samples,)
            Samples in [-1, 1], of any number at a time: what a microphone gives.
        rate : float
            Of the samples, Hz.
        every : float
            Seconds between clips, each of the duration that the network was made for.

        Yields
        ------
        dha_utils.pruning.listening.Prediction
            As `predict` returns it; `start` says where in the stream the clip begins. The first comes when a clip is full; the
            last clip ends where the stream ends.

        Raises
        ------
        ParameterError
            If the network comes without classifiers, or `every` is not above 0.
        AudioError
            If blocks are of another shape or type, or cannot be used.
        """
        return self._listening().listen(blocks, rate, every)

    def _listening(self):
        if self.listener is None:
            raise ParameterError(
                f"network {self.name!r} has no classifiers: make a file with `dha prune`, and load it with dha.load_network"
            )
        return self.listener()

    def layer_output(self, name: str, x: Tensor) -> Tensor:
        """Return what a layer hands on for its input (clips, maps, *positions), a few clips at a time."""
        return self.through(self.layers[name].stages, x)

    def through(self, modules: Iterable[str], x: Tensor) -> Tensor:
        """Return what modules, one after the other, make of maps (clips, maps, *positions), a few clips at a time."""
        outputs, modules = [], [self.get_submodule(name) for name in modules]
        for part in x.split(BATCH):
            for module in modules:
                part = module(part)
            outputs.append(part)
        return torch.cat(outputs)

    def check_input(self, waveforms: Tensor) -> None:
        """Raise a DataError unless waveforms are (clips, samples) and long enough for the deepest layer."""
        check_waveforms(waveforms, self.min_samples)

    def input_shape(self, n_samples: int | None = None) -> tuple[int, ...]:
        """Return the shape of what one clip of so many samples gives to `prepare`; a ParameterError where that is too short."""
        if n_samples is None:
            raise ParameterError(
                f"n_samples is None, expected the length of a clip, at least {self.min_samples} samples"
            )
        if n_samples < self.min_samples:
            raise ParameterError(f"n_samples is {n_samples!r}, the network needs at least {self.min_samples}")
        return (n_samples,)

    def shapes(self, n_samples: int | None = None) -> dict[str, tuple[int, ...]]:
        """Return module -> shape ``(maps, *positions)`` of what it gives for one clip; nothing is computed.

        Raises
        ------
        ParameterError
            If the clip is too short, or the modules do not fit together.
        """
        shapes, name = {}, "prepare"
        one = torch.zeros(1, *self.input_shape(n_samples), device=next(self.parameters()).device)
        try:
            x = self.prepare(one).to("meta")
            for name in self.chain:
                module = self.get_submodule(name)
                x = functional_call(
                    module, {key: t.to("meta") for key, t in module.state_dict().items()}, (x,)
                )
                shapes[name] = tuple(x.shape[1:])
        except (RuntimeError, ValueError) as error:
            raise ParameterError(
                f"{name} of network {self.name!r} cannot take what reaches it of {n_samples} samples: give a larger min_samples "
                f"than {self.min_samples}, or modules that fit ({' '.join(str(error).split())[:150]})"
            ) from error
        return shapes

    def check_duration(self, duration: float | None, rate: int) -> float:
        """Return the seconds that a file must have at least: none where all are padded to a duration.

        Raises
        ------
        ParameterError
            If the duration (s) is too short for the network at a rate (Hz).
        """
        shortest = self.min_samples / rate
        if duration is None:
            return shortest
        if round(duration * rate) < self.min_samples:
            raise ParameterError(
                f"a duration of {duration:g} s is too short for the network at {rate} Hz: give at least {shortest:.3f}"
            )
        return 0.0

    def fast(self, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> "Taps":
        """Return the function that gives what `features` gives, on a device and in a precision; quicker, where a network can."""
        return Taps(self, device, dtype)

    def check_prunable(self) -> None:
        """Raise a ParameterError if this network cannot be made smaller: if a convolution is grouped, dilated or pads by name."""
        for name, (conv, *_) in self.layers.items():
            if conv.groups > 1 or max(conv.dilation) > 1 or isinstance(conv.padding, str):
                raise ParameterError(
                    f"{name} of network {self.name!r} is {conv}: maps of one with groups, dilation or padding by name can be "
                    "selected, its filters not removed"
                )

    def narrow(self, kept: Mapping[str, np.ndarray]) -> Self:
        """Return a copy with some channels of every layer, and of what reads them the weights for these alone.

        Parameters
        ----------
        kept : dict of str to ndarray of int
            Layer -> channels that stay, in this order; layers that are not named stay whole.
        """
        small = deepcopy(self)
        below = None
        for name, (conv, _, stages) in small.layers.items():
            rows = torch.from_numpy(np.asarray(kept.get(name, np.arange(conv.out_channels))))
            slice_channels(conv, rows, below)
            for stage in map(small.get_submodule, stages):
                if isinstance(stage, NORMS):
                    slice_channels(stage, rows)
            below = rows
        for head in small.heads:
            slice_channels(small.get_submodule(head), None, self.columns(head, below))
        return small

    def headless(self) -> Self:
        """Return a copy without heads, which play no part in the taps."""
        bare = deepcopy(self)
        for head in bare.heads:
            delattr(bare, head)
        bare.heads = ()
        return bare

    def head_positions(self, last: Sequence[int]) -> dict[str, int]:
        """Return head -> at how many positions of last maps (maps, *positions) it is applied; 0: they are too small."""
        found = {}
        for head in self.heads:
            conv = self.get_submodule(head)
            axes = zip(last[1:], conv.kernel_size, conv.stride, conv.padding, strict=True)
            found[head] = prod(
                max(0, (n + 2 * pad - kernel) // stride + 1) for n, kernel, stride, pad in axes
            )
        return found

    def head_inputs(self, maps: Tensor) -> dict[str, Tensor]:
        """Return head -> what it sees of the last layer's maps (clips, maps, *positions), of heads that are part of what counts.

        Here none: what reads the last maps plays no part in the taps.
        """
        return {}

    def columns(self, head: str, kept: Tensor) -> Tensor | None:
        """Return which inputs of a head are of the kept channels of the last layer, in their order; None: all of them."""
        return kept


class Taps:
    """The maps of a network's taps by the plain path, on a device and in a precision.

    Attributes
    ----------
    device : torch.device
    min_samples : int
        As of the network.
    """

    def __init__(self, network: Network, device: torch.device | str, dtype: torch.dtype):
        self.device, self.dtype, self.min_samples = torch.device(device), dtype, network.min_samples
        plain = (self.device.type, dtype) == ("cpu", torch.float32)
        self.network = network if plain else deepcopy(network).to(self.device, dtype)

    def __call__(self, waveforms: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)`` at the taps; a tap's maps may be overwritten once the next is asked for."""
        return self.network.features(waveforms.to(self.device, self.dtype))

    def stream(self, pieces: Iterable[np.ndarray]) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)``, each (1, maps, *positions), at the taps of one sound that comes in pieces, each (samples,).

        The plain path waits for the whole sound. One that does not yields stretches of a tap's positions, in order.
        """
        yield from self(torch.from_numpy(np.concatenate(list(pieces)))[None])


def check_waveforms(waveforms: Tensor, min_samples: int) -> None:
    """Raise a DataError unless `waveforms` is (clips, samples) and long enough for the deepest layer."""
    if waveforms.ndim != 2 or waveforms.shape[1] < min_samples:
        raise DataError(
            f"waveforms have shape {tuple(waveforms.shape)}, expected (clips, samples) with at least "
            f"{min_samples} samples: pad the clips to a longer duration"
        )


def slice_channels(module: nn.Module, rows: Tensor | None, columns: Tensor | None = None) -> None:
    """Cut a module, in place, to some of its outputs (rows) and inputs (columns); None: all.

    It is a convolution, a batch norm or a linear layer.
    """
    for name, tensor in list(module.state_dict().items()):
        if not tensor.ndim:  # batch norm's counter of updates
            continue
        if rows is not None:
            tensor = tensor[rows]
        if columns is not None and name == "weight":
            tensor = tensor[:, columns]
        is_parameter = name in dict(module.named_parameters())
        setattr(module, name, nn.Parameter(tensor) if is_parameter else tensor)
    sizes = {"out_channels": rows, "in_channels": columns}
    if isinstance(module, NORMS):
        sizes = {"num_features": rows}
    elif isinstance(module, nn.Linear):
        sizes = {"out_features": rows, "in_features": columns}
    for name, channels in sizes.items():
        if channels is not None:
            setattr(module, name, len(channels))
