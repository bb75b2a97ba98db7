"""Published data sets, downloaded, unpacked and verified: ``dha fetch esc10``.

``registry.json`` pins what is fetched from where: archives of fixed commits, whose files are checked one by one (such archives
are made anew by the server), and archives with published hashes. In the folder of a set, ``.dha-fetched.json`` records the
sha256 of every file that came out of each archive; with it a second run verifies, and an interrupted one goes on.
"""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from dha_utils.core.errors import DataError, FetchError, choose
from dha_utils.core.hashing import hash_file
from dha_utils.core.paths import fetch_dir, write_json
from dha_utils.datasets.download import PART, disk_fault, download
from dha_utils.datasets.registry import DATASETS, Archive, Published
from dha_utils.datasets.unpack import check_space, unpack

RECORD = ".dha-fetched.json"
LOCK = ".dha-fetch.lock"


def fetchable() -> list[str]:
    """Return the names of the data sets that can be fetched."""
    return [name for name, published in DATASETS.items() if published.sets]


def plan(name: str, root: Path | None = None) -> list[str]:
    """Return what `fetch_dataset` would do, line by line, without asking the network."""
    published, root = _published(name), root or fetch_dir()
    lines = [f"{published.title}, {published.about}; licence: {published.licence}; into {root}"]
    total, unknown = 0, False
    for folder, archives in published.sets.items():
        done = _read_record(root / folder)
        for archive in archives:
            if archive.name in done:
                lines.append(f"  there already  {archive.name}")
                continue
            size = "size unknown until asked" if archive.bytes is None else f"{archive.bytes:,} bytes"
            lines.append(f"  to fetch  {archive.url}  ({size})")
            total += archive.bytes or 0
            unknown |= archive.bytes is None
    sizes = [f"{total / 1e6:,.1f} MB"] * bool(total or not unknown) + ["what is of unknown size"] * unknown
    return [*lines, f"to download: {' and '.join(sizes)}"]


def fetch_dataset(name: str, root: Path | None = None) -> list[Path]:
    """Download, unpack and verify a data set, as far as it is not there; return the folders of its sets.

    Parameters
    ----------
    name : str
        One of `fetchable`.
    root : Path, optional
        By default `dha_utils.core.paths.fetch_dir`.

    Raises
    ------
    FetchError
        Something cannot be had, is not what was published, does not fit on the disk, or another process is at it. What has
        been downloaded is kept, and no file of the user's is touched.
    """
    published, root = _published(name), (root or fetch_dir()).expanduser().resolve()
    with _made(root), _alone(root):
        for folder, archives in published.sets.items():
            _fetch_set(
                root / folder, archives, getattr(published.code, "FILES", {}).get(folder, lambda _: {})
            )
    return [root / folder for folder in published.sets]


def _published(name: str) -> Published:
    return DATASETS[choose("data set to fetch", name, ["weights", "crepe", *fetchable()], FetchError)]


def _fetch_set(
    target: Path, archives: list[Archive], files: Callable[[Path], Mapping[str, str | None]]
) -> None:
    record = _read_record(target)
    for name in record:  # of a run that was killed between its record and its end
        (target.parent / f"{name}{PART}").unlink(missing_ok=True)
    there = {path: f"sha256:{digest}" for unpacked in record.values() for path, digest in unpacked.items()}
    verify(target, there)
    try:
        known = {path: pinned for path, pinned in files(target).items() if pinned}
    except DataError:  # its own lists have not come yet
        known = {}
    missing = [archive for archive in archives if archive.name not in record]
    if missing and known and all((target / path).is_file() for path in known):
        verify(target, known)
        _say(f"{target}: all {len(known)} published files are there and intact")
        return
    # As much again for the unpacked files; a compressed archive may need more, which is checked before it is unpacked.
    check_space(target, 2 * sum(archive.bytes or 0 for archive in missing), f"fetching {target.name}")
    for archive in missing:
        size = "" if archive.bytes is None else f" ({archive.bytes / 1e6:,.1f} MB)"
        _say(f"fetching {archive.name}{size} from {urlsplit(archive.url).netloc}")
        file = download(archive.url, archive.hash, target.parent)
        record[archive.name] = unpack(file, target, max_bytes=archive.unpacked_at_most, known=known)
        write_json(target / RECORD, record)
        if file.suffix == PART:  # ours, and all of it is unpacked
            file.unlink()
    try:
        absent = sorted({*files(target)} - {path for unpacked in record.values() for path in unpacked})
    except DataError as error:
        raise FetchError(str(error)) from error
    if absent:
        raise FetchError(f"{target}: {len(absent)} published files did not come, such as {absent[0]}")
    _say(f"{target}: {sum(map(len, record.values()))} files, all verified")


def verify(target: Path, known: dict[str, str]) -> None:
    """Compare files with their hashes, and raise a FetchError for the first that is missing or another.

    Parameters
    ----------
    target : Path
    known : dict of str to str
        Relative path -> ``"md5:..."`` or ``"sha256:..."``.
    """
    bar = tqdm(
        known.items(),
        unit="file",
        desc=f"verify {target.name}",
        disable=None,
        leave=False,
    )
    for path, pinned in bar:
        algorithm, _, digest = pinned.partition(":")
        file = target / path
        if not file.is_file():
            raise FetchError(
                f"{file}: is gone since it was fetched; delete {target / RECORD} and run the same command again"
            )
        if hash_file(file, algorithm) != digest:
            raise FetchError(
                f"{file}: is not the published file; move it away, delete {RECORD} beside it, and fetch again"
            )


def _read_record(target: Path) -> dict[str, dict[str, str]]:
    """Return archive -> relative path -> sha256 of what was unpacked into a folder."""
    try:
        return json.loads((target / RECORD).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FetchError(
            f"{target / RECORD}: cannot be read ({error}); delete it and run the same command again"
        ) from error


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder; where nothing has come into it on an error, remove it and what was made above it."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(disk_fault(folder, error)) from error
    try:
        yield
    except BaseException:
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        raise


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold a folder: two processes that fetch into it would write over one another's downloads."""
    path = root / LOCK
    try:
        file = path.open("w")
    except OSError as error:
        raise FetchError(disk_fault(root, error)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it before removed it: then ours is a file that nobody else sees.
            ours = path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino
        except BlockingIOError:
            ours = False
        if not ours:
            raise FetchError(f"another process is fetching into {root}; wait until it has ended")
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
