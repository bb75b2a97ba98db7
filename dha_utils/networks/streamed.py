"""Long recordings in constant memory: run through the network piece by piece.

The pieces are not clips. Every step of the network keeps the end of their input until what follows has
come, so the responses are those of the whole recording: no piece is padded, and none is seen twice. What each step leaves
over at the very end (less than a pooling window) is dropped, as it is for a clip.

Conventions: as in `dha_utils.audio.waveforms`; inside the network time-major, as in `dha_utils.networks.fused`.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dha_utils.core.errors import ParameterError
from dha_utils.networks.base import check_waveforms
from dha_utils.networks.fused import FusedTaps, Step


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


class Stream:
    """A network whose input comes in pieces.

    Attributes
    ----------
    carries : list
        Per step, what it has been given and not used up: shorter than what one output needs.
    """

    def __init__(self, taps: FusedTaps):
        self.taps = taps
        self.carries = [_Carry(step) for step in taps.steps]

    def add(self, piece: np.ndarray, last: bool = False) -> Iterator[tuple[str, Tensor]]:
        """Run the next samples, shape (n,), float32, through as much of the network as they complete; yields what comes out."""
        x = self.taps.prepare(torch.from_numpy(piece)[None])
        for step, carry in zip(self.taps.steps, self.carries, strict=True):
            x = carry.take(x, last)
            if not x.shape[1]:
                if not last:
                    return
                x = x.new_empty(1, 0, step.maps_out)  # but later steps may still have something to finish
                continue
            for name, maps in step(x, 0, 0):
                x = maps
                if name in self.taps.taps:
                    yield name, maps.transpose(1, 2)


class StreamedTaps(FusedTaps):
    """The taps of `FusedTaps`, also of a sound that comes in pieces, in constant memory."""

    def stream(self, pieces: Iterable[np.ndarray]) -> Iterator[tuple[str, Tensor]]:
        """Yield ``(name, maps)``, each (1, maps, time), as the pieces of one recording complete them.

        A tap comes many times, with one stretch of time after the other; together they are what `FusedTaps` gives for the whole,
        up to rounding. Each is overwritten once the next is asked for.

        Parameters
        ----------
        pieces : iterable of ndarray, each shape (samples,), float32
            One recording, in order, in pieces of any length.

        Raises
        ------
        DataError
            If all pieces together are too short for the deepest layer.
        ParameterError
            If the convolutions pad their output.

        Examples
        --------
        >>> from dha_utils.networks.soundnet import SoundNet
        >>> taps = SoundNet().eval().requires_grad_(False).fast()
        >>> hour = (np.zeros(22_050, np.float32) for _ in range(3600))
        >>> sum(maps.shape[2] for tap, maps in taps.stream(next(hour) for _ in range(7)) if tap == "relu7")
        6
        """
        if self.padding != "input":
            raise ParameterError(
                f"a sound this long goes through the network in pieces, which needs padding 'input', not {self.padding!r}: "
                "cut the clips with a duration"
            )
        stream, n_samples = Stream(self), 0
        for piece in pieces:
            n_samples += len(piece)
            yield from stream.add(piece)
        check_waveforms(torch.empty(1, n_samples, device="meta"), self.min_samples)
        yield from stream.add(np.empty(0, np.float32), last=True)
