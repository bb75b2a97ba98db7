"""Hashes of files, values and arrays: what tells that two of them are the same. All are sha256, in hexadecimal digits."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from dha_utils.core.paths import repository


def hash_json(value: object) -> str:
    """Return the hash of a value in JSON types."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_names(names: Iterable[str]) -> str:
    """Return the hash of names, in order."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def hash_arrays(arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """Return the hash over the names and the values of arrays, in order."""
    digest = hashlib.sha256()
    for name, array in arrays:
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def hash_file(path: str | Path, algorithm: str = "sha256") -> str:
    """Return the hash of the content of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def hash_files(paths: Iterable[Path], root: Path) -> dict[str, str]:
    """Return path relative to `root` -> hash, for the files among `paths`, sorted."""
    return {str(path.relative_to(root)): hash_file(path) for path in sorted(paths) if path.is_file()}


@cache
def hash_package() -> str:
    """Return the hash of the source of this package, as it was when first asked for."""
    package = repository() / "dha_utils"
    return hash_json(hash_files(package.rglob("*.py"), package))
