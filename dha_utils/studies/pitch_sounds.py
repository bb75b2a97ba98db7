"""Synthetic sounds of known pitch, for a network that tells pitch.

Conventions: a *frame* is 1 024 samples at 16 000 Hz, a sound with harmonics whose pitch is known; half of them glide, all have
noise. *Raw pitch accuracy* is the share of frames whose pitch is heard within `NEAR` cents.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from dha_utils.networks.crepe import FRAME, RATE

LOWEST, HIGHEST = 50.0, 1000.0
"""Hz; pitches between them are drawn evenly on a logarithmic scale."""

HARMONICS = 20
"""At most; none above `TOP` Hz."""

TOP = 7_600.0

GLIDE = 1_200.0
"""Cents per second, up or down, at most."""

NOISE = (-10.0, 20.0)
"""Ratio of sound to white noise in dB, from and to."""

NEAR = 50.0
"""Cents."""


class Sounds(NamedTuple):
    """Frames, shape (frames, 1024), float32, and their pitch at the middle in Hz, shape (frames,)."""

    waveforms: np.ndarray
    hz: np.ndarray


def draw_sounds(n_frames: int, seed: int) -> Sounds:
    """Draw frames: harmonics of random strengths and phases, every second frame a glide, white noise.

    Examples
    --------
    >>> sounds = draw_sounds(100, seed=0)
    >>> sounds.waveforms.shape, bool(sounds.hz.min() > LOWEST), bool(sounds.hz.max() < HIGHEST)
    ((100, 1024), True, True)
    """
    rng = np.random.default_rng(seed)
    seconds = (np.arange(FRAME) - (FRAME - 1) / 2) / RATE
    hz = LOWEST * (HIGHEST / LOWEST) ** rng.random(n_frames)
    waveforms = np.empty((n_frames, FRAME), np.float32)
    for number, pitch in enumerate(hz):
        octaves = rng.uniform(-GLIDE, GLIDE) / 1200 if number % 2 else 0.0
        # The integral of pitch * 2 ** (octaves * t).
        cycles = pitch * (
            np.expm1(octaves * np.log(2) * seconds) / (octaves * np.log(2)) if octaves else seconds
        )
        multiples = np.arange(1, HARMONICS + 1)
        multiples = multiples[multiples * pitch < TOP]
        strengths = rng.uniform(0.5, 1, len(multiples)) / multiples ** rng.uniform(0.5, 2)
        phases = rng.uniform(0, 2 * np.pi, len(multiples))
        sound = strengths @ np.sin(2 * np.pi * multiples[:, None] * cycles + phases[:, None])
        ratio = 10 ** (rng.uniform(*NOISE) / 20)
        waveforms[number] = sound + rng.standard_normal(FRAME) * sound.std() / ratio
    return Sounds(waveforms, hz)


def is_right(found: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Return which pitches are within `NEAR` cents, bool.

    >>> is_right(np.array([440.0, 452.0, 453.0]), np.full(3, 440.0)).tolist()
    [True, True, False]
    """
    return np.abs(1200 * np.log2(found / hz)) < NEAR


def label_thirds(hz: np.ndarray) -> pd.DataFrame:
    """Return a clip table of frames, whose label is the third of an octave of their pitch.

    >>> label_thirds(np.array([50.0, 62.9, 63.1, 999.0]))["label"].tolist()
    ['third 00', 'third 00', 'third 01', 'third 12']
    """
    names = [f"frame {number}" for number in range(len(hz))]
    labels = [f"third {int(third):02d}" for third in 3 * np.log2(hz / LOWEST)]
    return pd.DataFrame({"clip": names, "label": labels, "fold": 1, "recording": names})


def settings() -> dict:
    """Return what frames are drawn by, in JSON types."""
    return {
        "hz": [LOWEST, HIGHEST], "harmonics": HARMONICS, "top": TOP, "glide": GLIDE, "noise": [*NOISE], "near": NEAR
    }  # fmt: skip
