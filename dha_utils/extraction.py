"""Extraction: from sound files through SoundNet to pooled responses, in parallel and resumable.

Conventions: waveforms are float32 in [-1, 1], mono; see `dha_utils.responses` for what comes out.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from dha_utils.audio import load_audio, mfcc_features
from dha_utils.datasets import Clips
from dha_utils.errors import DataError
from dha_utils.fused import FusedTaps
from dha_utils.paths import atomic_write
from dha_utils.provenance import extraction_provenance
from dha_utils.responses import Responses
from dha_utils.soundnet import NATIVE_RATE, TAPS, SoundNet, load_soundnet

BLOCK = 40
"""Clips per unit of work: what is lost at most, per worker, when an extraction is killed."""

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


def extract_responses(
    clips: Clips,
    *,
    model: SoundNet | None = None,
    rate: int = NATIVE_RATE,
    duration: float | None = 5.0,
    batch_size: int = 4,
    workers: int | None = None,
    progress: bool = True,
    out: str | Path | None = None,
) -> Responses:
    """Decode clips, run them through SoundNet and pool every feature map of the 15 taps.

    Each worker is a thread that decodes a batch and runs the network on one core; what is computed
    together never depends on the number of workers, so neither does the result.

    Parameters
    ----------
    clips : Clips
    model : SoundNet, optional
        By default the pretrained network.
    rate : int
        Hz to which audio is resampled; SoundNet was trained at 22 050, the released ensemble code uses 44 100.
    duration : float or None
        Seconds to which every clip is zero-padded or cut; None keeps each clip's own length.
    batch_size : int
        Clips per forward pass; more costs memory and changes results by rounding alone. Four is fastest on one core:
        more activations fall out of the cache.
    workers : int, optional
        Threads; by default one per available core.
    progress : bool
        Show a progress bar on stderr.
    out : path, optional
        Save here. Finished blocks of clips are kept in ``OUT.partial/`` meanwhile, so that a run that was killed goes
        on where it stopped; the folder is removed at the end.

    Returns
    -------
    Responses

    Raises
    ------
    AudioError
        If a file cannot be used.
    DataError
        If `out` cannot be written, or is there and holds something else.
    """
    model = model or load_soundnet()
    taps = FusedTaps(model)

    def one_block(block: Clips) -> dict[str, np.ndarray]:
        waveforms = [load_audio(path, rate, duration) for path in block.table["path"]]
        batches = [waveforms[i : i + batch_size] for i in range(0, len(waveforms), batch_size)]
        pooled = [pool_maps(taps, batch) for batch in batches]
        return {tap: np.concatenate([batch[tap] for batch in pooled]) for tap in pooled[0]}

    parameters = {
        "rate": rate,
        "duration": duration,
        "batch_size": batch_size,
        "input_scale": model.input_scale,
    }
    provenance = extraction_provenance(clips, parameters, model)
    return _extract(clips, one_block, TAPS, provenance, workers=workers, progress=progress, out=out)


def extract_mfcc(
    clips: Clips,
    *,
    rate: int = 44_100,
    duration: float | None = 5.0,
    workers: int | None = None,
    progress: bool = True,
    out: str | Path | None = None,
) -> Responses:
    """Return the features of the MFCC baseline as one tap named ``mfcc``; arguments as in `extract_responses`."""

    def one_block(block: Clips) -> dict[str, np.ndarray]:
        waveforms = (load_audio(path, rate, duration) for path in block.table["path"])
        return {"mfcc": np.stack([mfcc_features(waveform, rate) for waveform in waveforms])}

    provenance = extraction_provenance(clips, {"rate": rate, "duration": duration})
    return _extract(clips, one_block, ("mfcc",), provenance, workers=workers, progress=progress, out=out)


def _extract(
    clips: Clips, one_block, taps: Sequence[str], provenance: dict, *, workers, progress, out
) -> Responses:
    """Run `one_block` over the clips, block by block, in threads; keep and reuse finished blocks beside `out`."""
    if out is not None:
        done = _check_output(Path(out), clips, provenance)
        if done is not None:
            return done
    blocks = [clips.take(range(i, min(i + BLOCK, len(clips)))) for i in range(0, len(clips), BLOCK)]
    partial_folder = None if out is None else _open_partial(Path(f"{out}.partial"), clips, provenance)
    work = partial(_kept_block, one_block, partial_folder)
    workers = workers or len(os.sched_getaffinity(0))
    parts: list[dict[str, np.ndarray]] = []
    bar = tqdm(total=len(clips), unit="clip", disable=not progress, file=sys.stderr, desc=clips.name)
    # One network thread per worker: threads of the network on top of them would contend for the same cores.
    with bar, ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for block, part in zip(blocks, pool.map(work, range(len(blocks)), blocks), strict=True):
                parts.append(part)
                bar.update(len(block))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    arrays = {tap: np.concatenate([part[tap] for part in parts]) for tap in taps}
    responses = Responses(arrays, clips.table.drop(columns="path"), provenance)
    if out is not None:
        responses.save(out)
        shutil.rmtree(partial_folder)
    return responses


def _check_output(out: Path, clips: Clips, provenance: dict) -> Responses | None:
    """Return what `out` holds if it is this extraction, None if it is not there; raise if it is anything else."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out.with_name(f"{out.name}.probe")):
            pass
        out.with_name(f"{out.name}.probe").unlink()
        exists = out.exists()
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror}); choose another file") from error
    if not exists:
        return None
    held = Responses.load(out) if out.is_file() else None
    if (
        held is None
        or held.provenance != provenance
        or held.table["clip"].tolist() != clips.table["clip"].tolist()
    ):
        raise DataError(f"{out}: is there and is not this extraction; remove it, or choose another file")
    return held


def _open_partial(folder: Path, clips: Clips, provenance: dict) -> Path:
    """Return the folder of finished blocks, emptied if it belongs to another extraction."""
    plan = json.dumps({"clips": clips.table["clip"].tolist(), "block": BLOCK, "provenance": provenance})
    marker = folder / "plan.json"
    if marker.is_file() and marker.read_text() != plan:
        shutil.rmtree(folder)
    if not marker.is_file():
        if folder.exists() and any(folder.iterdir()):
            raise DataError(f"{folder} exists and is not ours: move it away, or choose another output file")
        with atomic_write(marker) as temporary:
            temporary.write_text(plan)
    return folder


def _kept_block(one_block, folder: Path | None, number: int, block: Iterable) -> dict[str, np.ndarray]:
    """Return a block from the folder of finished ones, or compute it and put it there."""
    if folder is None:
        return one_block(block)
    path = folder / f"{number:05d}.safetensors"
    if not path.is_file():
        arrays = one_block(block)
        with atomic_write(path) as temporary:
            save_file(arrays, temporary)
    return load_file(path)
