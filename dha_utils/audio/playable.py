"""What a page lets people hear and see of a sound: an MP3, a picture of its spectrogram, and a sound rebuilt from a spectrogram.

Spectrograms are those of `dha_utils.audio.views.log_mel`: mel bands x frames, in dB.
"""

from pathlib import Path

import librosa
import numpy as np
import soundfile
from matplotlib.image import imsave

from dha_utils.audio.views import HOP, N_FFT

DECIBELS = (-60.0, 30.0)
"""What is black in a picture, and what is brightest: the same for all, so that loud and soft are told apart."""

STEPS, ROUNDS = 20, 32
"""Of the inversion of mel bands, and of Griffin and Lim's algorithm; with more of them the spectrogram comes no nearer."""


def write_sound(path: Path, waveform: np.ndarray, rate: int) -> None:
    """Write a waveform as MP3, which plays in every browser: about 5 kB per second."""
    soundfile.write(path, np.clip(waveform, -1, 1), rate, format="MP3")


def write_picture(path: Path, spectrogram: np.ndarray) -> None:
    """Write a spectrogram as PNG, one pixel per band and frame, low frequencies at the bottom."""
    imsave(path, spectrogram[::-1].astype(float), cmap="magma", vmin=DECIBELS[0], vmax=DECIBELS[1])


def rebuild(spectrogram: np.ndarray, rate: int, n_samples: int) -> np.ndarray:
    r"""Return a sound that has a spectrogram: like the one that it was made from, but for what bands and frames do not tell.

    The power :math:`m` of every frequency is found from that of the bands, :math:`p = F m`, by expectation and maximisation, in
    `STEPS` steps :math:`m \leftarrow m \cdot F^\top (p / F m) / F^\top 1`; the phases by Griffin and Lim's algorithm.

    Parameters
    ----------
    spectrogram : ndarray, shape (bands, frames)
        dB.
    rate : int
        Hz.
    n_samples : int

    Returns
    -------
    ndarray, shape (n_samples,), float32

    References
    ----------
    D. W. Griffin and J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions on Acoustics,
    Speech, and Signal Processing 32 (1984).
    """
    bands = librosa.filters.mel(sr=rate, n_fft=N_FFT, n_mels=len(spectrogram))
    power = librosa.db_to_power(spectrogram.astype(np.float32))
    found = np.ones((bands.shape[1], power.shape[1]), np.float32)
    reached = np.maximum(bands.sum(axis=0), 1e-12)[:, None]
    for _ in range(STEPS):
        found *= bands.T @ (power / np.maximum(bands @ found, 1e-12)) / reached
    return librosa.griffinlim(
        np.sqrt(found), n_iter=ROUNDS, n_fft=N_FFT, hop_length=HOP, length=n_samples, random_state=0
    )
