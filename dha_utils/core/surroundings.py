"""The machine around a run: what of the user's environment is left out, where sockets go, and faults that are the machine's."""

import errno
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from dha_utils.core.errors import DhaError

LEFT_OUT = (
    "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONOPTIMIZE", "MPLBACKEND", "MATPLOTLIBRC", "IPYTHONDIR",
)  # fmt: skip
"""Variables that would let what a user has set up for other work take part in results: start-up files, figures, warnings."""

SOCKETS = 60
"""Characters that a folder for sockets may have: a socket's path has at most 107 (Linux) or 103."""

OF_THE_MACHINE = {
    errno.EACCES: "see to its rights", errno.EPERM: "see to its rights", errno.EROFS: "choose another place",
    errno.ENOSPC: "make room there", errno.EDQUOT: "make room there", errno.ENAMETOOLONG: "give it a shorter name",
    errno.EMFILE: "allow more open files (`ulimit -n`)", errno.ENFILE: "close other programs", errno.EIO: "see to the disk",
    errno.ELOOP: "mend the link",
}  # fmt: skip
"""Number of an error that no program can mend -> what to do."""


def left_out(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for other processes: without what is `LEFT_OUT`, and with UTF-8 whatever the locale.

    >>> left_out({"MPLBACKEND": "Qt5Agg", "LANG": "C"})
    {'LANG': 'C', 'PYTHONUTF8': '1'}
    """
    return {name: value for name, value in environment.items() if name not in LEFT_OUT} | {"PYTHONUTF8": "1"}


def be_ourselves() -> None:
    """Leave the user's environment out of this process and those that it starts; called once, before anything is imported."""
    if os.environ.get("PYTHONWARNINGS"):
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
    os.environ.update(left_out(os.environ))
    for name in LEFT_OUT:
        os.environ.pop(name, None)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files need not be in the terminal's encoding
            stream.reconfigure(errors="backslashreplace")


def socket_folder() -> str:
    """Return a folder in which sockets can be made: that for temporary files, if its name is short enough, else another.

    Raises
    ------
    DhaError
        If there is none.
    """
    candidates = [os.environ.get("TMPDIR"), "/tmp", os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm", "/var/tmp"]
    for folder in filter(None, candidates):
        if len(os.fsencode(os.path.abspath(folder))) <= SOCKETS:
            try:
                with tempfile.TemporaryDirectory(prefix="dha-", dir=folder):
                    return os.path.abspath(folder)
            except OSError:
                continue
    raise DhaError(
        f"no folder for the sockets of notebooks can be written; set TMPDIR to one whose name has at most {SOCKETS} characters"
    )


_numba_cache: list[tempfile.TemporaryDirectory] = []
"""Removed when the process ends."""


def give_numba_a_cache() -> None:
    """Give Numba, which librosa uses, a folder for this process where the user has no home that can be written.

    It refuses to work without, unless librosa's own folder can be written.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    librosa = find_spec("librosa")
    writable = (
        [place for place in (home, Path(librosa.origin).parent) if os.access(place, os.W_OK)]
        if librosa
        else [home]
    )
    if "NUMBA_CACHE_DIR" in os.environ or writable:
        return
    _numba_cache.append(tempfile.TemporaryDirectory(prefix="dha-numba-", ignore_cleanup_errors=True))
    os.environ["NUMBA_CACHE_DIR"] = _numba_cache[0].name


def fault_of_machine(error: OSError | ImportError) -> str | None:
    """Return what to say of an error if it is the machine's or the installation's, None if it is ours.

    >>> fault_of_machine(PermissionError(errno.EACCES, "Permission denied", "/x"))
    "'/x': Permission denied; see to its rights"
    >>> fault_of_machine(ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime"))
    "No module named 'onnxruntime'; install what is missing, as with `pip install -e .`"
    """
    said = " ".join(str(error).split())
    if isinstance(error, ImportError):
        ours = (error.name or "").partition(".")[0] == "dha_utils"
        return None if ours else f"{said}; install what is missing, as with `pip install -e .`"
    if error.errno in OF_THE_MACHINE:
        where = f"{os.fsdecode(error.filename)!r}: " if isinstance(error.filename, str | bytes) else ""
        return f"{where}{error.strerror}; {OF_THE_MACHINE[error.errno]}"
    if "No usable temporary directory" in said:
        return "no folder for temporary files can be written; set TMPDIR to one that can"
    if error.errno is None and "library" in said:  # libsndfile, and others that are loaded by name
        return f"{said}; install it, as with `pip install --force-reinstall soundfile`"
    return None
