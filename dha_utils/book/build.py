"""The book: Jupyter Book over ``book/`` and the executed notebooks, built when something has changed.

Jupyter Book sees a copy of ``book/`` in which ``executed/DATASET/`` holds the notebooks of each data set that this book shows,
and the table of contents has a part for each of them. A page links to its twin of another data set. A link in the prose to a page
of a data set that this book does not show leads to that of the first that it does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import yaml

from dha_utils.book.parameters import BOOK, in_book, without
from dha_utils.core.errors import DhaError
from dha_utils.core.hashing import hash_files, hash_json
from dha_utils.core.paths import out_dir, repository
from dha_utils.datasets.credits import credited_clips
from dha_utils.datasets.given import name_of, title_of

# Its console script may lie outside $PATH, and the package cannot be run with -m.
JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
BUILD = ["build", "book", "--config", "_config.yml", "--all", "-W", "--keep-going", "--path-output"]

UNFINISHED = ".unfinished-"
"""How the folder beside ``_build`` begins in which a book is built; a build that was killed may go on in its own."""

LEFT_OUT = ("executed", "_build", "__pycache__", ".failed", ".lock")
"""What lies in ``book/`` and is no page."""

FOLDED = {
    "injected-parameters": "what the page was run with",
    "parameters": "what can be set",
    "dha.begin": "how the page begins",
    "study.figure": "how the figure is made",
    "study.write": "which numbers are kept",
}
"""Tag or call of a cell that is folded in -> what it is."""


def build_book(dataset: str = "", force: bool = False) -> Path:
    """Build the book, if anything that it shows has changed since it last succeeded, and print where it is.

    Parameters
    ----------
    dataset : str
        Whose executed notebooks are its pages; empty: the data sets of the book.
    force : bool
        Build in any case.

    Returns
    -------
    Path
        The first page: ``build/_build/html/index.html``, or ``build/books/DATASET/_build/html/index.html`` for one data set.

    Raises
    ------
    DhaError
        If Jupyter Book is not installed, or reports an error or a single warning; these are then on stderr
        and all that it said is in ``book.log`` beside ``_build``.
    """
    root, names = repository(), [name_of(dataset)] if dataset else in_book()
    if find_spec("jupyter_book") is None:
        raise DhaError(f"Jupyter Book is not installed: run `pip install -e '.[book]'` in {root}")
    executed, built = out_dir() / "book" / "executed", out_dir() / "build"
    output = built / "books" / names[0] if dataset else built
    index = output / "_build" / "html" / "index.html"
    stamp = output / ".fingerprint"
    fingerprint = _fingerprint(root, [executed / name for name in names])
    for left_out in {*BOOK} - {*names} if not dataset else ():
        print(
            f"{left_out} is not in the book yet: `dha check --write-reference {left_out}` makes its results"
        )
    print("book  ... ", end="", flush=True)
    if not force and index.is_file() and stamp.is_file() and stamp.read_text("utf-8") == fingerprint:
        print("unchanged", flush=True)
    else:
        stamp.unlink(missing_ok=True)
        start = time.perf_counter()
        build(root, executed, names, output)
        stamp.write_text(fingerprint, "utf-8")
        print(f"{time.perf_counter() - start:.1f} s", flush=True)
    print(index, flush=True)
    return index


def is_current() -> bool:
    """Return whether the book of all its data sets has been built, of what is there now."""
    stamp = out_dir() / "build" / ".fingerprint"
    executed = [out_dir() / "book" / "executed" / name for name in in_book()]
    return stamp.is_file() and stamp.read_text("utf-8") == _fingerprint(repository(), executed)


def _fingerprint(root: Path, executed: list[Path]) -> str:
    """Hash all that the book is made of: pages, executed notebooks, results and artifacts, code, settings, versions."""
    pages = [path for path in (root / "book").rglob("*") if not {*LEFT_OUT} & {*path.parts}]
    quoted = [path for name in ("data", "results/reference") for path in (root / name).rglob("*.*")]
    notebooks = [path for folder in executed for path in folder.glob("*.ipynb")]
    files = [*pages, *quoted, *(root / "dha_utils").rglob("*.py")]
    named = [root / name for name in ("_config.yml", "requirements.lock", "CITATION.cff", "LICENSE")]
    heard = credited_clips("esc10") is not None  # what is at hand is on the page `hear`
    return hash_json([hash_files([*files, *named], root), hash_files(notebooks, out_dir()), heard])


def build(root: Path, executed: Path, names: Sequence[str], output: Path) -> None:
    """Run Jupyter Book.

    Parameters
    ----------
    root : Path
        Holds ``_config.yml``, ``book/`` and the numbers that pages quote, in ``results/`` and ``data/``.
    executed : Path
        Has a folder of executed notebooks for each data set.
    names : sequence of str
        The data sets of this book, in its order.
    output : Path
        Where ``_build`` and ``book.log`` go; errors as `build_book`.
    """
    output.mkdir(parents=True, exist_ok=True)
    for left in output.glob(f"{UNFINISHED}*"):  # by a build that was killed
        shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="dha-book-") as folder,
        tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=output, ignore_cleanup_errors=True) as unfinished,
    ):
        sources = Path(folder).resolve()
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(root / "book", sources / "book", ignore=ignored)
        for name in names:
            copy = shutil.copytree(executed / name, sources / "book" / "executed" / name, ignore=ignored)
            for notebook in copy.glob("*.ipynb"):
                others = [other for other in names if other != name and notebook.stem not in without(other)]
                twins = {title_of(other): f"../{other}/{notebook.name}" for other in others}
                text = as_page(notebook.read_text("utf-8"), title_of(name), twins)
                notebook.write_text(lead_across(text, name, names), "utf-8")
        for page in (sources / "book").glob("*.md"):
            text = lead_to(page.read_text("utf-8"), names)
            page.write_text(say_whose(text, names) if page.stem == "index" else text, "utf-8")
        contents = sources / "book" / "_toc.yml"
        expanded = expand_contents(yaml.safe_load(contents.read_text("utf-8")), names)
        contents.write_text(yaml.safe_dump(expanded, sort_keys=False), "utf-8")
        shutil.copy(root / "_config.yml", sources)
        for name in ("results", "data", "CITATION.cff", "LICENSE"):
            (sources / name).symlink_to(root / name)
        done = subprocess.run(
            [*JUPYTER_BOOK, *BUILD, unfinished],
            cwd=sources,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode == 0:  # no page that was renamed or dropped stays
            shutil.rmtree(output / "_build", ignore_errors=True)
            os.replace(Path(unfinished, "_build"), output / "_build")
    said = done.stdout
    for made, meant in ((sources / "book" / "executed", executed), (sources, root), (unfinished, output)):
        said = said.replace(str(made), str(meant))
    log = output / "book.log"
    log.write_text(said, "utf-8")
    if done.returncode != 0:
        print("failed", flush=True)
        lines = re.sub(r"\x1b\[[\d;]*m", "", said).splitlines()
        faults = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:", line)]
        print("\n".join(faults or lines[-30:]), file=sys.stderr)
        raise DhaError(f"the book has the faults listed above; all that Jupyter Book said is in {log}")


def as_page(notebook: str, title: str, twins: Mapping[str, str] = MappingProxyType({})) -> str:
    r"""Return the text of a notebook file as a page of the book.

    Its title names the data set; below it are links to its `twins`, the same page of other data sets, by their titles. What
    answers its question, the cells tagged ``opening``, comes first. Links lead to pages.

    >>> as_page('{"cells": [{"source": ["# Maps", "[Data](../book/data.md)"]}]}', "ESC-10")
    '{"cells": [{"source": ["# Maps (ESC-10)", "[Data](../../data.md)"]}]}'
    >>> as_page(r'{"cells": [{"source": ["# Maps", "<a href=\"../book/data.md#x\">x</a>"]}]}', "ESC-10")
    '{"cells": [{"source": ["# Maps (ESC-10)", "<a href=\\"../../data.html#x\\">x</a>"]}]}'
    """
    # A notebook links to the pages from where it is kept, so that the link also works there.
    notebook = re.sub(r'(href=\\"\.\.)/book(/\w+)\.md', r"\1/..\2.html", notebook)
    content = json.loads(notebook.replace("](../book/", "](../../").replace('.ipynb\\">', '.html\\">'))
    first, *others = content["cells"]
    lines = first["source"]
    lines[0] = lines[0].replace(lines[0].rstrip(), f"{lines[0].rstrip()} ({title})")
    if twins:
        links = " and ".join(f"[{other}]({file})" for other, file in twins.items())
        lines[0] += f"\n\n:::{{div}} twins\nThe same on {links}.\n:::\n"
    for cell in others:
        _fold(cell)
    opening = [cell for cell in others if "opening" in cell["metadata"].get("tags", [])]
    content["cells"] = [first, *opening, *(cell for cell in others if cell not in opening)]
    return json.dumps(content)


def _fold(cell: dict) -> None:
    """Fold the code of a cell in that is no part of the science, and say what it does."""
    tags = cell["metadata"].get("tags", [])
    if "parameters" in tags or "injected-parameters" in tags:
        cell["metadata"]["tags"] = tags = [*tags, "hide-input"]
    if "hide-input" in tags:
        source = "".join(cell["source"])
        does = [
            what
            for sign, what in FOLDED.items()
            if sign in [*tags, *re.findall(r"dha\.begin|study\.\w+", source)]
        ]
        label = f"Show {does[0]}" if does else "Show the code"
        cell["metadata"]["mystnb"] = {
            "code_prompt_show": label,
            "code_prompt_hide": label.replace("Show", "Hide"),
        }


def lead_to(page: str, names: Sequence[str]) -> str:
    """Return a page whose links to pages of data sets that are not in `names` lead to the first of them that has the page.

    Where none has it, what would be a link is words.

    >>> lead_to("{doc}`executed/esc50/02_ensemble` and {doc}`executed/esc10/02_ensemble`", ["mine", "esc10"])
    '{doc}`executed/mine/02_ensemble` and {doc}`executed/esc10/02_ensemble`'
    >>> lead_to("{doc}`another network <executed/esc10/15_second_network>`, {doc}`executed/esc10/15_second_network`", ["mine"])
    'another network, second network'
    """

    def lead(match: re.Match) -> str:
        words, name, notebook = match.groups()
        found = has_page(notebook, [name, *names] if name in names else names)
        if found is None:
            return words or notebook[3:].replace("_", " ")
        to = f"executed/{found}/{notebook}"
        return f"{{doc}}`{words} <{to}>`" if words else f"{{doc}}`{to}`"

    return re.sub(r"{doc}`(?:([^`<]*?) ?<)?executed/([\w-]+)/(\d\d_\w+)>?`", lead, page)


def say_whose(page: str, names: Sequence[str]) -> str:
    r"""Return the first page with a note below its title, where the book is not one of the data sets that its prose is about.

    >>> say_whose("# Title\n\nESC-50.", ["esc50"])
    '# Title\n\nESC-50.'
    >>> print(say_whose("# Title\n\nESC-50.", ["mine"]))
    # Title
    <BLANKLINE>
    :::{note}
    This is the book of **mine**. What came out there: {doc}`executed/mine/17_outcomes`.
    The page below is about ESC-50 and ESC-10, as published; where it refers to pages, they are those of mine.
    :::
    <BLANKLINE>
    ESC-50.
    """
    if {*names} & {*BOOK}:
        return page
    title, rest = page.split("\n\n", 1)
    whose = " and ".join(map(title_of, names))
    note = (
        f"This is the book of **{whose}**. What came out there: {{doc}}`executed/{names[0]}/17_outcomes`.\n"
    )
    note += f"The page below is about ESC-50 and ESC-10, as published; where it refers to pages, they are those of {whose}."
    return f"{title}\n\n:::{{note}}\n{note}\n:::\n\n{rest}"


def has_page(notebook: str, names: Sequence[str]) -> str | None:
    """Return the first of some data sets that has a page of a notebook."""
    return next((name for name in names if notebook not in without(name)), None)


def lead_across(notebook: str, name: str, names: Sequence[str]) -> str:
    """Return an executed notebook whose links to pages that its data set has not lead to one that has them, or are words.

    >>> lead_across("[on](15_second_network.ipynb#x), [back](02_ensemble.ipynb)", "esc50", ["esc50", "esc10"])
    '[on](../esc10/15_second_network.ipynb#x), [back](02_ensemble.ipynb)'
    >>> lead_across("[on](15_second_network.ipynb)", "mine", ["mine"])
    'on'
    """

    def lead(match: re.Match) -> str:
        words, absent, rest = match.groups()
        if absent not in without(name):
            return match[0]
        found = has_page(absent, names)
        return f"[{words}](../{found}/{absent}.ipynb{rest})" if found else words

    return re.sub(r"\[([^\[\]]*)\]\((\d\d_\w+)\.ipynb([^)]*)\)", lead, notebook)


def expand_contents(contents: dict, names: Sequence[str]) -> dict:
    """Return the table of contents with what is executed, ``executed/NN_...``, for each data set.

    The argument is told in its parts on the first data set; on each other one its pages follow in a part of their own, before the
    first part behind them that has no such page.

    >>> contents = {"parts": [{"caption": "Does it?", "chapters": [{"file": "executed/01_responses"}]}, {"caption": "Data"}]}
    >>> [part["caption"] for part in expand_contents(contents, ["esc50", "esc10"])["parts"]]
    ['Does it? (ESC-50)', 'All of it on ESC-10', 'Data']
    """

    def executed(name: str, chapters: Sequence[dict]) -> list[dict]:
        pages = [Path(chapter["file"]) for chapter in chapters if chapter["file"].startswith("executed/")]
        return [{"file": f"executed/{name}/{page.name}"} for page in pages if page.name not in without(name)]

    parts, all_chapters, last = [], [], 0
    for part in contents["parts"]:
        chapters = part.get("chapters", [])
        pages = executed(names[0], chapters)
        others = [chapter for chapter in chapters if not chapter["file"].startswith("executed/")]
        if len(others) == len(chapters):
            parts.append(part)
            continue
        all_chapters += chapters
        if pages or others:
            caption = f"{part['caption']} ({title_of(names[0])})" if pages else part["caption"]
            parts.append({**part, "caption": caption, "chapters": pages + others})
            last = len(parts)
    behind = [
        {
            "caption": f"All of it on {title_of(name)}",
            "chapters": executed(name, all_chapters),
        }
        for name in names[1:]
    ]
    return {**contents, "parts": parts[:last] + behind + parts[last:]}
