"""One file over HTTP: its hash checked before it bears its name, and a broken download gone on with.

What has arrived of a file is kept as ``NAME.part``; the next attempt asks the server for the rest (HTTP Range). A server that
cannot do that sends the file from the start. A file ``NAME`` that is there is the user's: it is read, and left.
"""

import errno
import sys
from pathlib import Path
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from dha_utils.core.errors import FetchError
from dha_utils.core.hashing import hash_file

ATTEMPTS = 4
"""How often a connection that breaks is made anew before the user is asked to."""

TIMEOUT = (20, 60)
"""Seconds to wait for a connection, and for the next bytes."""

CHUNK = 1 << 14
"""Bytes at a time, and what is lost at most of what had come when a connection breaks."""


PART = ".part"
"""Ending of what this module has written."""


class ResumingDownloader:
    """Gets files, going on where it stopped.

    Parameters
    ----------
    part : Path
        Where what has arrived is kept.
    """

    def __init__(self, part: Path):
        self.part = part

    def __call__(self, url: str) -> None:
        """Download the rest of a file."""
        for attempt in range(1, ATTEMPTS + 1):
            before = self._size()
            try:
                self._get_rest(url)
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
            ) as error:
                # One that brought nothing at all is out of reach, and asking again at once would not help.
                if attempt == ATTEMPTS or (self._size() == before == 0):
                    raise FetchError(self._broken(url, error)) from error
            except FetchError:
                raise
            except (
                requests.RequestException,
                HTTPError,
                ValueError,
            ) as error:  # such as what a proxy's address raises
                said = " ".join(str(error).split())[:200]
                if f"Invalid URL '{url}'" in said:  # that of the file, not of a proxy
                    raise FetchError(f"{url}: cannot be downloaded ({said})") from error
                raise FetchError(
                    f"{url}: cannot be asked for ({said}); are the proxies in $http_proxy, $https_proxy and $all_proxy right?"
                ) from error
            except OSError as error:
                if error.errno is not None:
                    raise
                said = " ".join(str(error).split())[
                    :200
                ]  # requests names the certificates that it does not find
                raise FetchError(
                    f"{url}: cannot be asked for ({said}); are $REQUESTS_CA_BUNDLE and $CURL_CA_BUNDLE right?"
                ) from error

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _broken(self, url: str, error: requests.RequestException) -> str:
        if isinstance(error, requests.exceptions.ProxyError):
            return f"{urlsplit(url).netloc} cannot be reached through the proxy of $http_proxy, $https_proxy or $all_proxy"
        if not self._size():
            return f"{urlsplit(url).netloc} cannot be reached: is there a network? Nothing was changed; try again later"
        return (
            f"the connection to {urlsplit(url).netloc} broke after {self._size() / 1e6:.1f} MB of {Path(url).name}; run the "
            "same command again to go on from there"
        )

    def _get_rest(self, url: str) -> None:
        have = self._size()
        # "identity": a compressed transfer would count other bytes than the file's.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # there is no rest: it is all there, or more than all
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return
                self.part.unlink()
                return self._get_rest(url)
            if response.status_code not in (200, 206):
                raise FetchError(
                    f"{url}: the server answers {response.status_code} {response.reason}; try again later"
                )
            resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
                f"bytes {have}-"
            )
            if response.status_code == 206 and not resumed:
                self.part.unlink(missing_ok=True)
                raise FetchError(
                    f"{url}: the server sent another part than was asked for; run the same command again"
                )
            have = have if resumed else 0
            total = (
                have + int(response.headers["Content-Length"])
                if "Content-Length" in response.headers
                else None
            )
            bar = tqdm(
                total=total, initial=have, unit="B", unit_scale=True, desc=Path(url).name, file=sys.stderr,
                disable=None, leave=False,
            )  # fmt: skip
            with bar, self.part.open("ab" if resumed else "wb") as file:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and self._size() < total:
            raise requests.ConnectionError(f"{self._size()} of {total} bytes came")


def download(url: str, known_hash: str | None, folder: Path) -> Path:
    """Return the file of a URL in `folder`, the user's or ``NAME.part``, downloaded where it is not there yet.

    Parameters
    ----------
    url : str
    known_hash : str or None
        ``"md5:..."`` or ``"sha256:..."``; None where what is inside is checked instead.
    folder : Path

    Raises
    ------
    FetchError
        The server is out of reach or refuses, the hash is another, or the disk cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(
            f"{url}: only http:// and https:// can be fetched; give the folder of what is on this machine with --root"
        )
    name = Path(urlsplit(url).path).name
    file, part = folder / name, folder / f"{name}{PART}"
    try:
        if file.is_file() and _has(file, known_hash):
            return file
        folder.mkdir(parents=True, exist_ok=True)
        if known_hash is None or not (part.is_file() and _has(part, known_hash)):
            ResumingDownloader(part)(url)
            if not _has(part, known_hash):
                part.unlink()
                raise FetchError(
                    f"{url}: what came has not the published hash ({known_hash}) and was thrown away; run the same command "
                    "again, and if that does not help, the server holds another file"
                )
        return part
    except OSError as error:
        raise FetchError(disk_fault(folder, error)) from error


def _has(file: Path, known_hash: str | None) -> bool:
    """Return whether a file has a hash, if one is known."""
    algorithm, _, digest = (known_hash or "").partition(":")
    return known_hash is None or hash_file(file, algorithm) == digest


def disk_fault(folder: Path, error: OSError) -> str:
    """Return what to say of a folder that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "make room there and run the same command again" if full else "choose another folder with --root"
    return f"{folder}: cannot be written ({error.strerror or error}); {what}"
