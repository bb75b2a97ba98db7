"""The machine around a run: what of the user's environment is left out, where sockets go, and faults that are the machine's."""

import errno
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from dha_utils.core.errors import DhaError

LEFT_OUT = (
    "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONOPTIMIZE", "MPLBACKEND", "MATPLOTLIBRC", "IPYTHONDIR",
)  # fmt: skip
"""Variables that would let what a user has set up for other work take part in results: start-up files, figures, warnings."""

INSTEAD = {"PYTHONUTF8": "1", "PYTHONSAFEPATH": "1", "MATPLOTLIBRC": os.devnull}
"""UTF-8 whatever the locale; no modules from the folder where one stands; no style of figures from the user's home."""

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
    """Return an environment for other processes: without what is `LEFT_OUT`, and with what is `INSTEAD`.

    >>> left_out({"MPLBACKEND": "Qt5Agg", "LANG": "C"})
    {'LANG': 'C', 'PYTHONUTF8': '1', 'PYTHONSAFEPATH': '1', 'MATPLOTLIBRC': '/dev/null'}
    """
    return {name: value for name, value in environment.items() if name not in LEFT_OUT} | INSTEAD


def _explain(kind: type, error: BaseException, traceback: object) -> None:
    if kind is KeyboardInterrupt:
        print("\ndha: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def be_ourselves() -> None:
    """Leave the user's environment out of this process and those that it starts; called once, before anything is imported.

    A process that takes names of files for something else than UTF-8 begins anew.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed: the first file that is opened would be taken for it
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (it stays open)
            os.set_inheritable(getattr(sys, name).fileno(), True)
    sys.excepthook = _explain  # Ctrl-C may come while the command is being imported
    if os.environ.get("PYTHONWARNINGS"):
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
    for name in LEFT_OUT:
        os.environ.pop(name, None)
    os.environ.update(INSTEAD)
    if sys.getfilesystemencoding() != "utf-8":  # names would be others in the processes that this one starts
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    give_matplotlib_a_cache()
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


_caches: list[tempfile.TemporaryDirectory] = []
"""Removed when the process ends."""


def _give_cache(variable: str) -> None:
    _caches.append(tempfile.TemporaryDirectory(prefix="dha-", ignore_cleanup_errors=True))
    os.environ[variable] = _caches[-1].name


def can_be_made(folder: Path) -> bool:
    """Return whether a folder is there and can be written, or can be made.

    >>> can_be_made(Path("/dev/null/x"))
    False
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def give_matplotlib_a_cache() -> None:
    """Give Matplotlib a folder for this process, and those that it starts, where those of the user cannot be written.

    It would say so, in every process and on the book's pages.
    """
    home = Path(os.path.expanduser("~"))
    config = os.environ.get("XDG_CONFIG_HOME") or home / ".config"
    cache = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    usual = [Path(config, "matplotlib"), Path(cache, "matplotlib")]
    own = os.environ.get("MPLCONFIGDIR")
    if not all(map(can_be_made, [Path(own)] if own else usual)):
        with suppress(OSError):  # whoever needs it says what is missing
            _give_cache("MPLCONFIGDIR")


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
    if "NUMBA_CACHE_DIR" not in os.environ and not writable:
        _give_cache("NUMBA_CACHE_DIR")


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
