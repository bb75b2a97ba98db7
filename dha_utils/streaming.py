"""Long recordings in constant memory: decoded, resampled and run through the network piece by piece.

The pieces are not clips. The resampler and every step of the network keep the end of their input until what follows has
come, so the responses are those of the whole recording: no piece is padded, and none is seen twice. What each step leaves
over at the very end (less than a pooling window) is dropped, as it is for a clip.

Conventions: as in `dha_utils.audio`; inside the network time-major, as in `dha_utils.fused`.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import librosa
import numpy as np
import soxr
import torch
from torch import Tensor
from torch.nn import functional as F

from dha_utils.audio import RESAMPLER
from dha_utils.errors import ParameterError
from dha_utils.fused import FusedTaps, Step
from dha_utils.sound_files import FRAMES, Cut, check_request, mono_pieces, open_sound
from dha_utils.soundnet import check_waveforms


def stream_audio(
    path: str | Path,
    rate: float,
    duration: float | None = None,
    frames: int = FRAMES,
    *,
    channel: str = "mean",
    cut: Cut = (),
) -> Iterator[np.ndarray]:
    """Yield piece by piece what `dha_utils.audio.load_audio` returns as a whole; from MP3, up to rounding.

    Parameters
    ----------
    path, rate, duration, channel, cut
        As there. With a `duration`, what lies behind it is not read.
    frames : int
        Frames read at a time.

    Yields
    ------
    ndarray, shape (n_samples,), float32
        Of any length above zero.

    Raises
    ------
    AudioError
        As there; a fault that only decoding shows comes when it is reached.
    """
    path = Path(path)
    check_request(path, rate, duration, channel)
    with open_sound(path) as file:
        own_rate = file.samplerate
        pieces = mono_pieces(path, file, frames, channel, cut)
        if duration is not None:
            pieces = _fit_pieces(pieces, max(1, round(duration * own_rate)), frames)
        if own_rate != rate:
            pieces = _resample_pieces(pieces, own_rate, rate)
        if duration is not None:
            pieces = _fit_pieces(pieces, round(duration * rate), frames)
        yield from pieces


def _fit_pieces(pieces: Iterable[np.ndarray], n: int, frames: int) -> Iterator[np.ndarray]:
    """Cut or zero-pad to `n` samples in all, as `dha_utils.audio.fit_length` does."""
    left = n
    for piece in pieces:
        piece = piece[:left]
        left -= len(piece)
        if len(piece):
            yield piece
        if not left:
            return
    while left:
        yield np.zeros(min(left, frames), np.float32)
        left -= min(left, frames)


def _resample_pieces(pieces: Iterable[np.ndarray], own_rate: float, rate: float) -> Iterator[np.ndarray]:
    """Resample as `librosa.resample` does; one state over all pieces, or one call, which is faster, for a single one."""
    pieces = iter(pieces)
    ahead = list(islice(pieces, 2))
    if len(ahead) == 1:
        whole = soxr.resample(ahead[0], own_rate, rate, quality=RESAMPLER)
        yield librosa.util.fix_length(whole, size=_resampled_length(len(ahead[0]), own_rate, rate))
        return
    resampler = soxr.ResampleStream(own_rate, rate, 1, dtype="float32", quality=RESAMPLER)
    n_in = n_out = 0
    for piece in chain(ahead, pieces):
        n_in += len(piece)
        resampled = resampler.resample_chunk(piece)
        n_out += len(resampled)
        if len(resampled):
            yield resampled
    rest = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    n_left = _resampled_length(n_in, own_rate, rate) - n_out
    if n_left > 0:
        yield librosa.util.fix_length(rest, size=n_left)


def _resampled_length(n: int, own_rate: float, rate: float) -> int:
    """Return librosa's length of the whole, which may be a sample more than the resampler's."""
    return math.ceil(n * (float(rate) / own_rate))


def one_ahead(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the same pieces, each made in a thread of its own while the one before is used."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = thread.submit(next, pieces, None)
            yield piece


class _Carry:
    """What a step has been given and has not used up yet."""

    def __init__(self, step: Step):
        self.step, self.n_in, self.rest = step, 0, None

    def take(self, x: Tensor, last: bool) -> Tensor:
        """Return the input, shape (1, time, maps), for as many outputs as are complete; no time at all for none."""
        if self.rest is None:
            self.rest = x.new_zeros(1, self.step.padding, x.shape[2])
        x = torch.cat([self.rest, F.pad(x, (0, 0, 0, self.step.padding if last else 0))], dim=1)
        n_outputs = max(0, (x.shape[1] - self.step.frame) // self.step.hop + 1)
        # A copy: a view would keep the whole piece.
        self.rest = x[:, self.step.hop * n_outputs :].clone()
        return x[:, : self.step.hop * (n_outputs - 1) + self.step.frame if n_outputs else 0]


class StreamedMeans:
    """The average over time of every map of a network whose input comes in pieces.

    Attributes
    ----------
    carries : list
        Per step, what it has been given and not used up: shorter than what one output needs.
    """

    def __init__(self, taps: FusedTaps):
        self.taps = taps
        self.carries = [_Carry(step) for step in taps.steps]
        self.sums: dict[str, Tensor | int] = {}
        self.lengths: dict[str, int] = {}

    def add(self, piece: np.ndarray, last: bool = False) -> None:
        """Run the next samples, shape (n,), float32, through as much of the network as they complete."""
        x = self.taps.prepare(torch.from_numpy(piece)[None])
        for step, carry in zip(self.taps.steps, self.carries, strict=True):
            x = carry.take(x, last)
            if not x.shape[1]:
                if not last:
                    return
                x = x.new_empty(1, 0, step.maps_out)  # but later steps may still have something to finish
                continue
            for name, maps in step(x, 0, 0):
                self.sums[name] = self.sums.get(name, 0) + maps[0].sum(dim=0, dtype=torch.float64).cpu()
                self.lengths[name] = self.lengths.get(name, 0) + maps.shape[1]
                x = maps

    def means(self) -> dict[str, np.ndarray]:
        """Return the averages per tap, shape (maps,), float32."""
        return {name: (total / self.lengths[name]).float().numpy() for name, total in self.sums.items()}


def pool_stream(taps: FusedTaps, pieces: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the time-averaged response of every map to a recording that comes in pieces.

    Parameters
    ----------
    taps : FusedTaps
    pieces : iterable of ndarray, each shape (samples,), float32
        One recording, in order, in pieces of any length.

    Returns
    -------
    dict of str to ndarray, shape (maps,), float32
        What `dha_utils.extraction.pool_maps` gives for the whole, up to rounding; sums are kept in float64.

    Raises
    ------
    DataError
        If all pieces together are too short for the deepest layer.
    ParameterError
        If the convolutions pad their output.

    Examples
    --------
    >>> from dha_utils.soundnet import SoundNet
    >>> taps = FusedTaps(SoundNet().eval().requires_grad_(False))
    >>> hour = (np.zeros(22_050, np.float32) for _ in range(3600))
    >>> pool_stream(taps, (next(hour) for _ in range(7)))["relu7"].shape
    (1024,)
    """
    if taps.padding != "input":
        raise ParameterError(
            f"a sound this long goes through the network in pieces, which needs padding 'input', not {taps.padding!r}: cut "
            "the clips with a duration"
        )
    means, n_samples = StreamedMeans(taps), 0
    with torch.inference_mode():
        for piece in pieces:
            n_samples += len(piece)
            means.add(piece)
        check_waveforms(torch.empty(1, n_samples, device="meta"))
        means.add(np.empty(0, np.float32), last=True)
    return means.means()
