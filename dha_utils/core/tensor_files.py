"""Files of named arrays with one JSON header (safetensors): no pickle, and either whole or not there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from dha_utils.core.errors import DataError
from dha_utils.core.paths import atomic_write


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path as `atomic_write` does; raise a DataError where the disk does not take what is saved there."""
    try:
        with atomic_write(path) as temporary:
            yield temporary
    except SafetensorError as error:
        raise DataError(
            f"{path}: cannot be written ({error}); make room there, or choose another place"
        ) from error


def save_tensors(path: str | Path, arrays: Mapping[str, np.ndarray], header: Mapping | None = None) -> None:
    """Write arrays and, if there is one, a header in JSON types, atomically.

    The file has one key of metadata only: with several their order, and so the file's bytes, would vary between runs.
    """
    with writing(path) as temporary:
        metadata = {"dha": json.dumps(header, ensure_ascii=False)} if header else None
        save_file(dict(arrays), temporary, metadata=metadata)


@contextmanager
def reading(path: str | Path, kind: str) -> Iterator[None]:
    """Raise a DataError where what a file holds is no file of a kind, or damaged: something is missing, or does not fit."""
    try:
        yield
    except PermissionError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); see to its rights") from error
    except (SafetensorError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        fault = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a file of {kind}, or damaged ({fault}); make it again") from error


def load_tensors(
    path: str | Path, kind: str, advice: str, *needed: str
) -> tuple[dict, dict[str, np.ndarray]]:
    """Return the header and the arrays of a file written by `save_tensors`.

    Parameters
    ----------
    path : path
    kind : str
        What it should hold, for the message of the error.
    advice : str
        What to do where there is no such file, likewise.
    *needed : str
        What the header must have.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another kind.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such file; {advice}")
    with reading(path, kind):
        with safe_open(path, "numpy") as file:
            header = json.loads((file.metadata() or {}).get("dha", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if absent := {*needed} - {*header}:
            raise LookupError(f"no {min(absent)} in its header")
        return header, arrays
