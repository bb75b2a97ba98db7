"""Work on a Dask cluster: processes of this machine, or a scheduler with workers on as many machines as there are.

Workers get the function once and items by portions, and send results back; only the client writes, so that workers need to see
the sounds and this package, and no results folder. When a worker dies, the scheduler gives its items to others; when the client
dies, what it has written is there for the next run. joblib's own way to a cluster is not taken: there an item that ends its
workers is waited for for ever, and workers that come later get no work.
"""

import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import resource_tracker
from typing import TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import dask
import joblib
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin, get_worker, wait
from distributed.comm import CommClosedError
from tqdm import tqdm

from dha_utils.core.errors import DhaError, ParameterError
from dha_utils.core.hashing import hash_package

Result = TypeVar("Result")

LOCAL = "local"
"""In place of an address: processes of this machine, for as long as the work takes."""

PATIENCE = 10
"""Seconds in which a scheduler has to answer."""

AHEAD = 2
"""Portions per thread that are at the workers: enough that none is idle, few enough that results do not pile up."""

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Of local processes. Dask's default also makes malloc give memory back at once, which costs page faults at every step."""

TALKATIVE = ("distributed", "distributed.client", "tornado.application", "asyncio")
"""Loggers that would print tracebacks of what an interrupt has cut off."""


@contextmanager
def connect(scheduler: str, n: int | None = None) -> Iterator[Client]:
    """Give a client of a cluster, and close it in the end; a local cluster ends with it.

    Parameters
    ----------
    scheduler : str
        Address of a Dask scheduler, such as ``tcp://node1:8786``, or ``local``: processes of this machine.
    n : int, optional
        Local processes, of one thread each; by default one per core.

    Yields
    ------
    distributed.Client

    Raises
    ------
    DhaError
        If no scheduler answers at the address.
    ParameterError
        If the address is none.
    """
    if scheduler == LOCAL:
        how = {
            "n_workers": n or joblib.cpu_count(),
            "threads_per_worker": 1,
            "host": "127.0.0.1",
            "memory_limit": 0,
        }
        for name in (
            "distributed",
            "distributed.client",
        ):  # what is said after an interrupted cluster is closed, too
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}),
            _children_ignore_interrupts(),
        ):
            try:
                cluster = LocalCluster(**how, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL)
            except RuntimeError as error:
                raise DhaError(
                    f"processes of this machine do not start ({error}); a script that starts some has to keep its work under "
                    "`if __name__ == '__main__':`"
                ) from error
        with cluster, Client(cluster, set_as_default=False) as client:
            try:
                yield client
            except KeyboardInterrupt:
                for name in TALKATIVE:
                    logging.getLogger(name).setLevel(logging.CRITICAL)
                raise
        return
    _check_answers(scheduler)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # `run_portions` says it in one line
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DhaError(f"{scheduler}: what answers is no Dask scheduler of this version ({error})") from error
    with client:
        if not client.nthreads():
            hint = f"{scheduler}: no workers yet, waiting; start some with `dask worker {scheduler}`"
            tqdm.write(hint, file=sys.stderr)
            client.wait_for_workers(1)
        yield client


@contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """Let what is started inherit that Ctrl-C, which reaches all processes of a terminal, is for this one alone."""
    resource_tracker.ensure_running()  # whoever starts it is open to interrupts again afterwards
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check_answers(scheduler: str) -> None:
    """Raise unless something answers at an address; Dask itself would leave a traceback behind."""
    try:
        parts = urlsplit(scheduler)
        place = parts.hostname, parts.port
    except ValueError:
        place = None, None
    if not all(place):
        raise ParameterError(
            f"scheduler is {scheduler!r}, expected an address such as 'tcp://node1:8786', or 'local'"
        )
    try:
        socket.create_connection(place, timeout=PATIENCE).close()
    except OSError as error:
        raise DhaError(
            f"{scheduler}: no Dask scheduler answers ({error.strerror or error}); start one with `dask scheduler`, "
            "or use 'local'"
        ) from error


class Work(WorkerPlugin):
    """A function that every worker has, those that come later too: sent once, not with every item."""

    def __init__(self, function: Callable):
        self.function, self.code = function, hash_package()

    def setup(self, worker) -> None:
        """Refuse to work with other code, whose results would be mixed with ours."""
        if hash_package() != self.code:
            raise DhaError(
                f"worker {worker.address} runs another version of this package; install the same everywhere"
            )


def _hand_out(client: Client, work: Work, name: str) -> None:
    """Send the work to all workers; whatever fails there is raised here, as Dask does, and not always understood."""
    try:
        client.register_plugin(work, name=name)
    except DhaError:
        raise
    except Exception as error:
        raise DhaError(
            f"{client.scheduler.address}: its workers cannot load this package ({type(error).__name__}: {error}); install the "
            "same version, on the same Python, on every machine"
        ) from error


def _do_portion(name: str, portion: list[tuple]) -> list[Result]:
    function = get_worker().plugins[name].function
    return [function(*arguments) for arguments in portion]


def _mention_lost(client: Client, before: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Say which workers are gone, and that it will not go on without any."""
    for worker in sorted(before.keys() - now.keys()):
        tqdm.write(f"{worker}: this worker is gone; its work is given to others", file=sys.stderr)
    if before and not now:
        address = client.scheduler.address
        tqdm.write(
            f"{address}: no workers left, waiting; start some with `dask worker {address}`", file=sys.stderr
        )


def run_portions(
    client: Client, function: Callable[..., Result], items: Iterable[tuple], together: int = 1
) -> Iterator[Result]:
    """Yield the results of a function in the order in which they come.

    Parameters
    ----------
    client : distributed.Client
    function : callable
        Pickled, with all that it refers to.
    items : iterable of tuple
        The arguments of each call, asked for as workers need them.
    together : int
        Items that a worker is given at a time.

    Raises
    ------
    DhaError
        If `function` raises one, workers run other code, an item ends the workers that it is given to, or the scheduler is lost.
    """
    name = f"dha-{uuid4().hex}"
    _hand_out(client, Work(function), name)
    waiting, under_way, workers = iter(items), set(), {}
    portions = enumerate(iter(lambda: list(islice(waiting, together)), []))
    try:
        while True:
            before, workers = workers, client.nthreads()
            _mention_lost(client, before, workers)
            room = max(AHEAD * sum(workers.values()), 1) - len(under_way)
            for number, portion in islice(portions, max(room, 0)):
                under_way.add(client.submit(_do_portion, name, portion, key=f"{name}-{number}"))
            if not under_way:
                return
            with client.as_current(), suppress(TimeoutError):  # then see whether the workers are still there
                wait(list(under_way), timeout=PATIENCE, return_when="FIRST_COMPLETED")
            for future in [future for future in under_way if future.done()]:
                under_way.remove(future)
                yield from future.result()
    except KilledWorker as error:
        raise DhaError(
            f"the same piece of work has ended {error.allowed_failures + 1} workers (too little memory?); what is finished "
            "is kept: run the same again, with fewer threads per worker"
        ) from error
    except (CancelledError, OSError) as error:
        of_the_work = client.status == "running" and not isinstance(error, CommClosedError)
        if of_the_work:
            raise
        raise DhaError(
            f"{client.scheduler.address}: the scheduler is gone; what is finished is kept: start it and its workers, and run "
            "the same again"
        ) from error
    finally:
        with suppress(Exception):  # a scheduler that is gone holds nothing any more
            client.cancel(list(under_way))
            client.unregister_worker_plugin(name)
