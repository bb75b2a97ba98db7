"""What a network and its classifiers say of sounds: of files, of samples, and of a stream that does not end.

Conventions: a network was made for clips of one duration and one rate; what it is given is brought to those.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from dha_utils.audio.waveforms import fit_waveform, load_audio
from dha_utils.core.errors import AudioError, ParameterError
from dha_utils.evaluation.ensemble import LayerEnsemble
from dha_utils.networks.base import Network
from dha_utils.responses.pooling import pool_maps

HIGHEST_RATE = 1e7
"""Of a stream, in Hz: that of no sound is higher, and of every second so many samples are held."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of a sound.

    Attributes
    ----------
    path : str
        Of the file; empty for samples.
    scores : dict of str to float
        Class -> fused score; their sum is 1.
    seconds : dict of str to float
        What decoding, the network and the classifiers took.
    start : float
        Where in a stream the clip begins, in seconds; 0 otherwise.
    """

    path: str
    scores: dict[str, float]
    seconds: dict[str, float]
    start: float = 0.0

    @property
    def label(self) -> str:
        """The class of the highest score."""
        return self.top(1)[0][0]

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the classes of the highest scores, best first."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:count]


class Listener:
    """A network ready to listen; what is done once, such as imports, is done when it is made and in nobody's times.

    Parameters
    ----------
    network, metadata
        As `dha_utils.networks.registry.read_network` returns them.
    ensemble : LayerEnsemble
    """

    def __init__(self, network: Network, metadata: Mapping, ensemble: LayerEnsemble):
        self.taps, self.names, self.metadata, self.ensemble = network.fast(), network.taps, metadata, ensemble
        self.rate, self.duration = metadata["rate"], metadata["duration"]
        silence = np.zeros(round(self.rate * self.duration), np.float32)
        self._hear(lambda: silence)

    def predict(self, sound: str | Path | np.ndarray, rate: float | None = None) -> Prediction:
        """Return what is said of a sound, padded or cut and resampled to what the network was made for.

        Arguments and errors as in `dha_utils.networks.base.Network.predict`.
        """
        how = {"channel": self.metadata["channel"]}
        if isinstance(sound, np.ndarray):
            if rate is None:
                raise ParameterError("rate is None: give that of the samples, in Hz")
            return self._hear(lambda: fit_waveform(sound, rate, self.rate, self.duration, **how))
        return self._hear(lambda: load_audio(sound, self.rate, self.duration, **how), path=str(sound))

    def listen(
        self, blocks: Iterable[np.ndarray], rate: float, every: float = 1.0, path: str = ""
    ) -> Iterator[Prediction]:
        """Yield what is said of a stream, as it comes: a clip of the network's duration every so many seconds.

        The first clip is said when it is full, the last one ends where the stream ends; a stream that is shorter than a clip is
        padded. Arguments and errors as in `dha_utils.networks.base.Network.listen`; `path` is what predictions are to hold.
        """
        if not 0 < every < math.inf:
            raise ParameterError(f"every is {every!r}, expected seconds above 0")
        if not 1 <= rate <= HIGHEST_RATE:
            raise ParameterError(
                f"rate is {rate!r}, expected that of the samples, 1 to {HIGHEST_RATE:.0f} Hz"
            )
        size, hop = round(self.duration * rate), max(1, round(every * rate))
        # `held` begins at sample `at` of the stream, the next clip at `first`; all before `said` is in a clip.
        held, at, first, said, total = np.empty(0, np.float32), 0, 0, 0, 0
        for block in blocks:
            block = np.asarray(block)
            if block.ndim != 1 or not np.issubdtype(block.dtype, np.floating):
                raise AudioError(
                    f"a block of the stream has shape {block.shape} and type {block.dtype}, expected (samples,) in [-1, 1]"
                )
            held, total = np.concatenate([held, block]), total + len(block)
            while total >= first + size:
                yield self._clip(held[first - at :][:size], rate, first, path)
                first, said = first + hop, first + size
            needed = max(at, min(first, total - size))
            held, at = held[needed - at :], needed
        if not total:
            raise AudioError(f"{path or 'the stream'}: holds no samples")
        if total > said:
            last = max(0, total - size)
            yield self._clip(held[last - at :], rate, last, path)

    def _clip(self, samples: np.ndarray, rate: float, first: int, path: str) -> Prediction:
        return self._hear(lambda: fit_waveform(samples, rate, self.rate, self.duration), path, first / rate)

    def _hear(self, decode: Callable[[], np.ndarray], path: str = "", start: float = 0.0) -> Prediction:
        begun = time.perf_counter()
        waveform = decode()
        decoded = time.perf_counter()
        pooled = pool_maps(self.taps, [waveform])
        heard = time.perf_counter()
        scores = self.ensemble.predict_proba(np.concatenate([pooled[tap] for tap in self.names], axis=1))[0]
        seconds = {
            "decoding": decoded - begun,
            "network": heard - decoded,
            "classifiers": time.perf_counter() - heard,
        }
        labels = self.metadata["classes"]
        return Prediction(path, dict(zip(labels, scores.tolist(), strict=True)), seconds, start)


def read_samples(stream: BinaryIO, rate: float) -> Iterator[np.ndarray]:
    """Yield the samples of a stream of 16-bit numbers, little-endian, of one channel, a tenth of a second at a time."""
    size = 2 * max(1, round(rate / 10))
    while part := stream.read(size):
        yield np.frombuffer(part[: len(part) // 2 * 2], "<i2").astype(np.float32) / 32768
