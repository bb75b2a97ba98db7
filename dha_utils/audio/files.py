"""Sound files, read as a whole or in pieces, and what can be wrong with them.

Conventions: samples are float32, full scale is 1; rates are in Hz, times in seconds of the file. What lies where in a file is
found by `dha_utils.audio.containers`, not believed of its header; what is there is decoded by libsndfile.
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from dha_utils.audio.containers import find_streams, name_other
from dha_utils.audio.source import Assembled, Source, Stream
from dha_utils.core.errors import AudioError

CHANNELS = ("mean", "left", "right")
"""What a file of several channels is brought down to: their average, its first or its second channel."""

FRAMES = 2**20
"""Frames read at a time, 24 s at 44 100 Hz: enough for the deepest layers to have whole matrices to multiply."""

RATES = (100, 10_000_000)
"""Hz between which a rate is believed: infrasound, and ultrasound of acoustic emission."""

LARGEST = 2.0**40
"""Times full scale that a sample is believed; integers of 32 bits that were taken for floats get to 2^31."""

Cut = Sequence[tuple[float, float]]
"""Seconds of a file that are left out: (start, end) pairs."""


class _Decoder(soundfile.SoundFile):
    """Reads from the beginning on: soundfile would seek after every piece, and decoders of MP3 and FLAC start anew there."""

    def seekable(self):
        return False


class Sound:
    """A sound file that is open; its streams are read one after another.

    Attributes
    ----------
    path : Path
    rate : int
        Hz.
    channels : int
        Of its first stream.
    odd : dict of str to str
        What looks wrong and is no fault, see `dha_utils.audio.oddities.KINDS`.
    """

    def __init__(self, source: Source, streams: Sequence[Stream]):
        self.path, self.odd = source.path, source.odd
        self._source, self._coming = source, iter(streams)
        self.rate = 0
        self._open_next()
        self.rate, self.channels = self._decoder.samplerate, self._decoder.channels
        if not RATES[0] <= self.rate <= RATES[1]:
            self.close()
            raise source.fault(
                f"its header says {self.rate} samples per second, expected {RATES[0]} to {RATES[1]}: mend the header"
            )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._decoder:
            self._decoder.close()
        self._source.file.close()

    def _open_next(self) -> None:
        """Open the next stream, if there is one."""
        self._decoder, stream = None, next(self._coming, None)
        if stream is None:
            return
        plain = stream == Stream((range(os.fstat(self._source.file.fileno()).st_size),))
        content = (
            os.fsencode(self.path)
            if plain
            else Assembled(self._source.file, stream.pieces, open_ended=stream.open_ended)
        )
        try:
            self._decoder = _Decoder(content)
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file, which has no header
            reason = getattr(error, "error_string", error)
            reason = (
                name_other(self._source)
                or f"{str(reason).rstrip('.')}: get it again, or convert it to WAV or FLAC"
            )
            raise self._source.fault(f"is not a sound file that can be read ({reason})") from error
        self._promised = self._decoder.frames if stream.frames is None else stream.frames
        self._n_read = 0
        if BLOCK_CODINGS.match(self._decoder.subtype) and self._promised > PER_BYTE * self._source.end:
            raise self._source.fault(
                f"is damaged: its header promises {self._promised:,} frames, and its {self._source.end:,} bytes cannot hold as "
                "many; get the file again"
            )
        if self.rate and self._decoder.samplerate != self.rate:
            raise self._source.fault(
                f"holds sounds of {self.rate} and {self._decoder.samplerate} Hz end to end; part them"
            )

    def read(self, n: int) -> np.ndarray:
        """Return at most `n` frames from where reading stopped, shape (n,) or (channels, n), float32; none at the end.

        Raises
        ------
        AudioError
            They are not there, cannot be decoded, or some are NaN or infinite.
        """
        while self._decoder:
            samples = self._decode(min(n, self._promised - self._n_read))
            self._n_read += samples.shape[-1]
            if samples.shape[-1]:
                return samples
            self._decoder.close()
            self._open_next()
        return np.empty(0, np.float32)

    def _decode(self, n: int) -> np.ndarray:
        n = (
            max(1, n // max(1, self._decoder.channels // 2)) if n else 0
        )  # of many channels, fewer frames at a time
        try:
            if (
                self._decoder.subtype == "PCM_16"
            ):  # the numbers that libsndfile makes of them, in a third of the time
                samples = self._decoder.read(n, dtype="int16").T * np.float32(2.0**-15)
            else:
                samples = self._decoder.read(n, dtype="float32").T
        except soundfile.LibsndfileError as error:
            raise self._source.fault(
                f"is truncated or damaged ({error.error_string}); get it again"
            ) from error
        n_read = self._n_read + samples.shape[-1]
        if samples.shape[-1] < n and self._promised < UNKNOWN:
            raise self._source.fault(
                f"is truncated: {n_read} of the {self._promised} frames that its header promises are there; get the file again"
            )
        if bad := np.count_nonzero(~(np.abs(samples) <= LARGEST)):
            raise self._source.fault(
                f"{bad} of {samples.size} samples are NaN or infinite, or beyond {LARGEST:g} times full scale: "
                "repair or drop the file"
            )
        return samples


BLOCK_CODINGS = re.compile("GSM|.*ADPCM|G72")
"""Of libsndfile's codings, those by which it makes sound of blocks that are not there, for hours if a header promises them."""

PER_BYTE = 5
"""Frames that a byte can hold by `BLOCK_CODINGS`, at most: 320 in the 65 bytes of two blocks of GSM."""

UNKNOWN = 2**62
"""From here on, libsndfile does not know how many frames there are."""


MISSING, UNREADABLE = "no such file", "cannot be read"
"""What is wrong with a file that cannot be got at."""


def open_sound(path: Path) -> Sound:
    """Return a sound file, opened, or say why it cannot be; that its end is missing shows here, before hours of work."""
    try:
        if path.is_dir():
            raise AudioError(f"{path}: is a folder, not a sound file")
        if path.stat().st_size == 0:
            raise AudioError(f"{path}: is empty (0 bytes); get the file again")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise AudioError(f"{path}: {MISSING}") from error
    except OSError as error:
        raise AudioError(f"{path}: {UNREADABLE} ({error.strerror})") from error
    try:
        source = Source(path, file)
        return Sound(source, find_streams(source))
    except OSError as error:
        file.close()
        raise AudioError(f"{path}: {UNREADABLE} ({error.strerror})") from error
    except AudioError:
        file.close()
        raise


def mono_pieces(
    sound: Sound, frames: int = FRAMES, channel: str = "mean", cut: Cut = ()
) -> Iterator[np.ndarray]:
    """Yield the mono samples of an open file, less those in `cut`, from at most so many frames at a time.

    Raises
    ------
    AudioError
        Says what is wrong with the file, when the fault is reached.
    """
    n_read = n_kept = 0
    while (samples := sound.read(frames)).size:
        first, n_read = n_read, n_read + samples.shape[-1]
        piece = _less_cut(_to_mono(samples, channel), first, sound.rate, cut)
        n_kept += len(piece)
        if len(piece):
            yield piece
    if not n_read:
        raise AudioError(f"{sound.path}: holds no samples")
    if not n_kept:
        raise AudioError(f"{sound.path}: all of it is marked as erroneous; leave the clip out")


def _to_mono(samples: np.ndarray, channel: str) -> np.ndarray:
    if samples.ndim == 1:
        return samples
    if channel == "mean":  # NumPy's mean over so short an axis takes thirty times as long
        return sum(samples) / len(samples)
    return samples[CHANNELS.index(channel) - 1]


def _less_cut(piece: np.ndarray, first: int, rate: int, cut: Cut) -> np.ndarray:
    """Return a piece, whose first sample is number `first` of the file, without what lies in `cut`."""
    if not len(cut):
        return piece
    kept = np.ones(len(piece), bool)
    for start, end in cut:
        kept[max(0, round(start * rate) - first) : max(0, round(end * rate) - first)] = False
    return piece[kept]


def check_request(path: Path, rate: float, duration: float | None, channel: str) -> None:
    """Raise an AudioError unless rate (Hz), duration (s, or None) and channel are possible."""
    if not 0 < rate < math.inf:
        raise AudioError(f"{path}: cannot be resampled to {rate} Hz; the rate must be above 0, such as 22050")
    if duration is not None and not (0 < duration < math.inf and round(duration * rate) > 0):
        raise AudioError(
            f"{path}: cannot be brought to {duration} s; the duration must be above 0, such as 5, "
            f"and at least one sample ({1 / rate:g} s)"
        )
    if channel not in CHANNELS:
        raise AudioError(f"{path}: there is no channel {channel!r}; choose one of {', '.join(CHANNELS)}")
