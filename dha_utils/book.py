"""The book: Jupyter Book over ``book/`` with the executed notebooks, built when something has changed."""

import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from dha_utils.errors import DhaError
from dha_utils.fingerprint import hash_files, hash_object
from dha_utils.paths import repository

# Its console script may lie outside $PATH, and the package cannot be run with -m.
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
BUILD = ["build", "book", "--config", "_config.yml", "--path-output", "build", "--all", "-W", "--keep-going"]


def build_book(force: bool = False) -> Path:
    """Build the book, if anything that it shows has changed since it last succeeded, and print where it is.

    Parameters
    ----------
    force : bool
        Build in any case.

    Returns
    -------
    Path
        The first page, ``build/_build/html/index.html``.

    Raises
    ------
    DhaError
        If Jupyter Book is not installed, or reports an error or a single warning; these are then on stderr
        and all that it said is in ``build/book.log``.
    """
    root = repository()
    if find_spec("jupyter_book") is None:
        raise DhaError(f"Jupyter Book is not installed: run `pip install -e '.[book]'` in {root}")
    index = root / "build" / "_build" / "html" / "index.html"
    stamp = root / "build" / ".fingerprint"
    fingerprint = _fingerprint(root)
    print("book  ... ", end="", flush=True)
    if not force and index.is_file() and stamp.is_file() and stamp.read_text("utf-8") == fingerprint:
        print("unchanged", flush=True)
    else:
        stamp.unlink(missing_ok=True)
        start = time.perf_counter()
        build(root)
        stamp.write_text(fingerprint, "utf-8")
        print(f"{time.perf_counter() - start:.1f} s", flush=True)
    print(index, flush=True)
    return index


def _fingerprint(root: Path) -> str:
    """Hash all that the book is made of: pages, executed notebooks, results, code, settings, versions."""
    book, results, code = root / "book", root / "results", root / "dha_utils"
    pages = [path for path in book.rglob("*") if not {".failed", "_build", "__pycache__"} & {*path.parts}]
    measured = (root / "data").rglob("*.json")
    shown = [*measured, *results.rglob("*.json"), *results.rglob("*.svg"), *code.rglob("*.py")]
    return hash_object(hash_files([*pages, *shown, root / "_config.yml", root / "requirements.lock"], root))


def build(root: Path) -> None:
    """Run Jupyter Book in a folder that holds ``_config.yml``, ``book/`` and ``results/``; errors as `build_book`."""
    # A page that was renamed or dropped would stay in the output otherwise.
    shutil.rmtree(root / "build" / "_build", ignore_errors=True)
    done = subprocess.run(
        [*JUPYTER_BOOK, *BUILD],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log = root / "build" / "book.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text(done.stdout, "utf-8")
    if done.returncode != 0:
        print("failed", flush=True)
        lines = re.sub(r"\x1b\[[\d;]*m", "", done.stdout).splitlines()
        faults = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
        print("\n".join(faults or lines[-30:]), file=sys.stderr)
        raise DhaError(f"the book has the faults listed above; all that Jupyter Book said is in {log}")
