"""Sound files to waveforms, and the two views of a waveform that are not SoundNet's: a spectrogram and MFCCs.

Conventions: a waveform is float32, shape ``(n_samples,)``, mono, full scale is 1 (the decoder of a lossy
format may overshoot a little; that is legal, and so is silence). Rates are in Hz, durations in seconds.
"""

import math
import re
from pathlib import Path

import librosa
import numpy as np
import soundfile

from dha_utils.errors import AudioError

RESAMPLER = "soxr_hq"
"""The resampler that every waveform goes through; named, so that no new default changes results."""

N_FFT, HOP = 2048, 512
"""Window and hop of the short-time spectra, in samples."""


def load_audio(path: str | Path, rate: float, duration: float | None = None) -> np.ndarray:
    """Return the sound of a file as a mono waveform at a given rate.

    Channels are averaged. With a `duration`, the sound is padded with zeros or cut at its own rate, before it
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

    Returns
    -------
    ndarray, shape (n_samples,), float32
        With a `duration`, ``n_samples == round(duration * rate)``.

    Raises
    ------
    AudioError
        The file is missing, a folder, empty, not audio, truncated, without samples, or holds NaN or infinite
        samples; or rate or duration is not a positive number.
    """
    path = Path(path)
    check_length(path, rate, duration)
    samples, own_rate = _read(path)
    if duration is not None:
        samples = fit_length(samples, max(1, round(duration * own_rate)))
    waveform = librosa.resample(samples, orig_sr=own_rate, target_sr=rate, res_type=RESAMPLER)
    return waveform if duration is None else fit_length(waveform, round(duration * rate))


def _read(path: Path) -> tuple[np.ndarray, int]:
    """Return the mono samples of a sound file and their rate, or say what is wrong with the file."""
    with open_sound(path) as file:
        samples = read_frames(path, file)
        check_all_read(path, file, samples.shape[-1])
    if samples.size == 0:
        raise AudioError(f"{path}: holds no samples")
    check_finite(path, samples)
    return librosa.to_mono(samples), file.samplerate


def open_sound(path: Path) -> soundfile.SoundFile:
    """Return a sound file, opened, or say why it cannot be."""
    if path.is_dir():
        raise AudioError(f"{path}: is a folder, not a sound file")
    if not path.exists():
        raise AudioError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: is empty (0 bytes); get the file again")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file, which has no header
        reason = getattr(error, "error_string", error)
        raise AudioError(f"{path}: is not a sound file that can be read ({reason})") from error


def read_frames(path: Path, file: soundfile.SoundFile, n: int = -1) -> np.ndarray:
    """Return the next `n` frames (default: all), shape (n,) or (channels, n), float32; fewer at the end."""
    try:
        return file.read(n, dtype="float32").T
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: is truncated or damaged ({error.error_string}); get it again") from error


def check_all_read(path: Path, file: soundfile.SoundFile, n_read: int) -> None:
    """Raise an AudioError where a file that was read to its end is shorter than it says."""
    if n_read < file.frames or _is_cut_short(path, file):
        raise AudioError(
            f"{path}: is truncated: {n_read} frames are there and its header promises more; get the file again"
        )


def check_finite(path: Path, samples: np.ndarray) -> None:
    """Raise an AudioError where samples are NaN or infinite."""
    if not np.isfinite(samples).all():
        bad = np.count_nonzero(~np.isfinite(samples))
        raise AudioError(
            f"{path}: {bad} of {samples.size} samples are NaN or infinite; repair or drop the file"
        )


def check_length(path: Path, rate: float, duration: float | None) -> None:
    """Raise an AudioError unless rate (Hz) and duration (s, or None) are possible."""
    if not 0 < rate < math.inf:
        raise AudioError(f"{path}: cannot be resampled to {rate} Hz; the rate must be above 0, such as 22050")
    if duration is not None and not (0 < duration < math.inf and round(duration * rate) > 0):
        raise AudioError(
            f"{path}: cannot be brought to {duration} s; the duration must be above 0, such as 5, "
            f"and at least one sample ({1 / rate:g} s)"
        )


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


def fit_length(y: np.ndarray, n: int) -> np.ndarray:
    """Return a waveform of exactly `n` samples: cut at the end, or padded there with zeros.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        A waveform.
    n : int
        Number of samples wanted.

    Returns
    -------
    ndarray, shape (n,), dtype of `y`

    Examples
    --------
    >>> fit_length(np.array([1.0, 2.0, 3.0]), 2).tolist()
    [1.0, 2.0]
    >>> fit_length(np.array([1.0, 2.0, 3.0]), 5).tolist()
    [1.0, 2.0, 3.0, 0.0, 0.0]
    """
    return librosa.util.fix_length(y, size=n)


def log_mel(y: np.ndarray, rate: float) -> np.ndarray:
    """Return the log-mel spectrogram that the book shows.

    Power in 64 mel bands up to half the rate, windows of 2048 samples every 512, in dB below full scale, no
    deeper than 80 dB under the loudest cell. A clip shorter than one window is padded to it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        A waveform.
    rate : float
        Its sampling rate in Hz.

    Returns
    -------
    ndarray, shape (64, 1 + max(n_samples, 2048) // 512), float32
        dB; -100 throughout for silence.

    Examples
    --------
    >>> log_mel(np.zeros(22050, np.float32), 22050).shape
    (64, 44)
    """
    y = fit_length(y, max(len(y), N_FFT))
    power = librosa.feature.melspectrogram(y=y, sr=rate, n_fft=N_FFT, hop_length=HOP, n_mels=64)
    return librosa.power_to_db(power, ref=1.0, top_db=80.0).astype(np.float32)


def mfcc_features(y: np.ndarray, rate: float) -> np.ndarray:
    """Return the features of the baseline that came with ESC: MFCCs and zero-crossing rate over time.

    Coefficients 1 to 12 (the 0th, loudness, is left out) from 128 mel bands, windows of 2048 samples every
    512; zero-crossing rate in frames of 512 samples. Of each the mean and the standard deviation over the
    frames. A clip shorter than one window is padded to it.

    Parameters
    ----------
    y : ndarray, shape (n_samples,)
        A waveform.
    rate : float
        Its sampling rate in Hz; the baseline was published at 44100.

    Returns
    -------
    ndarray, shape (26,), float32
        12 means and 12 deviations of the MFCCs, then mean and deviation of the zero-crossing rate.

    References
    ----------
    K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015, section 3.2.

    Examples
    --------
    >>> mfcc_features(np.zeros(22050, np.float32), 22050).shape
    (26,)
    """
    y = fit_length(y, max(len(y), N_FFT))
    mfcc = librosa.feature.mfcc(y=y, sr=rate, n_mfcc=13, n_fft=N_FFT, hop_length=HOP, n_mels=128)[1:]
    crossings = librosa.feature.zero_crossing_rate(y, frame_length=HOP, hop_length=HOP, center=False)
    summary = [mfcc.mean(axis=1), mfcc.std(axis=1), crossings.mean(axis=1), crossings.std(axis=1)]
    return np.concatenate(summary).astype(np.float32)
