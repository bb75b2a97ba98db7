"""Published data sets, downloaded, unpacked and verified: ``dha fetch esc10``.

``registry.json`` pins what is fetched from where: archives of fixed commits, whose files are checked one by one (such archives
are made anew by the server), and archives with published hashes. In the folder of a set, ``.dha-fetched.json`` records the
sha256 of every file that came out of each archive; with it a second run verifies, and an interrupted one goes on.
"""

import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from dha_utils.datasets.download import disk_fault, download
from dha_utils.datasets.esc import FOLDERS, read_index, read_index50
from dha_utils.datasets.tut import DEVELOPMENT, EVALUATION, PUBLISHED, read_list
from dha_utils.datasets.unpack import check_space, hash_file, unpack
from dha_utils.errors import DataError, FetchError
from dha_utils.naming import closest
from dha_utils.paths import atomic_write, fetch_dir

REGISTRY = Path(__file__).with_name("registry.json")
RECORD = ".dha-fetched.json"
LOCK = ".dha-fetch.lock"
ESC50_META = "sha256:ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"


@dataclass(frozen=True)
class Archive:
    """A file to download: its hash (None: its files are checked instead), its size in bytes where it is known, and a limit."""

    url: str
    hash: str | None
    bytes: int | None
    unpacked_at_most: int

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(urlsplit(self.url).path).name


def read_registry(name: str) -> dict:
    """Return the entry of a data set: title, licence, sets; a set has a folder and archives.

    Raises
    ------
    FetchError
        There is no such entry.
    """
    registry = json.loads(REGISTRY.read_text("utf-8"))
    if name not in registry:
        raise FetchError(
            f"there is no data set {name!r} to fetch{closest(name, registry)}; there are: {', '.join(registry)}"
        )
    entry = registry[name]
    sets = [one | {"archives": [Archive(**archive) for archive in one["archives"]]} for one in entry["sets"]]
    return entry | {"sets": sets}


def plan(name: str, root: Path | None = None) -> list[str]:
    """Return what `fetch_dataset` would do, line by line, without asking the network."""
    entry, root = read_registry(name), root or fetch_dir()
    lines, total, unknown = [f"{entry['title']}; licence: {entry['licence']}; into {root}"], 0, False
    for one in entry["sets"]:
        done = _read_record(root / one["folder"])
        for archive in one["archives"]:
            if archive.name in done:
                lines.append(f"  there already  {archive.name}")
                continue
            size = "size unknown until asked" if archive.bytes is None else f"{archive.bytes:,} bytes"
            lines.append(f"  to fetch  {archive.url}  ({size})")
            total += archive.bytes or 0
            unknown |= archive.bytes is None
    sizes = ([f"{total / 1e6:,.1f} MB"] if total or not unknown else []) + [
        "what is of unknown size"
    ] * unknown
    lines.append(f"to download: {' and '.join(sizes)}")
    return lines


def fetch_dataset(name: str, root: Path | None = None, *, progress: bool = True) -> list[Path]:
    """Download, unpack and verify a data set, as far as it is not there; return the folders of its sets.

    Parameters
    ----------
    name : str
        A key of the registry.
    root : Path, optional
        By default `dha_utils.paths.fetch_dir`.
    progress : bool
        Say on stderr what is being done.

    Raises
    ------
    FetchError
        Something cannot be had, is not what was published, does not fit on the disk, or another process is at it. What has
        been downloaded is kept, and no file of the user's is touched.
    """
    entry, root = read_registry(name), (root or fetch_dir()).expanduser().resolve()
    with _made(root), _alone(root):
        for one in entry["sets"]:
            _fetch_set(one, root, progress)
    return [root / one["folder"] for one in entry["sets"]]


def _fetch_set(one: dict, root: Path, progress: bool) -> None:
    target, archives = root / one["folder"], one["archives"]
    record = _read_record(target)
    known = published_files(one["folder"])
    verify(
        target,
        {path: f"sha256:{digest}" for files in record.values() for path, digest in files.items()},
        progress,
    )
    missing = [archive for archive in archives if archive.name not in record]
    if missing and known and all((target / path).is_file() for path in known):
        verify(target, known, progress)
        _say(f"{target}: all {len(known)} published files are there and intact", progress)
        return
    # As much again for the unpacked files; a compressed archive may need more, which is checked before it is unpacked.
    check_space(target, 2 * sum(archive.bytes or 0 for archive in missing), f"fetching {one['folder']}")
    for archive in missing:
        size = "" if archive.bytes is None else f" ({archive.bytes / 1e6:,.1f} MB)"
        _say(f"fetching {archive.name}{size} from {urlsplit(archive.url).netloc}", progress)
        file = download(archive.url, archive.hash, root, progress=progress)
        record[archive.name] = unpack(
            file, target, max_bytes=archive.unpacked_at_most, known=known, progress=progress
        )
        with atomic_write(target / RECORD) as temporary:
            temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        file.unlink()  # ours: it was downloaded by this command, and all of it is unpacked
    _check_complete(target, known, record)
    _say(f"{target}: {sum(map(len, record.values()))} files, all verified", progress)


def published_files(folder: str) -> dict[str, str]:
    """Return relative path -> hash of the files whose hashes are published, for the folder of a set."""
    if folder == "ESC-10":
        rows = read_index().itertuples()
        return {f"{FOLDERS[row.label]}/{row.clip}.ogg": f"sha256:{row.sha256}" for row in rows}
    if folder == "ESC-50":
        rows = read_index50().itertuples()
        return {f"audio/{row.file}": f"md5:{row.md5}" for row in rows} | {"meta/esc50.csv": ESC50_META}
    return {}


def verify(target: Path, known: dict[str, str], progress: bool = True) -> None:
    """Compare files with their hashes, and raise a FetchError for the first that is missing or another.

    Parameters
    ----------
    target : Path
    known : dict of str to str
        Relative path -> ``"md5:..."`` or ``"sha256:..."``.
    progress : bool
    """
    bar = tqdm(
        known.items(),
        unit="file",
        desc=f"verify {target.name}",
        disable=None if progress else True,
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


def _check_complete(target: Path, known: dict[str, str], record: dict[str, dict[str, str]]) -> None:
    """Raise where the archives did not hold all that was published."""
    files = {path for unpacked in record.values() for path in unpacked}
    absent = sorted(set(known) - files)
    if target.name in (DEVELOPMENT, EVALUATION):
        lists = {DEVELOPMENT: ("meta.txt", 2), EVALUATION: ("evaluation_setup/evaluate.txt", 3)}
        name, columns = lists[target.name]
        try:
            listed = {row[0] for row in read_list(target / name, columns)}
        except DataError as error:
            raise FetchError(str(error)) from error
        if len(listed) != PUBLISHED[target.name]:
            raise FetchError(
                f"{target / name}: lists {len(listed)} clips, not the published {PUBLISHED[target.name]}"
            )
        absent = sorted(listed - files)
    if absent:
        raise FetchError(f"{target}: {len(absent)} published files did not come, such as {absent[0]}")


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


def _say(line: str, progress: bool) -> None:
    if progress:
        print(line, file=sys.stderr, flush=True)
