import os
import signal
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from dha_utils.book import forked
from dha_utils.book.forked import Source, forked_kernels, source_here
from dha_utils.book.kernels import InterpreterKernel, execute
from dha_utils.book.lines import Lines

CELLS = [
    "import os, sys\nprint(os.getpid(), os.getppid(), os.getsid(0) == os.getpid(), 'json.tool' in sys.modules)",
    "print('mine' in globals(), os.getcwd(), os.environ.get('SAID'), os.environ.get('MPLBACKEND'))\nmine = 1",
]


@pytest.fixture(autouse=True)
def little_to_import(monkeypatch):
    """What takes seconds to import is imported by the tests of whole runs."""
    monkeypatch.setattr(forked, "IMPORTED", ("json.tool", "ipykernel.kernelapp"))


def run(folder, name, *cells):
    notebook = new_notebook(
        cells=[new_code_cell("", metadata={"tags": ["parameters"]}), *map(new_code_cell, cells)]
    )
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")
    done = execute(folder / f"{name}.ipynb", folder / f"{name}_done.ipynb", {}, Lines())
    return [cell.outputs[0].text.split() for cell in done.cells if cell.get("outputs")]


def test_kernels_are_processes_of_their_own_that_find_modules_imported(tmp_path, monkeypatch):
    with forked_kernels():
        first = run(tmp_path, "first", *CELLS)
        monkeypatch.setenv("SAID", "later")
        monkeypatch.setenv("MPLBACKEND", "of-the-user")
        monkeypatch.chdir(tmp_path)
        second = run(tmp_path, "second", *CELLS)
        source = source_here().process.pid
    backend = "module://matplotlib_inline.backend_inline"
    assert first[1] == ["False", str(Path(__file__).parents[2]), "None", backend]
    assert second[1] == ["False", str(tmp_path), "later", backend]
    assert first[0][0] != second[0][0]
    for (own, parent, leads, imported), _ in (first, second):
        assert int(parent) == source
        assert (leads, imported) == ("True", "True")
        assert not Path("/proc", own).exists()
    assert not Path("/proc", str(source)).exists()
    assert source_here() is None


def test_a_kernel_that_dies_is_noticed(tmp_path):
    with forked_kernels(), pytest.raises(RuntimeError, match="Kernel died"):
        run(tmp_path, "dies", "import os; os._exit(1)")
    assert not InterpreterKernel.made


def test_kernels_end_with_the_process_that_they_were_forked_from():
    source = Source()
    kernel = source.fork(["python", "-m", "ipykernel_launcher"], os.environ, None)
    assert kernel.poll() is None
    time.sleep(1)  # until it looks for its parent
    os.kill(source.process.pid, signal.SIGKILL)
    assert kernel.wait() == kernel.poll() == 0
    kernel.terminate()  # nothing is left to end
    with pytest.raises(RuntimeError, match="the process that starts kernels has died"):
        source.fork(["python", "-m", "ipykernel_launcher"], os.environ, None)
    source.close()
