"""``kill -9`` at random moments of every command that writes: ``python benchmarks/interrupted.py --moments 20 run grid``.

Each command is run undisturbed, then killed at a moment drawn from the time that this took, and run again. What has its final
name after the kill must be whole, and after the next run all is as it was undisturbed, byte by byte. Half of the times what the
command had started is killed with it, half of the times not.

Sounds are made up, the network has random weights, notebooks and pages are few, so that a command takes seconds: the way in which
it writes is its own. It works in one process, forked from this one.
"""

import argparse
import hashlib
import http.server
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from unittest import mock

import librosa.feature  # noqa: F401 - what takes long to import is there before a command is begun
import nbformat
import numba  # noqa: F401
import numpy as np
import papermill  # noqa: F401
import requests  # noqa: F401
import torch.onnx._internal.exporter._core  # noqa: F401
import typer
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dha_utils.book import build, fingerprint, runner
from dha_utils.cli.main import app
from dha_utils.core.paths import STORE
from dha_utils.core.work import workers
from dha_utils.datasets import DATASETS, fetch  # noqa: F401
from dha_utils.datasets.registry import Archive
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses import extraction
from dha_utils.studies import grid, inputs, product

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from miniatures import make_sounds, write_clip
from zoo import random_soundnet

COMMANDS = ("extract", "store", "grid", "fetch", "prune", "run", "book")
"""`store` is extract into a folder."""

GROWING = (STORE, ".part")
"""Endings of files that are gone on with: a part of them is known to be one."""

NOTEBOOKS = {
    "01_first": """
import time
from pathlib import Path
import numpy as np
from dha_utils.core.paths import write_json
from dha_utils.core.tensor_files import save_tensors
own = Path(results, "esc10")
for number in range(5):
    save_tensors(own / f"maps_{number}.safetensors", {"maps": np.full(200_000, number, np.float32)}, {"number": number})
    time.sleep(0.05)
write_json(own / "first.json", {"maps": [*range(20_000)]})
""",
    "02_second": """
import json, time
from pathlib import Path
from dha_utils.core.paths import write_json
own = Path(results, "esc10")
total = sum(json.loads((own / "first.json").read_text())["maps"])
for number in range(5):
    write_json(own / f"part_{number}.json", {"total": total * number, "words": "x" * 200_000})
    time.sleep(0.05)
write_json(own / "second.json", {"total": total})
print(total)
""",
}

PAGES = {"index.md": "# A book\n", "page.md": "# A page\n\nWords.\n"}


def made_up_network():
    """Return a SoundNet with seeded random weights and few maps."""
    counts = {"conv3": 24, "conv4": 16, "conv5": 16, "conv6": 12, "conv7": 10}
    kept = {layer: np.arange(count) for layer, count in counts.items()}
    return prune_network(random_soundnet(), kept)


class Slow(http.server.SimpleHTTPRequestHandler):
    """Serves a folder at 10 MB/s."""

    def do_GET(self):
        """Send a file, from where it is asked for."""
        content = Path(self.directory, self.path.lstrip("/")).read_bytes()
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        with suppress(ConnectionError):
            for at in range(start, len(content), 100_000):
                self.wfile.write(content[at : at + 100_000])
                time.sleep(0.01)

    def log_message(self, *_):
        """Say nothing."""


def serve(folder: Path) -> int:
    """Serve a folder from a process of its own; return the port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *how: Slow(*how, directory=folder))
    multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True).start()
    return server.server_port


def write_archives(folder: Path) -> list[Archive]:
    """Write two archives of a data set and serve them."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    entries = []
    for name in ("one", "two"):
        path = folder / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(30):
                archive.writestr(f"{name}/{number}.bin", rng.bytes(100_000))
        entries.append((path.name, path.stat().st_size, f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"))
    port = serve(folder)
    return [
        Archive(url=f"http://127.0.0.1:{port}/{name}", hash=digest, bytes=size, unpacked_at_most=10**7)
        for name, size, digest in entries
    ]


def write_repository(folder: Path) -> None:
    """Write a repository with two notebooks and a book of a few pages."""
    for name in ("notebooks", "dha_utils", "data/esc10", "results/reference", "book"):
        (folder / name).mkdir(parents=True)
    for number, (name, code) in enumerate(NOTEBOOKS.items()):
        cells = [
            new_markdown_cell(f"# {name}"),
            new_code_cell("results = None", metadata={"tags": ["parameters"]}),
            new_code_cell(code),
        ]
        for place, cell in enumerate(cells):
            cell["id"] = f"cell-{number}-{place}"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = new_notebook(
            cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
        )
        nbformat.write(notebook, folder / "notebooks" / f"{name}.ipynb")
    for name, text in PAGES.items():
        (folder / "book" / name).write_text(text)
    pages = {"Pages": ["page"], "Notebooks": [f"executed/{name}" for name in NOTEBOOKS]}
    parts = [
        {"caption": part, "chapters": [{"file": file} for file in files]} for part, files in pages.items()
    ]
    (folder / "book" / "_toc.yml").write_text(
        json.dumps({"format": "jb-book", "root": "index", "parts": parts})
    )
    (folder / "_config.yml").write_text("title: A book\nexecute: {execute_notebooks: 'off'}\n")
    for name in ("requirements.lock", "CITATION.cff", "LICENSE"):
        (folder / name).touch()


class Commands:
    """The commands, on inputs made up in a folder; what they write goes to ``work`` in it."""

    def __init__(self, folder: Path):
        self.folder, self.work = folder, folder / "work"
        make_sounds(folder / "few", seconds=0.5)
        for label in range(2):
            for number in range(45):
                path = folder / "many" / f"class{label}" / f"{number:03d}.wav"
                write_clip(path, label, 1000 * label + number, 0.5, 1)
        archives = write_archives(folder / "served")
        root = folder / "repository"
        write_repository(root)
        network = made_up_network()
        published = replace(DATASETS["esc10"], sets={"Sounds": archives})
        self.patches = [
            mock.patch.dict(DATASETS, {"esc10": published}),
            mock.patch("dha_utils.networks.weights.fetch_weights"),
            *(mock.patch(place, side_effect=lambda *_: workers(n=1)) for place in (
                "dha_utils.workers", "dha_utils.core.work.workers")),
            *(mock.patch.object(module, "load_network", return_value=network) for module in (extraction, inputs, grid, product)),
            *(mock.patch.object(module, "repository", return_value=root) for module in (runner, fingerprint, build)),
            *(mock.patch.object(module, "in_book", return_value=["esc10"]) for module in (runner, build)),
            mock.patch.object(build, "BOOK", ("esc10",)),
        ]  # fmt: skip

    def arguments(self, command: str) -> list[str]:
        """Return the command line."""
        few, many, work = (str(place) for place in (self.folder / "few", self.folder / "many", self.work))
        return {
            "extract": ["extract", many, "-o", f"{work}/out.safetensors", "--duration", "0.5", "--workers", "1"],
            "store": ["extract", many, "-o", f"{work}/out/", "--duration", "0.5", "--workers", "1"],
            "grid": ["grid", few, "--criterion", "anova", "--criterion", "random", "--keep", "0.25", "--seeds", "2",
                     "--duration", "0.5",
                     "--results", f"{work}/results", "--workers", "1"],
            "fetch": ["fetch", "esc10", "--root", f"{work}/data"],
            "prune": ["prune", few, "--keep", "8-16-10-8-8-8-6", "-o", f"{work}/small.safetensors", "--force"],
            "run": ["run", "-p", "results", f"{work}/results"],
            "book": ["book", "-p", "results", f"{work}/results"],
        }[command]  # fmt: skip

    def start(self, command: str) -> int:
        """Start a command in a process, and a group, of its own; return its number."""
        if pid := os.fork():
            return pid
        os.setpgid(0, 0)
        said = os.open(self.folder / f"{command}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.update(DHA_OUT=str(self.work), DHA_DATA="", NO_PROXY="127.0.0.1")
        code = 70
        try:
            for patch in self.patches:
                patch.start()
            typer.main.get_command(app)(self.arguments(command), standalone_mode=False)
            code = 0
        except typer.Exit as done:
            code = done.exit_code
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            os._exit(code)

    def run(self, command: str) -> float:
        """Run a command to its end; return the seconds that it took."""
        began, pid = time.monotonic(), self.start(command)
        _, status = os.waitpid(pid, 0)
        if status:
            raise SystemExit(
                f"{command} ended with {status}: {(self.folder / f'{command}.log').read_text()[-2000:]}"
            )
        return time.monotonic() - began

    def listing(self) -> dict[str, bytes]:
        """Return relative path -> content of what has its final name; of executed notebooks what does not tell the time."""
        found = {}
        for path in sorted(self.work.rglob("*")):
            name = str(path.relative_to(self.work))
            hidden = any(part.startswith(".") for part in name.split("/")) and ".dha-fetched" not in name
            if not path.is_file() or hidden:
                continue
            found[name] = path.read_bytes()
            if name.endswith(".ipynb"):
                notebook = json.loads(found[name])
                cells = [(cell["source"], cell.get("outputs")) for cell in notebook["cells"]]
                found[name] = json.dumps([cells, notebook["metadata"]["dha"]]).encode()
        return found


def half_written(found: dict[str, bytes], whole: dict[str, bytes]) -> list[str]:
    """Return the files of a listing after a kill that are taken for whole and are not."""
    parts = []
    for name, content in found.items():
        if (
            name.endswith(GROWING) or ".partial/" in name or name.startswith("build/")
        ):  # gone on with, or known by a stamp
            continue
        if name.endswith("manifest.json") and b'"complete": false' in content:
            continue
        if (
            name.endswith(".dha-fetched.json")
            and json.loads(content).items() <= json.loads(whole[name]).items()
        ):
            continue  # one archive after another
        if name in whole and content != whole[name]:
            parts.append(name)
    return parts


def measure(commands: Commands, command: str, moments: int, seed: int) -> str:
    """Kill a command at so many moments; return a line that says what came of it."""

    def anew():
        shutil.rmtree(commands.work, ignore_errors=True)
        commands.work.mkdir()

    anew()
    took, whole = commands.run(command), commands.listing()
    anew()
    took = min(took, commands.run(command))
    varying = {name for name, content in commands.listing().items() if content != whole.get(name)}
    varying |= whole.keys() ^ commands.listing().keys()
    rng = np.random.default_rng(seed)
    killed, taken, equal = 0, [], 0
    for number, moment in enumerate(sorted(rng.uniform(0, took, moments))):
        anew()
        pid = commands.start(command)
        time.sleep(moment)
        ended, _ = os.waitpid(pid, os.WNOHANG)
        killed += not ended
        with suppress(ProcessLookupError):
            (os.killpg if number % 2 else os.kill)(pid, signal.SIGKILL)
        if not ended:
            os.waitpid(pid, 0)
        taken += [
            f"{name} at {moment:.2f} s"
            for name in half_written(commands.listing(), whole)
            if name not in varying
        ]
        commands.run(command)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        now = commands.listing()
        other = {name for name in whole.keys() | now.keys() if now.get(name) != whole.get(name)} - varying
        equal += not other
        if other:
            print(
                f"  {command}, killed at {moment:.2f} of {took:.2f} s: not the same {sorted(other)}",
                flush=True,
            )
    notes = f"; not the same from run to run: {', '.join(sorted(varying))}" if varying else ""
    half = f"; taken for whole: {', '.join(taken)}" if taken else ""
    return (
        f"{command}: {moments} moments in {took:.1f} s, {killed} killed before the end, half-written {len(taken)}, "
        f"the same bytes after the next run {equal} of {moments} ({len(whole)} files){half}{notes}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="*", default=COMMANDS)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dha-interrupted-") as folder:
        commands = Commands(Path(folder).resolve())
        for command in asked.commands:
            print(measure(commands, command, asked.moments, asked.seed), flush=True)


if __name__ == "__main__":
    main()
