"""What to compute on: how many threads, which device, in what precision."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import joblib
import torch

from dha_utils.errors import ParameterError, choose

T = TypeVar("T")
R = TypeVar("R")

MAX_WORKERS = 32
"""Threads of one process, by default at most: each needs the interpreter for a few per cent of its time, so that many more
would wait for one another. A larger machine is filled by several processes."""

DEVICES = ("auto", "cpu", "cuda")

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""Name -> type in which the network runs; averages are taken in float32 or better in any case."""


def choose_workers(workers: int | None) -> int:
    """Return the number of threads: the one asked for, or one per core that this process may use.

    The cores are those of the machine, less what the affinity of the process, a container's quota of processor time or
    ``LOKY_MAX_CPU_COUNT`` take away; at most `MAX_WORKERS`. Every thread decodes and runs the network on one core, so that
    decoding and convolution share the cores as they need them.

    Raises
    ------
    ParameterError
        If fewer than one is asked for.
    """
    if workers is None:
        return min(joblib.cpu_count(), MAX_WORKERS)
    if workers < 1:
        raise ParameterError(f"workers is {workers!r}, expected at least 1, or nothing for one per core")
    return workers


def choose_device(name: str) -> torch.device:
    """Return the device of a name in `DEVICES`; ``auto`` is CUDA where there is one.

    Raises
    ------
    ParameterError
        If the name is unknown, or CUDA is asked for and not there.
    """
    choose("device", name, DEVICES)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ParameterError(
            "device 'cuda' is not available: PyTorch sees no GPU (or is built without CUDA); use 'auto' or 'cpu'"
        )
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def choose_precision(name: str) -> torch.dtype:
    """Return the type of a name in `PRECISIONS`.

    Raises
    ------
    ParameterError
        If the name is unknown.
    """
    return PRECISIONS[choose("precision", name, PRECISIONS)]


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the results of a function for every item, in order, from a thread per core.

    For arithmetic on large arrays, during which NumPy and SciPy let other threads work.
    """
    return joblib.Parallel(n_jobs=-1, prefer="threads")(joblib.delayed(function)(item) for item in items)
