"""Unpacking zip archives that are not trusted: nothing leaves the target, nothing is overwritten, no more than was said.

The whole list of members is checked before anything is written; each file appears under its name only when it is complete.
"""

import hashlib
import os
import shutil
import stat
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from dha_utils.core.errors import FetchError
from dha_utils.core.hashing import hash_file
from dha_utils.core.paths import atomic_write
from dha_utils.datasets.download import disk_fault

MAX_MEMBERS = 100_000


def list_members(archive: Path, folder_name: str, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return relative path -> member of the files in an archive, once all of them are found harmless.

    Parameters
    ----------
    archive : Path
    folder_name : str
        A first part of the paths that is this, or this with a suffix (``ESC-50-33c8ce9``), is dropped.
    max_bytes : int
        What all files together may unpack to.

    Raises
    ------
    FetchError
        The archive is damaged, or a member is absolute, leads out, is a link or a device, is encrypted, occurs twice, or all
        are more than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise FetchError(
            f"{archive}: is not a whole zip archive ({error}); delete it and run the same command again"
        ) from error
    if len(infos) > MAX_MEMBERS:
        raise FetchError(
            f"{archive}: refused, it has {len(infos)} members; {MAX_MEMBERS} at most are expected"
        )
    members: dict[str, zipfile.ZipInfo] = {}
    seen = set()  # two names that differ in case are one file on some disks
    for info in infos:
        path = _safe_path(archive, info, folder_name)
        if path is None:
            continue
        if path.lower() in seen:
            raise FetchError(f"{archive}: refused, {path!r} occurs twice in it")
        seen.add(path.lower())
        members[path] = info
    total = sum(info.file_size for info in members.values())
    if total > max_bytes:
        raise FetchError(
            f"{archive}: refused, it would unpack to {total / 1e6:,.0f} MB; {max_bytes / 1e6:,.0f} MB at most are expected"
        )
    return members


def _safe_path(archive: Path, info: zipfile.ZipInfo, folder_name: str) -> str | None:
    """Return the relative path that a member is unpacked to, None for a folder."""
    name = info.orig_filename
    path = PurePosixPath(name)
    bad = not name or "\\" in name or "\0" in name or ":" in path.parts[0][1:2] if path.parts else True
    if bad or path.is_absolute() or ".." in path.parts:
        raise FetchError(
            f"{archive}: refused, its member {name!r} would be written outside the target folder"
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise FetchError(f"{archive}: refused, its member {name!r} is a link or a device, not a file")
    if info.flag_bits & 0x1:
        raise FetchError(f"{archive}: refused, its member {name!r} is encrypted")
    parts = path.parts
    if parts[0] == folder_name or parts[0].startswith(f"{folder_name}-"):
        parts = parts[1:]
    return None if info.is_dir() or not parts else PurePosixPath(*parts).as_posix()


def unpack(
    archive: Path, target: Path, *, max_bytes: int, known: dict[str, str] | None = None
) -> dict[str, str]:
    """Unpack an archive into a folder and return relative path -> sha256 of its files.

    Parameters
    ----------
    archive : Path
    target : Path
        Its name is dropped from the front of the members' paths. Files that are there and equal are left alone.
    max_bytes : int
        As in `list_members`.
    known : dict of str to str, optional
        Relative path -> ``"md5:..."`` or ``"sha256:..."`` that a file must have.

    Raises
    ------
    FetchError
        As `list_members`; or a file has not its hash, is there with another content, or the disk cannot take it.
    """
    members = list_members(archive, target.name, max_bytes)
    needed = sum(info.file_size for path, info in members.items() if not (target / path).exists())
    check_space(target, needed, f"unpacking {archive.name}")
    hashes = {}
    bar = tqdm(
        members.items(),
        unit="file",
        desc=archive.name,
        disable=None,
        leave=False,
        file=sys.stderr,
    )
    try:
        with zipfile.ZipFile(archive) as opened:
            for path, info in bar:
                hashes[path] = _unpack_one(opened, info, target, path, (known or {}).get(path))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise FetchError(
            f"{archive}: is damaged ({error}); delete it and run the same command again"
        ) from error
    except OSError as error:
        raise FetchError(disk_fault(target, error)) from error
    return hashes


def _unpack_one(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, path: str, known: str | None
) -> str:
    """Write one member and return its sha256; it must have the known hash, and what is there must equal it."""
    file = target / path
    # A link that somebody put into the target must not lead the file elsewhere.
    if not file.resolve().is_relative_to(target.resolve()):
        raise FetchError(
            f"{file}: leads out of {target} through a link; remove the link and run the same command again"
        )
    digest = hashlib.sha256()
    pinned = hashlib.new(known.partition(":")[0]) if known else None
    with opened.open(info) as source, atomic_write(file) as temporary:
        with temporary.open("wb") as copy:
            # zipfile stops at the size that the archive declares, and compares the checksum there.
            while chunk := source.read(1 << 20):
                copy.write(chunk)
                digest.update(chunk)
                if pinned:
                    pinned.update(chunk)
        if pinned and pinned.hexdigest() != known.partition(":")[2]:
            raise FetchError(
                f"{path} in {opened.filename} is not the published file (it has another {known.partition(':')[0]})"
            )
        if file.exists():
            if hash_file(file) != digest.hexdigest():
                raise FetchError(
                    f"{file}: is there and is not the published file; move it away and run the same command again"
                )
            shutil.copystat(file, temporary)
    return digest.hexdigest()


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise a FetchError unless the disk that holds `folder`, or will hold it, has so many bytes free."""
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        raise FetchError(
            f"{what} needs {needed / 1e9:.1f} GB in {folder}, and {free / 1e9:.1f} GB are free: make room, or choose another "
            "folder with --root"
        )
    if there == folder and not os.access(there, os.W_OK):
        raise FetchError(f"{folder}: cannot be written; choose another folder with --root")
