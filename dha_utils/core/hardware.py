"""What a network computes on: which device, how many cores, in what precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dha_utils.core.errors import ParameterError, choose

DEVICES = ("auto", "cpu", "cuda")

PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""Name -> type in which the network runs; averages are taken in float32 or better in any case."""


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


@contextmanager
def one_core() -> Iterator[None]:
    """Let PyTorch compute on one core: where workers share the cores, threads of its own would contend for them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
