"""From a function of clips to the responses of all clips: block by block, by whoever works, gone on with after a kill.

Conventions: a *block* is what is kept at a time, a *batch* what one worker computes at a time; both are clips that are neighbours
in the list. What becomes of a file or a folder that holds other responses is decided here.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.core.hardware import one_core
from dha_utils.core.paths import probe_folder
from dha_utils.core.work import progress_bar, run_items
from dha_utils.datasets.clips import Clips
from dha_utils.responses.pooling import BATCH_SIZE, Batch
from dha_utils.responses.provenance import key_of
from dha_utils.responses.store import MANIFEST, ResponseStore
from dha_utils.responses.table import Responses

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
            _remove(store.folder)  # a kill came in between
            return held
        _say_anew(out)
    responses = fill_store(store.begin(anew=True), clips, batch, batch_size).read()
    responses.save(out)
    _remove(store.folder)
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
    _remove(aside)
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


def _remove(folder: Path) -> None:
    """Remove a store, if one is there; its manifest goes last, so that what a kill leaves of it is still known for one."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if (folder / MANIFEST).exists() or is_empty:
        for path in folder.iterdir():
            if path.name != MANIFEST:
                path.unlink()
        shutil.rmtree(folder)


def _rename(folder: Path, to: Path) -> None:
    try:
        folder.rename(to)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be renamed to {to} ({error.strerror}); do that by hand, or choose another output"
        ) from error
