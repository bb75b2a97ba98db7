"""Sound files to waveforms, whole or in pieces: one decoder, one resampler.

Conventions: a waveform is float32, shape ``(n_samples,)``, mono, full scale is 1 (the decoder of a lossy
format may overshoot a little; that is legal, and so is silence). Rates are in Hz, durations in seconds.
"""

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import numpy as np
import soxr

from dha_utils.audio.files import FRAMES, Cut, check_request, mono_pieces, open_sound
from dha_utils.core.errors import AudioError
from dha_utils.datasets.clips import Clips

RESAMPLER = "soxr_hq"
"""The resampler that every waveform goes through; named, so that no new default changes results."""

LARGEST_FACTOR = 8
"""By which a piece may grow when it is resampled; of lower rates, fewer frames are read at a time."""


def load_audio(
    path: str | Path,
    rate: float,
    duration: float | None = None,
    *,
    channel: str = "mean",
    cut: Cut = (),
) -> np.ndarray:
    """Return the sound of a file as a mono waveform at a given rate.

    With a `duration`, the sound is padded with zeros or cut at its own rate, before it
    is resampled: a clip that was stored without its trailing silence then gives the very waveform of one that
    was stored with it (the two layouts of ESC-10 differ in this).

    Parameters
    ----------
    path : str or Path
        A file in a format of libsndfile: WAV, FLAC, Ogg Vorbis, Opus, MP3, AIFF and more.
    rate : float
        Sampling rate of the result in Hz.
    duration : float, optional
        Length of the result in seconds; by default the file's own.
    channel : {"mean", "left", "right"}
        What several channels become: their average, the first, or the second. A mono file has only one.
    cut : sequence of (start, end)
        Seconds of the file that are left out, before it is padded or cut to `duration`.

    Returns
    -------
    ndarray, shape (n_samples,), float32
        With a `duration`, ``n_samples == round(duration * rate)``.

    Raises
    ------
    AudioError
        The file is missing, a folder, empty, not audio, truncated, without samples, or holds NaN or infinite
        samples, or none outside `cut`; or rate or duration is not a positive number, or the channel unknown.
    """
    return np.concatenate(list(stream_audio(path, rate, duration, channel=channel, cut=cut)))


def clip_waveforms(
    clips: Clips, rate: float, duration: float | None, channel: str = "mean"
) -> Iterator[np.ndarray]:
    """Yield the waveform of every clip, without its erroneous seconds; arguments and errors as in `load_audio`."""
    for path, cut in zip(clips.table["path"], clips.cuts, strict=True):
        yield load_audio(path, rate, duration, channel=channel, cut=cut)


def stream_audio(
    path: str | Path,
    rate: float,
    duration: float | None = None,
    frames: int = FRAMES,
    *,
    channel: str = "mean",
    cut: Cut = (),
) -> Iterator[np.ndarray]:
    """Yield piece by piece what `load_audio` returns as a whole.

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
    with open_sound(path) as sound:
        own_rate = sound.rate
        frames = max(1, min(frames, int(frames * LARGEST_FACTOR * own_rate / rate)))
        yield from _at_rate(mono_pieces(sound, frames, channel, cut), own_rate, rate, duration, frames)


def fit_waveform(
    samples: np.ndarray, own_rate: float, rate: float, duration: float | None = None, *, channel: str = "mean"
) -> np.ndarray:
    """Return samples that are at hand as `load_audio` returns those of a file.

    Parameters
    ----------
    samples : ndarray, shape (n_samples,) or (n_samples, channels)
        In [-1, 1].
    own_rate : float
        Their rate, Hz.
    rate, duration, channel
        As in `load_audio`.

    Raises
    ------
    AudioError
        If they have another shape, none are there, some are not finite, or they are whole numbers; or as in `load_audio`.

    Examples
    --------
    >>> fit_waveform(np.full((8_000, 2), 0.5), 8_000, 16_000, 2.0).shape
    (32000,)
    """
    samples = np.asarray(samples)
    for at in (own_rate, rate):
        check_request(Path("samples"), at, duration, channel)
    if samples.ndim not in (1, 2) or not samples.size:
        raise AudioError(f"samples have shape {samples.shape}, expected (samples,) or (samples, channels)")
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(
            f"samples are {samples.dtype}, expected numbers in [-1, 1]: divide them by their full scale"
        )
    if not np.isfinite(samples).all():
        raise AudioError("samples hold values that are not finite")
    if samples.ndim == 2:
        chosen = {"left": 0, "right": min(1, samples.shape[1] - 1)}
        samples = samples.mean(axis=1) if channel == "mean" else samples[:, chosen[channel]]
    pieces = [np.ascontiguousarray(samples, np.float32)]
    return np.concatenate(list(_at_rate(pieces, own_rate, rate, duration, len(samples))))


def _at_rate(
    pieces: Iterable[np.ndarray], own_rate: float, rate: float, duration: float | None, frames: int
) -> Iterable[np.ndarray]:
    """Return pieces padded or cut to a duration, and resampled."""
    if duration is not None:
        pieces = _fit_pieces(pieces, max(1, round(duration * own_rate)), frames)
    if own_rate != rate:
        pieces = _resample_pieces(pieces, own_rate, rate)
    return pieces if duration is None else _fit_pieces(pieces, round(duration * rate), frames)


def _fit_pieces(pieces: Iterable[np.ndarray], n: int, frames: int) -> Iterator[np.ndarray]:
    """Cut at the end, or pad there with zeros, to `n` samples in all."""
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
        yield _fix_length(whole, _resampled_length(len(ahead[0]), own_rate, rate))
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
        yield _fix_length(rest, n_left)


def _fix_length(sound: np.ndarray, n: int) -> np.ndarray:
    return sound[:n] if len(sound) >= n else np.pad(sound, (0, n - len(sound)))


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
