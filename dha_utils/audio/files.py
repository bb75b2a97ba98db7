"""Sound files, read as a whole or in pieces, and what can be wrong with them.

Conventions: samples are float32, full scale is 1; rates are in Hz, times in seconds of the file.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

from dha_utils.core.errors import AudioError

CHANNELS = ("mean", "left", "right")
"""What a file of several channels is brought down to: their average, its first or its second channel."""

FRAMES = 2**20
"""Frames read at a time, 24 s at 44 100 Hz: enough for the deepest layers to have whole matrices to multiply."""

WHOLE = 2**62
"""More frames than any file has: read in one go."""

Cut = Sequence[tuple[float, float]]
"""Seconds of a file that are left out: (start, end) pairs."""


def check_sound(path: Path) -> int:
    """Return the rate of a sound file after a look at all its samples, in constant memory; errors as `mono_pieces`."""
    with open_sound(path) as file:
        for _piece in mono_pieces(path, file):
            pass
        return file.samplerate


def mono_pieces(
    path: Path, file: soundfile.SoundFile, frames: int = FRAMES, channel: str = "mean", cut: Cut = ()
) -> Iterator[np.ndarray]:
    """Yield the mono samples of an open file, less those in `cut`, from so many frames at a time.

    Raises
    ------
    AudioError
        Says what is wrong with the file, when the fault is reached.
    """
    n_read = n_kept = 0
    while (samples := read_frames(path, file, frames)).size:
        first, n_read = n_read, n_read + samples.shape[-1]
        if samples.shape[-1] < frames and n_read < file.frames:
            break  # nothing is made of what is left of a truncated file
        piece = _less_cut(_to_mono(samples, channel), first, file.samplerate, cut)
        n_kept += len(piece)
        if len(piece):
            yield piece
    if n_read < file.frames:
        raise AudioError(_truncated(path, n_read))
    if not n_read:
        raise AudioError(f"{path}: holds no samples")
    if not n_kept:
        raise AudioError(f"{path}: all of it is marked as erroneous; leave the clip out")


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


def open_sound(path: Path) -> soundfile.SoundFile:
    """Return a sound file, opened, or say why it cannot be; that its end is missing shows here, before hours of work."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not a sound file")
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes); get the file again")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file, which has no header
        reason = getattr(error, "error_string", error)
        raise AudioError(f"{path}: is not a sound file that can be read ({reason})") from error
    if _is_cut_short(path, file):
        file.close()
        raise AudioError(_truncated(path, file.frames))
    return file


def read_frames(path: Path, file: soundfile.SoundFile, n: int) -> np.ndarray:
    """Return the next `n` frames, shape (n,) or (channels, n), float32; fewer at the end.

    Raises
    ------
    AudioError
        They cannot be decoded, or some are NaN or infinite.
    """
    try:
        if file.subtype == "PCM_16":  # the numbers that libsndfile makes of them, in a third of the time
            return file.read(n, dtype="int16").T * np.float32(2.0**-15)
        samples = file.read(n, dtype="float32").T
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: is truncated or damaged ({error.error_string}); get it again") from error
    if not np.isfinite(samples).all():
        bad = np.count_nonzero(~np.isfinite(samples))
        raise AudioError(
            f"{path}: {bad} of {samples.size} samples are NaN or infinite; repair or drop the file"
        )
    return samples


def _truncated(path: Path, n_frames: int) -> str:
    return (
        f"{path}: is truncated: {n_frames} frames are there and its header promises more; get the file again"
    )


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


def _is_cut_short(path: Path, file: soundfile.SoundFile) -> bool:
    """Return whether a file ends before its header says; libsndfile reads what is left as if it were all.

    WAV, AIFF, AU and W64 promise a number of bytes, which libsndfile compares with the file in its log. An
    Ogg stream promises nothing, but its last page carries a mark (RFC 3533, section 6: header type 4).
    """
    if file.format == "OGG":
        return not _ends_with_last_page(path)
    # Not "RIFF", the size of the whole file: many programs get it a little wrong, and no sample hangs on it.
    promises = r"^ *(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)"
    sizes = re.findall(promises, file.extra_info, re.MULTILINE)
    # A program that writes to a pipe cannot know the size: it leaves the largest number there is.
    return any(int(actual) < int(promised) < 0x7FFF0000 for promised, actual in sizes)


def _ends_with_last_page(path: Path) -> bool:
    """Return whether the last Ogg page of a file is marked as the stream's last and is all there."""
    longest_page = 27 + 255 + 255 * 255
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - longest_page))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 0x04:
        return False
    n_segments = page[26]
    return len(page) >= 27 + n_segments + sum(page[27 : 27 + n_segments])
