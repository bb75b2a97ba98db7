"""Run an extraction in threads or on a cluster, batch by batch, and keep what is finished.

Conventions: a *batch* function takes clips and returns their responses, tap by tap. Clips make blocks and blocks make
batches by their place in the list alone, so what is computed together does not depend on the number of threads or workers.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from dha_utils.artifacts import key_of
from dha_utils.cluster import connect, run_items
from dha_utils.datasets.clips import Clips
from dha_utils.errors import DataError
from dha_utils.hardware import choose_workers
from dha_utils.manifest import MANIFEST
from dha_utils.paths import probe_folder
from dha_utils.responses import Responses
from dha_utils.store import ResponseStore

BLOCK = 40
"""Clips per block: what is lost at most, beside the batches under way, when an extraction is killed."""

Batch = Callable[[Clips], dict[str, np.ndarray]]


def run_blocks(
    clips: Clips,
    numbers: Sequence[int],
    batch: Batch,
    *,
    batch_size: int,
    workers: int | None,
    progress: bool,
    scheduler: str | None = None,
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield the numbers of the given blocks with their responses: in order from threads, as they come from a cluster.

    Parameters
    ----------
    clips : Clips
        All of them.
    numbers : sequence of int
    batch : callable
    batch_size : int
        Clips that `batch` is given at a time.
    workers : int or None
        Threads, or local processes.
    progress : bool
        Show a progress bar on stderr.
    scheduler : str, optional
        As in `dha_utils.cluster.connect`; by default threads of this process do the work.
    """
    todo = sum(min(BLOCK, len(clips) - number * BLOCK) for number in numbers)
    bar = tqdm(
        total=len(clips), initial=len(clips) - todo, unit="clip", disable=not progress, file=sys.stderr, desc=clips.name
    )  # fmt: skip
    run = _run_in_threads if scheduler is None else partial(_run_on_cluster, scheduler=scheduler)
    with bar:
        yield from run(clips, numbers, batch, batch_size, workers, bar)


def _rows(clips: Clips, number: int) -> range:
    """Return which clips make a block."""
    return range(len(clips))[number * BLOCK : (number + 1) * BLOCK]


def _batches(rows: range, batch_size: int) -> list[range]:
    return [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]


def _joined(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in parts[0]}


def _run_in_threads(clips, numbers, batch, batch_size, workers, bar) -> Iterator:
    # Numbers of rows only: the workers take the clips out of the table, since for a large set that takes a while.
    batches = {number: _batches(_rows(clips, number), batch_size) for number in numbers}
    # One network thread per worker: threads of the network on top of them would contend for the same cores.
    with ThreadPoolExecutor(
        choose_workers(workers), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        try:
            results = pool.map(lambda rows: batch(clips.take(rows)), chain.from_iterable(batches.values()))
            for number, several in batches.items():
                parts = []
                for rows in several:
                    parts.append(next(results))
                    bar.update(len(rows))
                yield number, _joined(parts)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run_on_cluster(clips, numbers, batch, batch_size, workers, bar, scheduler) -> Iterator:
    items = ((number, clips.take(_rows(clips, number))) for number in numbers)
    with connect(scheduler, workers) as client:
        for (number, block), arrays in run_items(client, partial(_run_block, batch, batch_size), items):
            bar.update(len(block))
            yield number, arrays


def _run_block(batch: Batch, batch_size: int, item: tuple[int, Clips]) -> dict[str, np.ndarray]:
    torch.set_num_threads(1)
    _number, block = item
    return _joined([batch(block.take(rows)) for rows in _batches(range(len(block)), batch_size)])


def described(clips: Clips) -> pd.DataFrame:
    """Return the clip table that goes with responses: neither paths nor seconds cut out, which the provenance holds."""
    return clips.table.drop(columns=["path", "cut"], errors="ignore")


def fill_store(store: ResponseStore, clips: Clips, batch: Batch, **how) -> ResponseStore:
    """Compute the blocks that a store lacks, and return it, finished; `how` as in `run_blocks`."""
    missing = store.missing()
    if store.complete and not missing:
        return store
    for number, arrays in run_blocks(clips, missing, batch, **how):
        store.write(number, described(clips.take(_rows(clips, number))), arrays)
    return store.finish()


def extract(
    clips: Clips,
    batch: Batch,
    taps: Sequence[str],
    provenance: dict,
    out: str | Path | None,
    kind: str = "responses",
    **how,
) -> Responses:
    """Return the responses to all clips, and save them to the file `out`, if any; `how` as in `run_blocks`.

    Finished blocks are kept in a store beside the file meanwhile, ``OUT.partial/``, which is removed at the end. A file that
    holds other responses stays until these are whole.

    Raises
    ------
    DataError
        If `out` cannot be written, or is there and no file of responses.
    """
    if out is None:
        numbers = range(-(-len(clips) // BLOCK))
        blocks = dict(run_blocks(clips, numbers, batch, **how))
        return Responses(_joined([blocks[number] for number in numbers]), described(clips), provenance)
    out = Path(out)
    store = ResponseStore.plan(f"{out}.partial", described(clips), provenance, taps, BLOCK, kind)
    if probe_file(out):
        held = _load_output(out)
        if key_of(kind, held) == store.key and not held.provenance.get("bundled"):
            return held
        _say_anew(out, **how)
    responses = fill_store(store.begin(anew=True), clips, batch, **how).read()
    responses.save(out)
    shutil.rmtree(store.folder)
    return responses


def extract_into(
    folder: str | Path, clips: Clips, batch: Batch, taps: Sequence[str], provenance: dict, **how
) -> ResponseStore:
    """Return the finished store of the responses to all clips; `how` as in `run_blocks`.

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
        store = fill_store(store.begin(), clips, batch, **how)
    else:
        _say_anew(folder, **how)
        anew = replace(store, folder=beside).begin(anew=True)
        anew = fill_store(anew, clips, batch, **how)
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


def _say_anew(out: Path, *, progress: bool, **_how) -> None:
    if progress:
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
