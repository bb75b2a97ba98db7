"""Full feature maps of a few clips, for the criteria that need more than a pooled response.

Conventions: the maps of a tap are ``(n clips, C maps, *positions)`` float32, rows in the order of the
clip table; all clips have one length, so that they stack. Maps are large (100 clips of 5 s at 22 050 Hz: 179
MB over the 15 taps of SoundNet, at 44 100 Hz twice that, and in proportion to duration): they are handed out tap by tap,
never kept on disk.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core.errors import DataError, ParameterError, choose
from dha_utils.core.hardware import one_core
from dha_utils.core.work import progress_bar, run_items
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_behind, load_network
from dha_utils.responses.table import Responses

PASS_BYTES = 2**30
"""Bytes of maps made in one pass of the network: where all taps take more, it runs again for later ones."""


def selection_clips(y: np.ndarray, train: np.ndarray, per_class: int = 10, seed: int = 0) -> np.ndarray:
    """Draw the clips on which the released methods select: so many per class from the training part.

    A class with fewer training clips gives all it has; the draw looks neither at recordings nor at the other
    clips.

    Parameters
    ----------
    y : ndarray, shape (n,), int
        Class of every clip.
    train : ndarray
        Boolean mask over the clips, or row numbers: those that may be drawn.
    per_class : int
        Clips per class, at least 1; 10 in the released code.
    seed : int
        Of the draw.

    Returns
    -------
    ndarray, shape (at most classes * per_class,), int64
        Row numbers, ascending, none twice.

    Raises
    ------
    ParameterError
        If `per_class` is below 1.
    DataError
        If there is nothing to draw from.

    Examples
    --------
    >>> y = np.repeat([0, 1], 20)
    >>> rows = selection_clips(y, train=np.arange(40) % 2 == 0, per_class=3)
    >>> y[rows].tolist(), (rows % 2).tolist()
    ([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0])
    """
    if per_class < 1:
        raise ParameterError(f"per_class is {per_class!r}, expected at least 1 clip per class, such as 10")
    rows = np.unique(np.arange(len(y))[train])
    if not len(rows):
        raise DataError("the training part holds no clips: check the folds")
    rng = np.random.default_rng(seed)
    by_class = (rows[y[rows] == label] for label in np.unique(y[rows]))
    drawn = [rng.choice(own, min(per_class, len(own)), replace=False) for own in by_class]
    return np.sort(np.concatenate(drawn))


def iterate_maps(
    clips: Clips,
    taps: Sequence[str] | None = None,
    *,
    model: Network | None = None,
    rate: int | None = None,
    duration: float = 5.0,
    channel: str = "mean",
    batch_size: int = 4,
) -> Iterator[tuple[str, np.ndarray]]:
    """Run clips through a network and yield the feature maps tap by tap.

    Holds at most `PASS_BYTES` of maps at a time (or one tap, if that takes more), not counting what the
    caller keeps: use a tap's maps and let go of them. The maps do not depend on the number of workers.

    Parameters
    ----------
    clips : Clips
    taps : sequence of str, optional
        By default all of the network's.
    model, rate, duration, channel, batch_size
        As in `dha_utils.extract_responses`, but that `duration` must be a number.

    Yields
    ------
    tap : str
        In the order of the network.
    maps : ndarray, shape (clips, C, *positions), float32

    Raises
    ------
    ParameterError
        If a tap is unknown or none is given, or `duration` is None.
    DataError
        If there are no clips, or they are too short for the network.
    AudioError
        If a file cannot be used.
    """
    model = load_network() if model is None else model
    rate, taps = rate or model.rate, model.taps if taps is None else taps
    known = ", ".join(model.taps)
    if not len(taps):
        raise ParameterError(f"no taps are asked for, expected some of {known}")
    for tap in taps:
        choose("tap", tap, model.taps)
    if duration is None:
        raise ParameterError(
            "duration is None, expected seconds, such as 5: maps of unequal lengths do not stack"
        )
    if not len(clips):
        raise DataError("there are no clips to run through the network")
    network = model.fast()
    with torch.inference_mode():
        silence = torch.zeros(1, round(duration * rate))
        shapes = {tap: (len(clips), *maps.shape[1:]) for tap, maps in network(silence) if tap in taps}

    def one_batch(arrays: dict[str, np.ndarray], start: int) -> int:
        batch_clips = clips.take(range(start, min(start + batch_size, len(clips))))
        waveforms = list(clip_waveforms(batch_clips, rate, duration, channel))
        batch = torch.from_numpy(np.stack(waveforms))
        left = len(arrays)
        with torch.inference_mode(), one_core():
            for tap, maps in network(batch):
                if tap in arrays:
                    arrays[tap][start : start + len(waveforms)] = maps
                    left -= 1
                if not left:
                    break
        return len(waveforms)

    starts = range(0, len(clips), batch_size)
    for group in split_into_passes(shapes):
        arrays = {tap: np.empty(shapes[tap], np.float32) for tap in group}
        with progress_bar(len(clips), "clip", clips.name) as bar:
            for _, n_done in run_items(partial(one_batch, arrays), starts, kind="shared"):
                bar.update(n_done)
        for tap in group:
            yield tap, arrays.pop(tap)


def split_into_passes(shapes: Mapping[str, tuple[int, ...]]) -> list[list[str]]:
    """Group taps, in order, so that the float32 maps of a group take at most `PASS_BYTES`, or are one tap's.

    >>> split_into_passes({"pool1": (100, 16, 6890), "bn2": (600, 32, 10000), "relu2": (600, 32, 10000)})
    [['pool1', 'bn2'], ['relu2']]
    """
    groups: list[list[str]] = []
    room = 0
    for tap, shape in shapes.items():
        size = 4 * math.prod(shape)
        if size > room:
            groups.append([])
            room = PASS_BYTES
        groups[-1].append(tap)
        room -= size
    return groups


def how_made(responses: Responses) -> dict[str, object]:
    """Return how the clips of responses were decoded, and the network that they went through: arguments of `iterate_maps`."""
    parameters = responses.provenance["parameters"]
    return {
        "rate": parameters["rate"],
        "duration": parameters["duration"],
        "channel": parameters.get("channel", "mean"),
        "model": load_behind(responses.provenance),
    }
