"""Results that take long, each kept as one line of a file as soon as it is done.

Conventions: a *cell* is a frozen dataclass that says what is to be computed; its result is a dict in JSON types that repeats the
cell's fields. A file is JSON lines: the first is the key of what the cells were computed from (`dha_utils.core.artifacts`), each
further one is a result. A run that was killed goes on where it stopped, and what is committed under ``data/DATASET/`` is not
computed again.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import BinaryIO, TypeVar

from dha_utils.core.announcements import announce, duration
from dha_utils.core.artifacts import short
from dha_utils.core.errors import DataError
from dha_utils.core.paths import STORE, bundled
from dha_utils.core.work import progress_bar
from dha_utils.evaluation.packing import with_sums_renamed
from dha_utils.pruning.compressor import fit_key
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses

C = TypeVar("C")

ANNOUNCE_CELLS, ANNOUNCE_SECONDS = 8, 60
"""After so many cells, or so much time, it is known how long the others will take."""


def results_key(kind: str, responses: Responses) -> dict:
    """Return the key of results of a kind (``sweep``, ``trials``)."""
    return key_of(kind, responses, **(fit_key(responses) if kind in ("trials", "nested") else {}))


def committed_file(kind: str, responses: Responses) -> Path:
    """Return where the committed results of a kind (``sweep``, ``pruning``) are for a data set at the responses' rate."""
    provenance = responses.provenance
    return bundled(provenance["dataset"]) / f"{kind}_{provenance['parameters']['rate']}{STORE}"


def kept_file(kind: str, responses: Responses, folder: Path) -> Path:
    """Return where results of a kind are kept in a folder: under a name of their own for every key."""
    rate = responses.provenance["parameters"]["rate"]
    return Path(folder) / f"{kind}_{rate}_{short(results_key(kind, responses))}{STORE}"


def evaluate(
    cells: Iterable[C],
    compute: Callable[[list[C]], Iterable[tuple[C, dict]]],
    responses: Responses,
    *,
    committed: Path,
    full: bool = False,
    store: Path | None = None,
) -> list[dict]:
    """Return the result of every cell: from the store, from what is committed, or computed now.

    Where stderr is no terminal, and shows no progress bar, it is said on stdout how many are to be computed and, once some are
    done, how long the others will take.

    Parameters
    ----------
    cells : iterable of dataclass instances, all of one class
    compute : callable
        Some cells -> each with its result, as they are done.
    responses : Responses
        What the results hang on.
    committed : Path
        File of committed results, its name beginning with their kind; read if it is there and of these responses.
    full : bool
        Compute also what is committed.
    store : Path, optional
        The folder in which what is computed is kept, see `kept_file`.

    Returns
    -------
    list of dict
        In the order of `cells`.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    cells = list(dict.fromkeys(cells))
    if not cells:
        return []
    kind, title = type(cells[0]), committed.stem.partition("_")[0]
    done = {} if full else load_results(committed, kind, responses, strict=False)
    if store is not None:
        store = kept_file(title, responses, store)
        done |= load_results(store, kind, responses)
    missing = [cell for cell in cells if cell not in done]
    if missing and store is not None:
        _open_store(store, results_key(title, responses))
    if not missing:
        return [done[cell] for cell in cells]
    with progress_bar(len(missing), "cell", title) as bar:
        announced = not bar.disable
        if bar.disable:
            announce(f"{title}: {len(missing)} of {len(cells)} cells are to be computed")
        for number, (cell, result) in enumerate(compute(missing), 1):
            if store is not None:
                with _held(store) as file:
                    file.write(json.dumps(result).encode() + b"\n")
            done[cell] = result
            bar.update()
            left, now = len(missing) - number, time.perf_counter()
            if number == 1:
                first = now  # with it came what all share, such as loading the audio
            known = number > ANNOUNCE_CELLS or (number > 1 and now - first > ANNOUNCE_SECONDS)
            if known and left and not announced:
                wait = duration((now - first) / (number - 1) * left)
                announce(f"{title}: about {wait} for the other {left}")
                announced = True
    return [done[cell] for cell in cells]


def load_results(path: Path, kind: type[C], responses: Responses, *, strict: bool = True) -> dict[C, dict]:
    """Return the finished cells of a file, none if there is no file.

    Parameters
    ----------
    path : Path
        Its name begins with the kind of its results, as ``sweep_``.
    kind : type
        The cells' dataclass.
    responses : Responses
    strict : bool
        Whether a file that belongs to other responses is an error, or counts as none.

    Raises
    ------
    DataError
        If the file is damaged, other than in an unfinished last line, or (if `strict`) belongs to other responses.
    """
    if not path.is_file():
        return {}
    try:
        # What follows the last line break is unfinished.
        header, *lines = path.read_text(encoding="utf-8").split("\n")[:-1] or ["null"]
        header = json.loads(header)
        is_of_these = header == results_key(path.stem.partition("_")[0], responses)
        results = [with_sums_renamed(json.loads(line)) for line in lines if is_of_these]
        names = [field.name for field in fields(kind)]
        finished = {kind(**{name: result[name] for name in names}): result for result in results}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a file of results, or damaged ({error}); remove it to start again"
        ) from error
    if strict and header and not is_of_these:
        raise DataError(f"{path}: was computed from other responses; choose another file")
    return finished


@contextmanager
def _held(store: Path) -> Iterator[BinaryIO]:
    """Open a file at its end, alone: notebooks that are run side by side keep their cells in the same one."""
    with store.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _open_store(store: Path, key: dict) -> None:
    """Begin a file, or cut off the unfinished last line of one that was killed."""
    store.parent.mkdir(parents=True, exist_ok=True)
    with _held(store) as file:
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        if not whole:
            file.write(json.dumps(key).encode() + b"\n")
