"""Notebooks executed: each in a kernel of its own, several runs side by side, and no kernel left however that ends."""

import os
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_event_loop
from traitlets.config import Config

from dha_utils.book.forked import forked_kernels, source_here
from dha_utils.book.lines import Lines
from dha_utils.core.errors import DhaError
from dha_utils.core.surroundings import left_out, socket_folder


class InterpreterKernel(AsyncKernelManager):
    """The kernel of the running interpreter, whatever kernelspecs the user or the system has installed."""

    made: dict[str, "InterpreterKernel"] = {}  # noqa: RUF012
    """By their connection files: nbclient makes the manager and keeps it to itself."""

    def __init__(self, **kwargs):
        # With nowhere to look, "python3" is the running interpreter with its own ipykernel.
        super().__init__(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), **kwargs)
        self.made[self.connection_file] = self

    async def _async_pre_start_kernel(self, **kwargs):
        return await super()._async_pre_start_kernel(
            **{**kwargs, "env": left_out(kwargs.get("env") or os.environ)}
        )

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kwargs) -> None:
        if (source := source_here()) is None:
            await super()._async_launch_kernel(kernel_cmd, **kwargs)
            return
        process = source.fork(kernel_cmd, kwargs["env"], kwargs.get("cwd"))
        self.provisioner.process = process
        self.provisioner.pid = self.provisioner.pgid = process.pid
        self._reconcile_connection_info(self.provisioner.connection_info)

    async def _async_interrupt_kernel(self) -> None:
        # Called before a shutdown only. An idle kernel may take the signal for an error, say so on stderr and
        # miss the request to stop; a busy one gets SIGTERM when it has not obeyed that request for 2.5 s.
        pass

    def kill(self) -> None:
        """End what nbclient leaves: workers of a kernel that died, or all if Ctrl-C hit its event loop."""
        if self.has_kernel:
            with suppress(ProcessLookupError):  # it may end meanwhile, or not lead a group yet
                os.killpg(self.provisioner.pid, signal.SIGKILL)
            with suppress(AttributeError):
                self.provisioner.process.kill()
                self.provisioner.process.wait()


class StoppedError(DhaError):
    """A run that was ended because the one beside it was."""


_STOPPING = threading.Event()
"""Set while runs that work side by side are being ended."""


def execute(source: Path, output: Path, given: dict, lines: Lines) -> nbformat.NotebookNode:
    """Run a notebook in a kernel that talks through sockets in a private folder: no ports, no other users.

    Parameters
    ----------
    source, output : Path
        The notebook, and where it goes when it is executed.
    given : dict
        Parameters.
    lines : Lines
        Passes on what the notebook says of long work.
    """
    if _STOPPING.is_set():
        raise StoppedError("ended with the run beside it")
    place = socket_folder()
    with tempfile.TemporaryDirectory(prefix="dha-", dir=place, ignore_cleanup_errors=True) as folder:
        connection = {"transport": "ipc", "ip": f"{folder}/k", "connection_file": f"{folder}/k.json"}
        try:
            return papermill.execute_notebook(
                as_written(source),
                as_written(output),
                given,
                kernel_name="python3",
                progress_bar=False,
                stdout_file=lines,
                kernel_manager_class=InterpreterKernel,
                config=Config(InterpreterKernel=connection),
                # The user's IPython start-up files must not take part in the results.
                extra_arguments=[f"--ipython-dir={folder}"],
                # Default 4 s: too short for the outputs of a large cell on a busy machine.
                iopub_timeout=60,
            )
        finally:
            if kernel := InterpreterKernel.made.pop(connection["connection_file"], None):
                kernel.kill()
            if _STOPPING.is_set():
                raise StoppedError("ended with the run beside it")


def as_written(path: Path) -> str:
    """Return a path as papermill wants it, which fills in what stands in braces.

    >>> as_written(Path("my {own} sounds"))
    'my {{own}} sounds'
    """
    return str(path).replace("{", "{{").replace("}", "}}")


def is_complete(notebook: nbformat.NotebookNode) -> bool:
    """Return whether every cell of an executed notebook ran."""
    # papermill takes sys.exit() for success and marks cells "completed" that never ran: see the counts.
    state = notebook.metadata["papermill"]
    cells = [(cell.execution_count, cell.metadata["papermill"]["status"]) for cell in _code_cells(notebook)]
    ran = all(count and status == "completed" for count, status in cells)
    return ran and state["end_time"] is not None and not state["exception"]


def failure(unfinished: Path, fault: str) -> DhaError:
    """Return the one line for a failed notebook; the cell is the last one that was started."""
    cells = _code_cells(nbformat.read(unfinished, as_version=4))
    number = sum(cell.metadata["papermill"]["start_time"] is not None for cell in cells)
    # The reason may begin on a line of its own: "ValueError: " and then what is wrong.
    line, *more = [line.strip() for line in fault.splitlines() if line.strip()]
    if (
        line.endswith(":") and number
    ):  # or there is none, where its traceback could not be made: it was printed then
        outputs = cells[number - 1].outputs
        printed = "".join(output.text for output in outputs if output.get("name") == "stderr")
        more += [text.strip() for text in printed.splitlines() if text.strip()][-1:]
    line = f"{line} {more[0]}" if line.endswith(":") and more else line
    return DhaError(f"{unfinished.name}, cell In [{number}]: {line}; the failed notebook is {unfinished}")


def _code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the cells that a kernel executes and counts."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def at_once(runs: Sequence[Callable[[], list]]) -> list:
    """Call functions that execute notebooks side by side, each on its share of the cores, and return what they return.

    Where one fails, or Ctrl-C comes, the kernels of the others are ended as well.
    """
    cores = sorted(os.sched_getaffinity(0))

    def on_its_share(number: int) -> list:
        # Of this thread, and of the kernels that it starts.
        os.sched_setaffinity(0, cores[number :: len(runs)])
        with (
            closing(ensure_event_loop()),
            forked_kernels(),
        ):  # the loop is the one that nbclient uses in this thread
            return runs[number]()

    pool = ThreadPoolExecutor(len(runs))
    working = [pool.submit(on_its_share, number) for number in range(len(runs))]
    try:
        ended, _ = wait(working, return_when=FIRST_EXCEPTION)
        for future in ended:
            future.result()  # raises what has ended it
        return [future.result() for future in working]
    finally:
        _STOPPING.set()
        while wait(working, timeout=0.1).not_done:
            for kernel in [*InterpreterKernel.made.values()]:
                kernel.kill()
        _STOPPING.clear()
        pool.shutdown()
