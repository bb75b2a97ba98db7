"""Extraction: from sound files through SoundNet to pooled responses, in parallel, resumable, on one machine or many.

Conventions: waveforms are float32 in [-1, 1], mono; see `dha_utils.responses` for what comes out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from dha_utils.datasets.clips import Clips
from dha_utils.errors import ParameterError
from dha_utils.filling import Batch, extract, extract_into
from dha_utils.fused import FusedTaps
from dha_utils.hardware import choose_device, choose_precision
from dha_utils.inspection import identify
from dha_utils.provenance import extraction_provenance
from dha_utils.responses import Responses
from dha_utils.sound_files import Cut
from dha_utils.soundnet import NATIVE_RATE, TAPS, SoundNet, load_soundnet
from dha_utils.store import ResponseStore
from dha_utils.streaming import pool_stream
from dha_utils.views import mfcc_features
from dha_utils.waveforms import clip_waveforms, one_ahead, stream_audio

STREAM_SECONDS = 60.0
"""Sounds longer than this go through the network piece by piece, in constant memory; the responses are the same."""

BATCH_SIZE = 8
"""Clips per forward pass: fewer carry the weights of the deepest layers through the cache more often, more fall out of it."""

TapsFunction = Callable[[torch.Tensor], Iterable[tuple[str, torch.Tensor]]]


def pool_maps(taps: TapsFunction, waveforms: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the time-averaged response of every map of every tap.

    Waveforms of different lengths are never padded to a common one: after the first layer padding is not silence
    (biases and batch norm answer to it) and would enter the average. Those of equal length share a batch.

    Parameters
    ----------
    taps : callable
        ``SoundNet.taps`` of a network, or its `FusedTaps`: waveforms -> iterator of (name, maps).
    waveforms : sequence of ndarray, each shape (samples,), float32
        In [-1, 1], at one rate.

    Returns
    -------
    dict of str to ndarray, shape (len(waveforms), maps), float32
    """
    lengths = np.array([len(waveform) for waveform in waveforms])
    pooled: dict[str, np.ndarray] = {}
    with torch.inference_mode():
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            batch = torch.from_numpy(np.stack([waveforms[row] for row in rows]))
            for tap, maps in taps(batch):
                means = maps.mean(dim=2, dtype=torch.float32).numpy(force=True)
                pooled.setdefault(tap, np.empty((len(waveforms), maps.shape[1]), np.float32))[rows] = means
    return pooled


def decode(
    path: str | Path, rate: int, duration: float | None, channel: str = "mean", cut: Cut = ()
) -> np.ndarray | Iterator[np.ndarray]:
    """Return the waveform of a file, or the pieces of it where it is longer than `STREAM_SECONDS`.

    Arguments as in `dha_utils.waveforms.load_audio`.

    Raises
    ------
    AudioError
        As `dha_utils.waveforms.load_audio`.
    """
    pieces = stream_audio(path, rate, duration, channel=channel, cut=cut)
    head: list[np.ndarray] = []
    for piece in pieces:
        head.append(piece)
        if sum(map(len, head)) > STREAM_SECONDS * rate:
            return chain(head, pieces)
    return np.concatenate(head)


def make_batch(taps: FusedTaps, rate: int, duration: float | None, channel: str = "mean") -> Batch:
    """Return the function that takes some clips from their files to their responses."""

    def batch(clips: Clips) -> dict[str, np.ndarray]:
        rows: list[dict[str, np.ndarray]] = [{}] * len(clips)
        waveforms: dict[int, np.ndarray] = {}
        for row, (path, cut) in enumerate(zip(clips.table["path"], clips.cuts, strict=True)):
            sound = decode(path, rate, duration, channel, cut)
            if isinstance(sound, np.ndarray):
                waveforms[row] = sound
            else:
                rows[row] = pool_stream(taps, one_ahead(sound))
        pooled = pool_maps(taps, list(waveforms.values()))
        for i, row in enumerate(waveforms):
            rows[row] = {tap: array[i] for tap, array in pooled.items()}
        return {tap: np.stack([row[tap] for row in rows]) for tap in rows[0]}

    return batch


class Extraction:
    """An extraction from SoundNet as it is to be run; arguments and errors as in `extract_responses`.

    Attributes
    ----------
    clips : Clips
        Those given, with what tells their sound.
    batch : callable
        Clips -> responses: what one worker does.
    provenance : dict
    how : dict
        Arguments of `dha_utils.filling.run_blocks`.
    """

    def __init__(
        self, clips, *, model=None, rate=NATIVE_RATE, duration=5.0, channel="mean", batch_size=BATCH_SIZE, workers=None,
        progress=True, device="auto", precision="float32", padding=None, scheduler=None,
    ):  # fmt: skip
        place, dtype = choose_device(device), choose_precision(precision)
        model = model or load_soundnet(padding=padding or "input")
        if padding not in (None, model.padding):
            raise ParameterError(
                f"padding is {padding!r}, but the network that is given has {model.padding!r}"
            )
        self.batch = make_batch(FusedTaps(model, place, dtype), rate, duration, channel)
        parameters = {
            "rate": rate, "duration": duration, "channel": channel, "batch_size": batch_size,
            "input_scale": model.input_scale, "device": place.type, "precision": precision,
            "padding": model.padding,
        }  # fmt: skip
        self.clips = identify(clips, workers=workers, scheduler=scheduler)
        self.provenance = extraction_provenance(clips, parameters, model)
        # Sounds of their own length seldom share one, and long ones should not wait for one another.
        alone = duration is None or duration > STREAM_SECONDS
        self.how = {
            "batch_size": 1 if alone else batch_size, "workers": workers, "progress": progress, "scheduler": scheduler
        }  # fmt: skip


def extract_responses(
    clips: Clips,
    *,
    model: SoundNet | None = None,
    rate: int = NATIVE_RATE,
    duration: float | None = 5.0,
    channel: str = "mean",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    progress: bool = True,
    device: str = "auto",
    precision: str = "float32",
    padding: str | None = None,
    scheduler: str | None = None,
    out: str | Path | None = None,
) -> Responses:
    """Decode clips, run them through SoundNet and pool every feature map of the 15 taps.

    Each worker is a thread that decodes a batch and runs the network on one core; what is computed
    together never depends on the number of workers, so neither does the result. Sounds longer than a minute are decoded and
    run piece by piece: the responses are those of the whole, and memory does not grow with length.

    Parameters
    ----------
    clips : Clips
    model : SoundNet, optional
        By default the pretrained network.
    rate : int
        Hz to which audio is resampled; SoundNet was trained at 22 050, the released ensemble code uses 44 100.
    duration : float or None
        Seconds to which every clip is zero-padded or cut; None keeps each clip's own length.
    channel : {"mean", "left", "right"}
        What clips of several channels are brought down to.
    batch_size : int
        Clips per forward pass; more costs memory and changes no result. Clips of their own length go one by one.
    workers : int, optional
        Threads, or local processes; by default one per available core, see `dha_utils.hardware.choose_workers`.
    progress : bool
        Show a progress bar on stderr.
    device : str
        ``auto`` (CUDA where there is a GPU, else the processor), ``cpu`` or ``cuda``.
    precision : str
        In which the network runs: ``float32``, ``bfloat16`` or ``float16``. The last is slow on most processors.
    padding : str, optional
        Where the convolutions pad, one of `dha_utils.soundnet.PADDINGS`: ``released`` does as DHA's released extraction does,
        for sounds of at most a minute. By default the model's own, which for the pretrained network is ``input``.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work, or ``local`` for processes of this machine (see
        `dha_utils.cluster`); by default threads of this process. The result is the same.
    out : path, optional
        Save here. Finished blocks of clips are kept in ``OUT.partial/`` meanwhile, so that a run that was killed goes
        on where it stopped; the folder is removed at the end. Where the file holds these responses already they are
        returned; other responses stay until these are whole.

    Returns
    -------
    Responses

    Raises
    ------
    AudioError
        If a file cannot be used.
    DataError
        If `out` cannot be written, or is there and no file of responses.
    ParameterError
        If the device is not there, or a device, a precision, a padding, an address or a number of workers is none; if the
        model pads otherwise.
    DhaError
        If no scheduler answers, or it is lost.
    """
    task = Extraction(
        clips, model=model, rate=rate, duration=duration, channel=channel, batch_size=batch_size,
        workers=workers, progress=progress, device=device, precision=precision, padding=padding, scheduler=scheduler,
    )  # fmt: skip
    return extract(task.clips, task.batch, TAPS, task.provenance, out, **task.how)


def extract_to_store(clips: Clips, folder: str | Path, **options) -> ResponseStore:
    """Do as `extract_responses`, but keep the responses in a store, so that none but the blocks under way are in memory.

    Parameters
    ----------
    clips : Clips
    folder : path
        Of the store; made if it is not there. Where a run was killed, the next one goes on. A store of other responses stays
        until these are whole.
    **options
        As in `extract_responses`, less `out`.

    Returns
    -------
    ResponseStore
        Finished.

    Raises
    ------
    DataError
        If the folder cannot be written, or holds what is no store of responses; the rest as in `extract_responses`.
    """
    task = Extraction(clips, **options)
    return extract_into(folder, task.clips, task.batch, TAPS, task.provenance, **task.how)


def extract_mfcc(
    clips: Clips,
    *,
    rate: int = 44_100,
    duration: float | None = 5.0,
    channel: str = "mean",
    workers: int | None = None,
    progress: bool = True,
    scheduler: str | None = None,
    out: str | Path | None = None,
) -> Responses:
    """Return the features of the MFCC baseline as one tap named ``mfcc``; arguments as in `extract_responses`."""

    def batch(part: Clips) -> dict[str, np.ndarray]:
        waveforms = clip_waveforms(part, rate, duration, channel)
        return {"mfcc": np.stack([mfcc_features(waveform, rate) for waveform in waveforms])}

    clips = identify(clips, workers=workers, scheduler=scheduler)
    parameters = {"rate": rate, "duration": duration, "channel": channel}
    provenance = extraction_provenance(clips, parameters, kind="mfcc")
    how = {"batch_size": 4, "workers": workers, "progress": progress, "scheduler": scheduler}
    return extract(clips, batch, ("mfcc",), provenance, out, kind="mfcc", **how)
