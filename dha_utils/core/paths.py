"""Where things are (cache, audio, this repository), and how files are written so that none is half-made."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from platform import node
from uuid import uuid4
from zlib import crc32

import platformdirs

from dha_utils.core.errors import DhaError

STORE = ".jsonl"
"""Ending of a file that several notebooks add to: none of them is out of date because another did."""


def cache_dir() -> Path:
    """Return the folder for downloads (absolute): ``$DHA_CACHE``, or the platform's user cache."""
    return Path(os.environ.get("DHA_CACHE") or platformdirs.user_cache_dir("dha")).expanduser().resolve()


def data_dir() -> Path | None:
    """Return the folder that holds audio data sets, or None: ``$DHA_DATA`` (absolute; empty: none at all).

    Where that is not set, it is `fetch_dir`, if something was fetched into it.
    """
    value = os.environ.get("DHA_DATA")
    if value is None:
        return fetch_dir() if fetch_dir().is_dir() else None
    return Path(value).expanduser().resolve() if value else None


def fetch_dir() -> Path:
    """Return where data sets are fetched to: ``$DHA_DATA``, or ``dha`` in the platform's folder for user data."""
    return Path(os.environ.get("DHA_DATA") or platformdirs.user_data_dir("dha")).expanduser().resolve()


def repository() -> Path:
    """Return the folder of ``notebooks/``, ``book/`` and ``data/`` (the package is installed in place)."""
    return Path(__file__).resolve().parents[2]


def out_dir() -> Path:
    """Return the folder of ``results/``, ``book/executed/`` and ``build/``: ``$DHA_OUT`` (absolute), else this repository."""
    return Path(os.environ.get("DHA_OUT") or repository()).expanduser().resolve()


def bundled(dataset: str) -> Path:
    """Return the folder of the committed artifacts of a data set."""
    return repository() / "data" / Path(dataset).name


def probe_folder(folder: Path) -> None:
    """Write to a folder that may have to be made: an OSError is wanted before hours of work are done for it, not after.

    Nothing is left: work that is refused after this leaves no empty folder.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(folder / ".probe") as probe:
            probe.write_bytes(b"probe")
        (folder / ".probe").unlink()
    finally:
        with suppress(OSError):  # somebody else has written to it meanwhile
            for place in made:
                place.rmdir()


def require_writable(folder: Path) -> None:
    """Make a folder and raise a DhaError unless it can be written."""
    try:
        probe_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DhaError(
            f"{folder}: cannot be written ({error.strerror}); see to its rights, or set DHA_OUT to a folder for results, "
            "executed notebooks and books"
        ) from error


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there on success, remove it on any error.

    A reader therefore sees the old file or the new one, never half of one, and a full disk or a kill
    leaves nothing under the final name. What a kill has left is removed by the next process that writes to the folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path.parent.resolve())
    # Every writer has a name of its own, so that two at once do not share a file.
    temporary = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}-{uuid4().hex[:8]}.part")
    try:
        temporary.touch(exist_ok=False)
        rights = temporary.stat().st_mode
        yield temporary
        temporary.chmod(rights)  # safetensors takes them from everyone but the owner
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Return what tells this machine, and this container, from others that write to the same folders."""
    namespace = Path("/proc/self/ns/pid")
    return f"{crc32(f'{node()} {os.readlink(namespace) if namespace.is_symlink() else 0}'.encode()):08x}"


@cache
def _remove_left(folder: Path) -> None:
    """Remove the temporary files of processes of this machine that are no more; once per process and folder."""
    ours = re.compile(rf"\..*\.{_machine()}-(\d{{1,9}})-[0-9a-f]{{8}}\.part", re.DOTALL)
    for name in os.listdir(folder):
        if found := ours.fullmatch(name):
            try:
                os.kill(int(found[1]), 0)
            except ProcessLookupError:
                (folder / name).unlink(missing_ok=True)
            except PermissionError:  # somebody else's, who is at work
                continue


def write_json(path: str | os.PathLike, content: object, indent: int = 1) -> None:
    """Write a file of JSON, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=indent) + "\n", encoding="utf-8")
