"""What an executed notebook says of itself: of what it was made, and which results it wrote; and how one is made."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import nbformat
from papermill.exceptions import PapermillExecutionError

from dha_utils.book.fingerprint import list_files
from dha_utils.book.kernels import StoppedError, execute, failure, is_complete
from dha_utils.book.lines import Lines
from dha_utils.book.order import subject
from dha_utils.core.hashing import hash_files
from dha_utils.core.paths import STORE


def record_of(output: Path) -> dict:
    """Return what `run_one` stored in an executed notebook: its fingerprint and the files that it wrote; empty without one."""
    try:
        record = json.loads(output.read_text("utf-8"))["metadata"]["dha"]
        return {"fingerprint": record["fingerprint"], "files": dict(record["files"])}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def parameters_of(output: Path, parameters: dict) -> dict:
    """Return the parameters that an executed notebook was given; none if it was run on another data set than is asked for."""
    given = _given(output)
    same = all(given.get(name) == parameters.get(name) for name in ("dataset", "results"))
    return given if same else {}


def namesake(output: Path, dataset: str) -> str | None:
    """Return the folder or table that an executed notebook was run on, if that is there and not the one asked for."""
    earlier = _given(output).get("dataset")
    there = isinstance(earlier, str) and Path(earlier).exists() and Path(dataset).exists()
    return earlier if there and not Path(earlier).samefile(dataset) else None


def _given(output: Path) -> dict:
    try:
        return dict(json.loads(output.read_text("utf-8"))["metadata"]["papermill"]["parameters"])
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def is_fresh(record: dict, fingerprint: str, results: Path) -> bool:
    """Return whether a record has a fingerprint, and all files that it names are as they were written."""
    files = record.get("files", {})
    return record.get("fingerprint") == fingerprint and files == hash_files(
        map(results.joinpath, files), results
    )


def run_one(
    source: Path,
    output: Path,
    given: dict,
    fingerprint: str,
    results: Path,
    lines: Lines,
    beside: bool = False,
) -> None:
    """Execute one notebook, perhaps beside others, and, once it has proved complete, move it to `output`."""
    unfinished = output.parent / ".failed" / output.name
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    own = results / output.parent.name
    before = list_files(own)
    try:
        notebook = execute(source, unfinished, given, lines)
        fault = "" if is_complete(notebook) else "the notebook ended before its last cell"
    except PapermillExecutionError as error:
        fault = f"{error.ename}: {error.evalue}"
    except (RuntimeError, TimeoutError) as error:  # the kernel died or no longer answers
        fault = f"{error} (too little memory?)"
    except (KeyboardInterrupt, StoppedError):
        unfinished.unlink(missing_ok=True)
        raise
    if fault:
        lines.end("failed")
        raise failure(unfinished, fault)

    files = written(source, own, before, beside)
    notebook.metadata["dha"] = {"fingerprint": fingerprint, "files": hash_files(files, results)}
    # Names instead of absolute paths: the executed notebook is published with the book.
    notebook.metadata["papermill"].update(input_path=source.name, output_path=output.name)
    nbformat.write(notebook, unfinished)
    os.replace(unfinished, output)
    with suppress(OSError):  # other notebooks may have failed before
        unfinished.parent.rmdir()


def written(source: Path, own: Path, before: Mapping, beside: bool) -> list[Path]:
    """Return the files that a notebook has written into the results folder `own`.

    Parameters
    ----------
    source : Path
    own : Path
    before : dict
        As `dha_utils.book.fingerprint.list_files` returned it when the notebook was begun.
    beside : bool
        Whether others may have written there meanwhile. Then only files count that are called after its subject or by its cells.
    """
    text, of = source.read_text("utf-8"), subject(source)
    return [
        own / name
        for name, state in list_files(own).items()
        if before.get(name) != state
        and not name.endswith(STORE)
        and (not beside or Path(name).stem == of or f'\\"{Path(name).stem}\\"' in text)
    ]
