"""Extraction: from sound files through a network to pooled responses, in parallel, resumable, on one machine or many.

Conventions: waveforms are float32 in [-1, 1], mono; see `dha_utils.responses.table` for what comes out.
"""

from pathlib import Path

import numpy as np

from dha_utils.audio.inspection import identify
from dha_utils.audio.views import mfcc_features
from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core.errors import ParameterError
from dha_utils.core.hardware import choose_device, choose_precision
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_network
from dha_utils.responses.outputs import extract, extract_into
from dha_utils.responses.pooling import BATCH_SIZE, STREAM_SECONDS, make_batch
from dha_utils.responses.provenance import extraction_provenance
from dha_utils.responses.store import ResponseStore
from dha_utils.responses.table import Responses


class Extraction:
    """An extraction as it is to be run; arguments and errors as in `extract_responses`.

    Attributes
    ----------
    clips : Clips
        Those given, with what tells their sound.
    taps : tuple of str
    batch : callable
        Clips -> responses: what one worker does.
    provenance : dict
    batch_size : int
    """

    def __init__(
        self, clips, model=None, *, rate=None, duration=5.0, channel="mean", batch_size=BATCH_SIZE,
        device="auto", precision="float32", padding=None, pooling="mean",
    ):  # fmt: skip
        place, dtype = choose_device(device), choose_precision(precision)
        asked = {} if padding is None else {"padding": padding}
        model = load_network(**asked) if model is None else model
        if model.training:
            raise ParameterError(
                f"network {model.name!r} is in training mode, where a clip changes what is said of others: call its eval() first"
            )
        if asked.items() - model.settings.items():
            raise ParameterError(
                f"padding is {padding!r}, but the network that is given has {model.settings.get('padding')!r}"
            )
        if model.rate is None:
            raise ParameterError(
                f"network {model.name!r} takes arrays, not sounds: use dha.responses_of, or wrap it with a rate"
            )
        model.shapes(
            model.min_samples
        )  # a module that cannot take so short a sound is found before any is decoded
        self.taps, rate = model.taps, rate or model.rate
        self.batch = make_batch(model.fast(place, dtype), rate, duration, channel, pooling)
        parameters = {
            "rate": rate, "duration": duration, "channel": channel, "batch_size": batch_size,
            "device": place.type, "precision": precision, "pooling": pooling, **model.settings,
        }  # fmt: skip
        self.clips = identify(clips)
        self.provenance = extraction_provenance(clips, parameters, model)
        # Sounds of their own length seldom share one, and long ones should not wait for one another.
        alone = duration is None or duration > STREAM_SECONDS
        self.batch_size = 1 if alone else batch_size


def extract_responses(
    clips: Clips,
    model: Network | None = None,
    *,
    rate: int | None = None,
    duration: float | None = 5.0,
    channel: str = "mean",
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    precision: str = "float32",
    padding: str | None = None,
    pooling: str = "mean",
    out: str | Path | None = None,
) -> Responses:
    """Decode clips, run them through a network and pool every feature map of its taps.

    Each worker (`dha_utils.workers`), by default a thread of this process, decodes a batch and runs the network on one core; what
    is computed together never depends on the number of workers, so neither does the result. Sounds longer than a minute are
    decoded and run piece by piece: the responses are those of the whole, and memory does not grow with length.

    Parameters
    ----------
    clips : Clips
    model : Network, optional
        By default the pretrained SoundNet-8; see `dha_utils.load_network`.
    rate : int, optional
        Hz to which audio is resampled, by default that of the network's own sounds; SoundNet was
        trained at 22 050, the released ensemble code uses 44 100.
    duration : float or None
        Seconds to which every clip is zero-padded or cut; None keeps each clip's own length.
    channel : {"mean", "left", "right"}
        What clips of several channels are brought down to.
    batch_size : int
        Clips per forward pass; more costs memory and changes no result. Clips of their own length go one by one.
    device : str
        ``auto`` (CUDA where there is a GPU, else the processor), ``cpu`` or ``cuda``.
    precision : str
        In which the network runs: ``float32``, ``bfloat16`` or ``float16``. The last is slow on most processors.
    padding : str, optional
        Where the convolutions pad, one of `dha_utils.networks.soundnet.PADDINGS`: ``released`` does as DHA's released extraction
        does, for sounds of at most a minute. By default the model's own, which for the pretrained network is ``input``.
    pooling : {"mean", "max", "mean_max"}
        How the values of a map at all positions become its response: their average, the largest, or both, in two columns: all
        averages of a tap, then all its largest values. See `dha_utils.responses.pooling.POOLINGS`.
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
        If the device is not there, or a device, a precision, a padding or a pooling is none; if the model pads otherwise.
    DhaError
        If a cluster's scheduler is lost, or work ends its workers.
    """
    task = Extraction(
        clips, model, rate=rate, duration=duration, channel=channel, batch_size=batch_size,
        device=device, precision=precision, padding=padding, pooling=pooling,
    )  # fmt: skip
    return extract(task.clips, task.batch, task.taps, task.provenance, out, batch_size=task.batch_size)


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
    return extract_into(folder, task.clips, task.batch, task.taps, task.provenance, task.batch_size)


def extract_mfcc(
    clips: Clips,
    *,
    rate: int = 44_100,
    duration: float | None = 5.0,
    channel: str = "mean",
    out: str | Path | None = None,
) -> Responses:
    """Return the features of the MFCC baseline as one tap named ``mfcc``; arguments as in `extract_responses`."""

    def batch(part: Clips) -> dict[str, np.ndarray]:
        waveforms = clip_waveforms(part, rate, duration, channel)
        return {"mfcc": np.stack([mfcc_features(waveform, rate) for waveform in waveforms])}

    clips = identify(clips)
    parameters = {"rate": rate, "duration": duration, "channel": channel}
    provenance = extraction_provenance(clips, parameters, kind="mfcc")
    return extract(clips, batch, ("mfcc",), provenance, out, kind="mfcc", batch_size=4)
