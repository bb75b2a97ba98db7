"""Work handed out: the same call on threads or processes of this machine, or on the workers of a Dask cluster.

Conventions: *work* is a function of one item, the same for all items. `workers` says once who does it; without it, threads or
processes of this machine do, one per core, whichever suits the work. A result hangs on its item alone: neither the number of
workers nor the order in which they end is seen in it. Only the client writes, so that a cluster's workers need to see the sounds
and this package, and no results folder. When such a worker dies, the scheduler gives its items to others; when the client dies,
what it has written is there for the next run.
"""

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import uuid4

import cloudpickle
import joblib
import numpy as np
from tqdm import tqdm

from dha_utils.core.errors import DhaError, ParameterError, choose

if TYPE_CHECKING:  # takes a second, and most work needs no cluster
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")

IDLE_SECONDS = 86_400
"""Before a process without work ends. joblib's own 300 s race with new work, and its warning of that, where warnings are errors,
ends the thread that hands out work: everything would wait for ever."""

BACKENDS = {"threads": "threading", "processes": "loky"}
"""Kind of workers of this machine -> joblib's name."""

MAX_THREADS = 32
"""Threads of one process, by default at most: each needs the interpreter for a few per cent of its time, so that many more
would wait for one another. A larger machine is filled by several processes."""

TERMINAL = "DHA_TERMINAL"
"""Environment variable: the terminal on which bars are shown where stderr is none, as in what another program runs."""

AHEAD = 2
"""Portions of work per worker that are asked for ahead, so that none is idle."""


class Crew(NamedTuple):
    """Who does the work: a cluster's workers if there is a client, else so many of this machine, of one kind."""

    client: "Client | None" = None
    n: int | None = None
    kind: str | None = None


_here = threading.local()


@contextmanager
def _set(name: str, value: Any) -> Iterator[None]:
    before = getattr(_here, name, None)
    setattr(_here, name, value)
    try:
        yield
    finally:
        setattr(_here, name, before)


@contextmanager
def workers(
    scheduler: str | None = None, n: int | None = None, *, kind: str | None = None
) -> Iterator["Client | None"]:
    """Say who does the work of this block. No result depends on it.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://node1:8786``, whose workers do the work, or ``local``: a cluster of
        processes of this machine. By default this machine works without a cluster.
    n : int, optional
        Workers of this machine. By default one per core that this process may use: those of the machine, less what affinity, a
        container's quota of processor time or ``LOKY_MAX_CPU_COUNT`` take away; of threads at most `MAX_THREADS`.
    kind : {"threads", "processes"}, optional
        Of the workers of this machine, by default whichever suits the work.

    Yields
    ------
    distributed.Client or None
        Of the cluster, if there is one.

    Raises
    ------
    DhaError
        If no scheduler answers at the address.
    ParameterError
        If the address is none, or a number or kind of workers is.

    Examples
    --------
    >>> with workers(n=2, kind="threads"):
    ...     in_order(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    if n is not None and n < 1:
        raise ParameterError(f"workers is {n!r}, expected at least 1, or nothing for one per core")
    if kind is not None:
        choose("kind of workers", kind, BACKENDS)
    if not (scheduler is None or isinstance(scheduler, str)):
        raise ParameterError(
            f"scheduler is {scheduler!r}, expected an address such as 'tcp://node1:8786', or 'local'; workers of this machine "
            "are n"
        )
    if scheduler is None:
        with _set("crew", Crew(None, n, kind)):
            yield None
        return
    from dha_utils.core.cluster import connect

    with connect(scheduler, n) as client, _set("crew", Crew(client, n, kind)):
        yield client


def on_cluster() -> bool:
    """Return whether a cluster does the work."""
    return _crew().client is not None


def run_items(
    function: Callable[[Item], Result], items: Iterable[Item], kind: str = "threads", together: int = 1
) -> Iterator[tuple[int, Result]]:
    """Yield the number of every item with its result, in the order in which results come.

    Parameters
    ----------
    function : callable
        Item -> result; where other processes work, both are pickled, the function once. Work in it is not divided again.
    items : iterable
        Asked for as workers need them.
    kind : {"threads", "processes", "shared"}
        What suits the work, where nobody has asked for another kind. ``shared`` are threads of this process, whoever else
        works: the function shares its memory.
    together : int
        Items that another process is given at a time.

    Raises
    ------
    DhaError
        If `function` raises one, or an item ends the processes that it is given to; on a cluster also if workers run other
        code, or the scheduler is lost.
    """
    client, n, wanted = _crew()
    if client is not None and kind != "shared":
        from dha_utils.core.cluster import run_portions

        yield from run_portions(client, partial(_do, function), enumerate(items), together)
        return
    kind = "threads" if kind == "shared" else wanted or kind
    if kind == "threads":
        n, together = n or min(joblib.cpu_count(), MAX_THREADS), 1
    else:
        n = n or joblib.cpu_count()
        function = _Shipped(function) if n > 1 else function
    parallel = joblib.Parallel(
        n,
        backend=BACKENDS[kind],
        idle_worker_timeout=IDLE_SECONDS,
        return_as="generator_unordered",
        batch_size=together,
        pre_dispatch=AHEAD * n * together,
    )
    results = parallel(joblib.delayed(_do)(function, *numbered) for numbered in enumerate(items))
    try:
        for result in results:  # noqa: UP028 (else they are closed before the warning is hidden)
            yield result
    except BrokenProcessPool as error:
        raise DhaError(
            "a process was killed at its work (too little memory?); what is finished is kept: run the same again, with fewer "
            "workers"
        ) from error
    finally:
        with warnings.catch_warnings():  # that results are not used, where whoever wants them is interrupted
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def in_order(function: Callable[[Item], Result], items: Iterable[Item], kind: str = "shared") -> list[Result]:
    """Return the results of all items in their order; arguments as in `run_items`."""
    results = dict(run_items(function, items, kind))
    return [results[number] for number in range(len(results))]


@contextmanager
def progress_bar(total: int, unit: str, title: str, done: int = 0) -> Iterator[tqdm]:
    """Show how far work is, on stderr or `TERMINAL`, if one is a terminal and shows no other bar."""
    hidden = getattr(_here, "bar", None)  # None: where there is no terminal
    shown_by = None if sys.stderr.isatty() else os.environ.get(TERMINAL)
    with (
        open(shown_by, "w") if shown_by else nullcontext(sys.stderr) as file,
        tqdm(
            total=total, initial=done, unit=unit, desc=title, disable=hidden, file=file, leave=not shown_by
        ) as bar,
        _set("bar", True),
    ):
        yield bar


def _crew() -> Crew:
    return getattr(_here, "crew", None) or Crew()


def _do(function: Callable[[Item], Result], number: int, item: Item) -> tuple[int, Result]:
    with _set("crew", Crew(n=1)):
        return number, function(item)


class _Shipped:
    """A function that each process unpickles once, however many items it is given."""

    unpacked: tuple[str, Callable] = ("", len)

    def __init__(self, function: Callable):
        self.name = uuid4().hex
        self.content = np.frombuffer(cloudpickle.dumps(function), np.uint8)  # an array, which joblib shares

    def __call__(self, item: Item) -> Result:
        if _Shipped.unpacked[0] != self.name:
            _Shipped.unpacked = self.name, cloudpickle.loads(self.content.tobytes())
        return _Shipped.unpacked[1](item)
