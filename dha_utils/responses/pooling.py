"""From sound files to pooled responses, a batch of clips at a time: what one worker does.

Conventions: waveforms are float32 in [-1, 1], mono; see `dha_utils.responses.table` for what comes out. *Pooling* is how all
positions of a map become one number, or, where several poolings stand side by side, as many: `POOLINGS`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dha_utils.audio.files import Cut
from dha_utils.audio.waveforms import one_ahead, stream_audio
from dha_utils.core.errors import DataError, choose
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Taps
from dha_utils.responses.table import Responses

BATCH_SIZE = 8
"""Clips per forward pass: fewer carry the weights of the deepest layers through the cache more often, more fall out of it."""

STREAM_SECONDS = 60.0
"""Sounds longer than this go through the network piece by piece, in constant memory; the responses are the same."""


Batch = Callable[[Clips], dict[str, np.ndarray]]


TapsFunction = Callable[[Tensor], Iterable[tuple[str, Tensor]]]


class Pooling(NamedTuple):
    """How every map becomes one number, over all its positions at once or over one stretch of them after the other.

    Attributes
    ----------
    whole : callable
        Maps (clips, maps, *positions) -> (clips, maps), float32.
    part : callable
        The maps of a stretch of positions -> what it contributes, (clips, maps).
    join : callable
        The contributions of two stretches -> that of both.
    finish : callable
        The contribution of all stretches, and how many positions they have -> (clips, maps).
    """

    whole: Callable[[Tensor], Tensor]
    part: Callable[[Tensor], Tensor]
    join: Callable[[Tensor, Tensor], Tensor]
    finish: Callable[[Tensor, int], Tensor]


def mean_over_positions(maps: Tensor) -> Tensor:
    """Return the average of every map over its positions, (clips, maps), float32."""
    return maps.flatten(2).mean(dim=2, dtype=torch.float32)


def max_over_positions(maps: Tensor) -> Tensor:
    """Return the largest value of every map, (clips, maps), float32."""
    return maps.flatten(2).amax(dim=2).float()


MEAN = Pooling(
    mean_over_positions,
    part=lambda maps: maps.flatten(2).sum(dim=2, dtype=torch.float64),
    join=torch.add,
    finish=lambda total, n_positions: total / n_positions,
)
MAX = Pooling(
    max_over_positions, part=max_over_positions, join=torch.maximum, finish=lambda largest, _: largest
)

POOLINGS = {"mean": (MEAN,), "max": (MAX,), "mean_max": (MEAN, MAX)}
"""Name -> poolings whose numbers stand side by side in a tap's responses: those of all maps by the first, then by the next."""


def pooling_of(responses: Responses) -> str:
    """Return the name of the pooling that responses were made by."""
    return responses.provenance.get("parameters", {}).get("pooling", "mean")


def side_by_side(mean: Responses, largest: Responses) -> Responses:
    """Return the responses that pooling by ``mean_max`` gives, from those by ``mean`` and by ``max`` of the same clips.

    Raises
    ------
    DataError
        If they differ in more than the pooling.
    """
    wanted = {"mean": mean, "max": largest}
    rest = [
        {**r.provenance, "parameters": {**r.provenance.get("parameters", {}), "pooling": "mean_max"}}
        for r in wanted.values()
    ]
    if (
        [*map(pooling_of, wanted.values())] != [*wanted]
        or rest[0] != rest[1]
        or not mean.table.equals(largest.table)
    ):
        raise DataError(
            "responses by mean and by max are needed, of the same clips, extracted in the same way otherwise"
        )
    arrays = {tap: np.concatenate([mean[tap], largest[tap]], axis=1) for tap in mean.taps}
    return Responses(arrays, mean.table, rest[0])


def pool(maps: Tensor, pooling: str) -> np.ndarray:
    """Return what a pooling, by name, makes of maps (clips, maps, *positions): (clips, numbers), float32."""
    return torch.cat([way.whole(maps) for way in POOLINGS[pooling]], dim=1).numpy(force=True)


def pool_maps(
    taps: TapsFunction, waveforms: Sequence[np.ndarray], pooling: str = "mean"
) -> dict[str, np.ndarray]:
    """Return the response of every map of every tap: its average, or another of `POOLINGS`, over all positions.

    Waveforms of different lengths are never padded to a common one: after the first layer padding is not silence
    (biases and batch norm answer to it) and would enter the response. Those of equal length share a batch.

    Parameters
    ----------
    taps : callable
        ``network.features``, or, quicker, ``network.fast()``: waveforms -> iterator of (name, maps).
    waveforms : sequence of ndarray, each shape (samples,), float32
        In [-1, 1], at one rate.
    pooling : str
        One of `POOLINGS`.

    Returns
    -------
    dict of str to ndarray, shape (len(waveforms), maps), float32
        As many columns for every map as the pooling has numbers.
    """
    lengths = np.array([len(waveform) for waveform in waveforms])
    pooled: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            batch = torch.from_numpy(np.stack([waveforms[row] for row in rows]))
            for tap, maps in taps(batch):
                found = pool(maps, pooling)
                pooled.setdefault(tap, np.empty((len(waveforms), found.shape[1]), np.float32))[rows] = found
    return pooled


def pool_stream(stretches: Iterable[tuple[str, Tensor]], pooling: str = "mean") -> dict[str, np.ndarray]:
    """Return what `pool_maps` gives for one sound whose maps come in stretches of positions.

    Parameters
    ----------
    stretches : iterable of (str, Tensor)
        Tap and maps (1, maps, *positions), as `dha_utils.networks.base.Taps.stream` yields them.
    pooling : str
        One of `POOLINGS`.

    Returns
    -------
    dict of str to ndarray, shape (maps,), float32
        Up to rounding; sums are kept in float64.
    """
    ways = POOLINGS[pooling]
    parts: dict[str, list[Tensor]] = {}
    n_positions: Counter[str] = Counter()
    with torch.inference_mode():
        for tap, maps in stretches:
            new = [way.part(maps) for way in ways]
            old = parts.get(tap)
            parts[tap] = (
                new if old is None else [way.join(*both) for way, *both in zip(ways, old, new, strict=True)]
            )
            n_positions[tap] += prod(maps.shape[2:])
        return {
            tap: torch.cat(
                [way.finish(part, n_positions[tap]).float() for way, part in zip(ways, found, strict=True)],
                dim=1,
            )[0].numpy(force=True)
            for tap, found in parts.items()
        }


def decode(
    path: str | Path, rate: int, duration: float | None, channel: str = "mean", cut: Cut = ()
) -> np.ndarray | Iterator[np.ndarray]:
    """Return the waveform of a file, or the pieces of it where it is longer than `STREAM_SECONDS`.

    Arguments as in `dha_utils.audio.waveforms.load_audio`.

    Raises
    ------
    AudioError
        As `dha_utils.audio.waveforms.load_audio`.
    """
    pieces = stream_audio(path, rate, duration, channel=channel, cut=cut)
    head: list[np.ndarray] = []
    for piece in pieces:
        head.append(piece)
        if sum(map(len, head)) > STREAM_SECONDS * rate:
            return chain(head, pieces)
    return np.concatenate(head)


def make_batch(
    taps: Taps, rate: int, duration: float | None, channel: str = "mean", pooling: str = "mean"
) -> Batch:
    """Return the function that takes some clips from their files to their responses; `pooling` is one of `POOLINGS`."""
    choose("pooling", pooling, POOLINGS)

    def batch(clips: Clips) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = [{}] * len(clips)
        waveforms: dict[int, np.ndarray] = {}
        for row, (path, cut) in enumerate(zip(clips.table["path"], clips.cuts, strict=True)):
            sound = decode(path, rate, duration, channel, cut)
            if isinstance(sound, np.ndarray):
                waveforms[row] = sound
            else:
                rows[row] = pool_stream(taps.stream(one_ahead(sound)), pooling)
        pooled = pool_maps(taps, list(waveforms.values()), pooling)
        for i, row in enumerate(waveforms):
            rows[row] = {tap: array[i] for tap, array in pooled.items()}
        return {tap: np.stack([row[tap] for row in rows]) for tap in rows[0]}

    return batch
