"""What smaller networks of CREPE are made from: the full one's outputs for frames, and what is known of its maps.

Conventions: as in `dha_utils.studies.pitch_sounds`. Frames go through the network end to end, as clips of `TOGETHER` frames.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from dha_utils.criteria.base import CRITERIA
from dha_utils.criteria.selection import OF_RESPONSES, order_by, order_filters, score_maps
from dha_utils.criteria.unpooled import SampledStatistics
from dha_utils.networks.base import Network
from dha_utils.networks.crepe import FRAME, SpectralTaps, pitch_of
from dha_utils.pruning.long_kernels import refit
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.table import Responses
from dha_utils.studies.pitch_sounds import Sounds, label_thirds

RIDGE = 0.01
"""Pull of the refitted kernels towards the original ones (`dha_utils.pruning.refitting.RIDGE`)."""

TOGETHER = 50
"""Frames that go through the network at once."""


def hear(network: Network, waveforms: np.ndarray) -> np.ndarray:
    """Return the pitch in Hz that CREPE, with frames end to end, hears in every frame, shape (frames,)."""
    return pitch_of(logits_of(network, waveforms).sigmoid()).numpy()


def logits_of(network: Network, waveforms: np.ndarray) -> Tensor:
    """Return the logits of all bins of pitch, shape (frames, bins), float32."""
    taps = SpectralTaps(network)
    with torch.inference_mode():
        return torch.cat([frame_logits(taps, clip) for clip in clips_of_frames(waveforms)])


def frame_logits(taps: SpectralTaps, clip: Tensor) -> Tensor:
    """Return the logits of the frames of a clip, shape (frames, bins)."""
    *_, (_, logits) = taps.stages(clip)
    return logits[0, :, :, 0].T


def clips_of_frames(waveforms: np.ndarray) -> Iterator[Tensor]:
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
            for clip in clips_of_frames(sounds.waveforms):
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
