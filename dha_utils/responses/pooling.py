"""From sound files to pooled responses, a batch of clips at a time: what one worker does.

Conventions: waveforms are float32 in [-1, 1], mono; see `dha_utils.responses.table` for what comes out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from dha_utils.audio.files import Cut
from dha_utils.audio.waveforms import one_ahead, stream_audio
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Taps, mean_over_positions

BATCH_SIZE = 8
"""Clips per forward pass: fewer carry the weights of the deepest layers through the cache more often, more fall out of it."""

STREAM_SECONDS = 60.0
"""Sounds longer than this go through the network piece by piece, in constant memory; the responses are the same."""


Batch = Callable[[Clips], dict[str, np.ndarray]]


TapsFunction = Callable[[torch.Tensor], Iterable[tuple[str, torch.Tensor]]]


def pool_maps(taps: TapsFunction, waveforms: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the response of every map of every tap: its average over all positions.

    Waveforms of different lengths are never padded to a common one: after the first layer padding is not silence
    (biases and batch norm answer to it) and would enter the average. Those of equal length share a batch.

    Parameters
    ----------
    taps : callable
        ``network.features``, or, quicker, ``network.fast()``: waveforms -> iterator of (name, maps).
    waveforms : sequence of ndarray, each shape (samples,), float32
        In [-1, 1], at one rate.

    Returns
    -------
    dict of str to ndarray, shape (len(waveforms), maps), float32
    """
    lengths = np.array([len(waveform) for waveform in waveforms])
    pooled: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            batch = torch.from_numpy(np.stack([waveforms[row] for row in rows]))
            for tap, maps in taps(batch):
                means = mean_over_positions(maps).numpy(force=True)
                pooled.setdefault(tap, np.empty((len(waveforms), maps.shape[1]), np.float32))[rows] = means
    return pooled


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


def make_batch(taps: Taps, rate: int, duration: float | None, channel: str = "mean") -> Batch:
    """Return the function that takes some clips from their files to their responses."""

    def batch(clips: Clips) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = [{}] * len(clips)
        waveforms: dict[int, np.ndarray] = {}
        for row, (path, cut) in enumerate(zip(clips.table["path"], clips.cuts, strict=True)):
            sound = decode(path, rate, duration, channel, cut)
            if isinstance(sound, np.ndarray):
                waveforms[row] = sound
            else:
                rows[row] = taps.pool_pieces(one_ahead(sound))
        pooled = pool_maps(taps, list(waveforms.values()))
        for i, row in enumerate(waveforms):
            rows[row] = {tap: array[i] for tap, array in pooled.items()}
        return {tap: np.stack([row[tap] for row in rows]) for tap in rows[0]}

    return batch
