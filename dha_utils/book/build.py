"""The book: Jupyter Book over ``book/`` and the executed notebooks of one data set, built when something has changed.

Jupyter Book sees a copy of ``book/`` in which ``executed/`` holds the notebooks of that data set alone, so that pages and the
table of contents name them without it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from dha_utils.book.parameters import DATASET
from dha_utils.core.errors import DhaError
from dha_utils.core.hashing import hash_files, hash_json
from dha_utils.core.paths import repository
from dha_utils.datasets.given import name_of

# Its console script may lie outside $PATH, and the package cannot be run with -m.
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
BUILD = ["build", "book", "--config", "_config.yml", "--all", "-W", "--keep-going", "--path-output"]

LEFT_OUT = ("executed", "_build", "__pycache__", ".failed", ".lock")
"""What lies in ``book/`` and is no page."""


def build_book(dataset: str = DATASET, force: bool = False) -> Path:
    """Build the book, if anything that it shows has changed since it last succeeded, and print where it is.

    Parameters
    ----------
    dataset : str
        Whose executed notebooks are its pages.
    force : bool
        Build in any case.

    Returns
    -------
    Path
        The first page: ``build/_build/html/index.html``, or ``build/books/DATASET/_build/html/index.html`` for another data set
        than that of the prose.

    Raises
    ------
    DhaError
        If Jupyter Book is not installed, or reports an error or a single warning; these are then on stderr
        and all that it said is in ``book.log`` beside ``_build``.
    """
    root, name = repository(), name_of(dataset)
    if find_spec("jupyter_book") is None:
        raise DhaError(f"Jupyter Book is not installed: run `pip install -e '.[book]'` in {root}")
    executed = root / "book" / "executed" / name
    output = root / "build" if name == DATASET else root / "build" / "books" / name
    index = output / "_build" / "html" / "index.html"
    stamp = output / ".fingerprint"
    fingerprint = _fingerprint(root, executed)
    print("book  ... ", end="", flush=True)
    if not force and index.is_file() and stamp.is_file() and stamp.read_text("utf-8") == fingerprint:
        print("unchanged", flush=True)
    else:
        stamp.unlink(missing_ok=True)
        start = time.perf_counter()
        build(root, executed, output)
        stamp.write_text(fingerprint, "utf-8")
        print(f"{time.perf_counter() - start:.1f} s", flush=True)
    print(index, flush=True)
    return index


def _fingerprint(root: Path, executed: Path) -> str:
    """Hash all that the book is made of: pages, executed notebooks, quoted numbers, code, settings, versions."""
    pages = [path for path in (root / "book").rglob("*") if not {*LEFT_OUT} & {*path.parts}]
    quoted = [path for name in ("data", "results/reference") for path in (root / name).rglob("*.json")]
    shown = [*executed.glob("*.ipynb"), *quoted, *(root / "dha_utils").rglob("*.py")]
    return hash_json(hash_files([*pages, *shown, root / "_config.yml", root / "requirements.lock"], root))


def build(root: Path, executed: Path, output: Path) -> None:
    """Run Jupyter Book.

    Parameters
    ----------
    root : Path
        Holds ``_config.yml``, ``book/`` and the numbers that pages quote, in ``results/`` and ``data/``.
    executed : Path
        The executed notebooks.
    output : Path
        Where ``_build`` and ``book.log`` go; errors as `build_book`.
    """
    # A page that was renamed or dropped would stay in the output otherwise.
    shutil.rmtree(output / "_build", ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dha-book-") as folder:
        sources = Path(folder).resolve()
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(root / "book", sources / "book", ignore=ignored)
        shutil.copytree(executed, sources / "book" / "executed", ignore=ignored)
        for notebook in (sources / "book" / "executed").glob("*.ipynb"):
            # A notebook links to the pages from where it is kept, so that the link also works there.
            notebook.write_text(notebook.read_text("utf-8").replace("](../book/", "](../"), "utf-8")
        shutil.copy(root / "_config.yml", sources)
        for name in ("results", "data"):
            (sources / name).symlink_to(root / name)
        done = subprocess.run(
            [*JUPYTER_BOOK, *BUILD, str(output)],
            cwd=sources,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    said = done.stdout.replace(str(sources / "book" / "executed"), str(executed)).replace(
        str(sources), str(root)
    )
    log = output / "book.log"
    log.write_text(said, "utf-8")
    if done.returncode != 0:
        print("failed", flush=True)
        lines = re.sub(r"\x1b\[[\d;]*m", "", said).splitlines()
        faults = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
        print("\n".join(faults or lines[-30:]), file=sys.stderr)
        raise DhaError(f"the book has the faults listed above; all that Jupyter Book said is in {log}")
