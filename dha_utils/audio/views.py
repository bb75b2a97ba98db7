"""The two views of a waveform that are no network's: a spectrogram and MFCCs; conventions as in `dha_utils.audio.waveforms`."""

import librosa
import numpy as np

N_FFT, HOP = 2048, 512
"""Window and hop of the short-time spectra, in samples."""


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
    y = librosa.util.fix_length(y, size=max(len(y), N_FFT))
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
    y = librosa.util.fix_length(y, size=max(len(y), N_FFT))
    mfcc = librosa.feature.mfcc(y=y, sr=rate, n_mfcc=13, n_fft=N_FFT, hop_length=HOP, n_mels=128)[1:]
    crossings = librosa.feature.zero_crossing_rate(y, frame_length=HOP, hop_length=HOP, center=False)
    summary = [mfcc.mean(axis=1), mfcc.std(axis=1), crossings.mean(axis=1), crossings.std(axis=1)]
    return np.concatenate(summary).astype(np.float32)
