"""Extraction: from sound files through a network to pooled responses, in parallel, resumable, on one machine or many.

Conventions: waveforms are float32 in [-1, 1], mono; see `dha_utils.responses.table` for what comes out.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.audio.inspection import identify, usable_clips
from dha_utils.audio.views import mfcc_features
from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core import work
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.core.hardware import choose_device, choose_precision, one_core
from dha_utils.core.paths import probe_folder
from dha_utils.core.work import progress_bar, run_items
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_network, outline
from dha_utils.responses.pooling import STREAM_SECONDS, Batch, make_batch
from dha_utils.responses.provenance import extraction_provenance, key_of
from dha_utils.responses.store import MANIFEST, ResponseStore, claim_folder
from dha_utils.responses.table import Responses

BATCH_SIZE = 8
"""Clips per forward pass: fewer carry the weights of the deepest layers through the cache more often, more fall out of it."""

BLOCK = 40
"""Clips per block: what is lost at most, beside the batches under way, when an extraction is killed."""


def run_blocks(
    clips: Clips, numbers: Sequence[int], batch: Batch, batch_size: int
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield the numbers of the given blocks with their responses, as they come.

    Clips make blocks and blocks make batches by their place in the list alone, so what is computed together does not depend on
    the workers.

    Parameters
    ----------
    clips : Clips
        All of them.
    numbers : sequence of int
        Ascending.
    batch : callable
        Some clips -> their responses, tap by tap.
    batch_size : int
        Clips that `batch` is given at a time.
    """
    per_block = -(-BLOCK // batch_size)
    todo = sum(len(_rows(clips, number)) for number in numbers)
    parts: dict[int, dict[int, dict[str, np.ndarray]]] = {number: {} for number in numbers}
    # Taken out of the table as workers need them, since for a large set that takes a while.
    items = (clips.take(rows) for number in numbers for rows in _batches(_rows(clips, number), batch_size))
    with progress_bar(len(clips), "clip", clips.name, len(clips) - todo) as bar:
        for i, arrays in run_items(partial(_run_batch, batch), items, together=per_block):
            number, place = numbers[i // per_block], i % per_block
            parts[number][place] = arrays
            batches = _batches(_rows(clips, number), batch_size)
            bar.update(len(batches[place]))
            if len(parts[number]) == len(batches):
                done = parts.pop(number)
                yield number, _joined([done[place] for place in sorted(done)])


def _run_batch(batch: Batch, clips: Clips) -> dict[str, np.ndarray]:
    with one_core():
        return batch(clips)


def _rows(clips: Clips, number: int) -> range:
    """Return which clips make a block."""
    return range(len(clips))[number * BLOCK : (number + 1) * BLOCK]


def _batches(rows: range, batch_size: int) -> list[range]:
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in parts[0]}


def described(clips: Clips) -> pd.DataFrame:
    """Return the clip table that goes with responses: neither paths nor seconds cut out, which the provenance holds."""
    return clips.table.drop(columns=["path", "cut"], errors="ignore")


def fill_store(store: ResponseStore, clips: Clips, batch: Batch, batch_size: int) -> ResponseStore:
    """Compute the blocks that a store lacks, and return it, finished; arguments as in `run_blocks`."""
    missing = store.missing()
    if store.complete and not missing:
        return store
    for number, arrays in run_blocks(clips, missing, batch, batch_size):
        store.write(number, described(clips.take(_rows(clips, number))), arrays)
    return store.finish()


def extract(
    clips: Clips,
    batch: Batch,
    taps: Sequence[str],
    provenance: dict,
    out: str | Path | None,
    kind: str = "responses",
    batch_size: int = BATCH_SIZE,
) -> Responses:
    """Return the responses to all clips, and save them to the file `out`, if any; `batch_size` as in `run_blocks`.

    Finished blocks are kept in a store beside the file meanwhile, ``OUT.partial/``, which is removed at the end. A file that
    holds other responses stays until these are whole.

    Raises
    ------
    DataError
        If `out` cannot be written, or is there and no file of responses.
    """
    if out is None:
        numbers = range(-(-len(clips) // BLOCK))
        blocks = dict(run_blocks(clips, numbers, batch, batch_size))
        return Responses(_joined([blocks[number] for number in numbers]), described(clips), provenance)
    out = Path(out)
    store = ResponseStore.plan(f"{out}.partial", described(clips), provenance, taps, BLOCK, kind)
    if probe_file(out):
        held = _load_output(out)
        if key_of(kind, held) == store.key and not held.provenance.get("bundled"):
            return held
        _say_anew(out)
    responses = fill_store(store.begin(anew=True), clips, batch, batch_size).read()
    responses.save(out)
    shutil.rmtree(store.folder)
    return responses


def extract_into(
    folder: str | Path, clips: Clips, batch: Batch, taps: Sequence[str], provenance: dict, batch_size: int
) -> ResponseStore:
    """Return the finished store of the responses to all clips; `batch_size` as in `run_blocks`.

    Where the folder holds other responses these are made beside it, in ``FOLDER.partial/``, and take its place when they are
    whole.

    Raises
    ------
    DataError
        If the folder cannot be written, or holds what is no store of responses.
    """
    folder = Path(folder).resolve()
    beside, aside = (folder.with_name(f"{folder.name}.{end}") for end in ("partial", "replaced"))
    if not (folder / MANIFEST).exists() and _is_complete(beside):
        _rename(beside, folder)  # a kill came in between the two names
    store = ResponseStore.plan(folder, described(clips), provenance, taps, BLOCK)
    if not (folder / MANIFEST).exists() or ResponseStore.load(folder).is_same(store):
        store = fill_store(store.begin(), clips, batch, batch_size)
    else:
        _say_anew(folder)
        anew = replace(store, folder=beside).begin(anew=True)
        anew = fill_store(anew, clips, batch, batch_size)
        _rename(folder, aside)
        _rename(beside, folder)
        store = replace(anew, folder=folder)
    if (aside / MANIFEST).exists():
        shutil.rmtree(aside)
    return store


def probe_file(out: Path) -> bool:
    """Return whether a file is there; raise a DataError unless it can be written: before hours of work are done for it."""
    try:
        probe_folder(out.parent)
        return out.exists()
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose another file") from error


def _load_output(out: Path) -> Responses:
    try:
        return Responses.load(out)
    except DataError as error:
        raise DataError(
            f"{out}: is there and is no file of responses, or damaged; remove it, or choose another output"
        ) from error


def _say_anew(out: Path) -> None:
    print(
        f"{out}: holds another extraction (other clips, labels, folds, sound, parameters or weights); it is made anew, and "
        "the old one replaced at the end",
        file=sys.stderr,
    )


def _is_complete(folder: Path) -> bool:
    try:
        return ResponseStore.load(folder).complete
    except DataError:
        return False


def _rename(folder: Path, to: Path) -> None:
    try:
        folder.rename(to)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be renamed to {to} ({error.strerror}); do that by hand, or choose another output"
        ) from error


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
        device="auto", precision="float32", padding=None,
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
        self.taps, rate = model.taps, rate or model.rate
        self.batch = make_batch(model.fast(place, dtype), rate, duration, channel)
        parameters = {
            "rate": rate, "duration": duration, "channel": channel, "batch_size": batch_size,
            "device": place.type, "precision": precision, **model.settings,
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
        If the device is not there, or a device, a precision or a padding is none; if the model pads otherwise.
    DhaError
        If a cluster's scheduler is lost, or work ends its workers.
    """
    task = Extraction(
        clips, model, rate=rate, duration=duration, channel=channel, batch_size=batch_size,
        device=device, precision=precision, padding=padding,
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


def extract_dataset(
    dataset: str,
    output: str,
    root: str | Path | None = None,
    *,
    duration: float | None,
    skip_bad: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    **options,
) -> Clips:
    """Extract the responses to a data set into a file, or, where `output` ends in / or is a folder, into a store.

    What can be wrong with `output` and with the options is found before all files are read.

    Parameters
    ----------
    dataset, root
        As in `dha_utils.load_clips`.
    output : str
        Not among the sounds.
    duration, **options
        As in `extract_responses`, all but the model.
    skip_bad : bool
        Leave out clips that cannot be used, instead of stopping; those that can are returned.
    workers, scheduler
        As in `dha_utils.workers`; by default a store is made by processes of this machine, and a file by threads.
    """
    if Path(dataset).is_dir() and Path(output).resolve().is_relative_to(Path(dataset).resolve()):
        raise DataError(f"{output}: lies among the sounds of {dataset}; choose a place outside")
    place = choose_device(options["device"])
    choose_precision(options["precision"])
    shortest = outline(padding=options["padding"]).check_duration(duration, options["rate"])
    is_store = output.endswith("/") or Path(output).is_dir()
    (claim_folder if is_store else probe_file)(Path(output))
    if scheduler is None and is_store and place.type == "cpu":
        scheduler = "local"
    with work.workers(scheduler, workers):
        clips = load_clips(dataset, root, allow_missing=skip_bad)
        clips = usable_clips(clips, skip_bad=skip_bad, shortest=shortest)
        if is_store:
            extract_to_store(clips, output, duration=duration, **options)
        else:
            extract_responses(clips, out=output, duration=duration, **options)
    return clips


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
