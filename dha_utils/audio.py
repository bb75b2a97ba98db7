"""Sound files to waveforms, and the two views of a waveform that are not SoundNet's: a spectrogram and MFCCs.

Conventions: a waveform is float32, shape ``(n_samples,)``, mono, full scale is 1 (the decoder of a lossy
format may overshoot a little; that is legal, and so is silence). Rates are in Hz, durations in seconds.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import librosa
import numpy as np

from dha_utils.datasets.clips import Clips
from dha_utils.sound_files import check_request, read_mono

RESAMPLER = "soxr_hq"
"""The resampler that every waveform goes through; named, so that no new default changes results."""

N_FFT, HOP = 2048, 512
"""Window and hop of the short-time spectra, in samples."""


def load_audio(
    path: str | Path,
    rate: float,
    duration: float | None = None,
    *,
    channel: str = "mean",
    cut: Sequence[tuple[float, float]] = (),
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
    path = Path(path)
    check_request(path, rate, duration, channel)
    samples, own_rate = read_mono(path, channel, cut)
    if duration is not None:
        samples = fit_length(samples, max(1, round(duration * own_rate)))
    waveform = librosa.resample(samples, orig_sr=own_rate, target_sr=rate, res_type=RESAMPLER)
    return waveform if duration is None else fit_length(waveform, round(duration * rate))


def clip_waveforms(
    clips: Clips, rate: float, duration: float | None, channel: str = "mean"
) -> Iterator[np.ndarray]:
    """Yield the waveform of every clip, without its erroneous seconds; arguments and errors as in `load_audio`."""
    for path, cut in zip(clips.table["path"], clips.cuts, strict=True):
        yield load_audio(path, rate, duration, channel=channel, cut=cut)


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
