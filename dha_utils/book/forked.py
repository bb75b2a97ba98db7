"""Kernels that are forked from a process which has imported what every notebook imports: that takes seconds for each otherwise.

The process that kernels are forked from, the *source*, does nothing but import and fork: it has no threads, has computed nothing,
and stays as it is. Each kernel is a process of its own, in a session of its own, with the environment that it would have
otherwise. Where one line of JSON with a command comes, the source answers with a file descriptor by which the end of the
kernel is seen; it ends when nobody asks any more, and its kernels, if any are left, end with it.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from dha_utils.core.surroundings import left_out

IMPORTED = (
    "ipykernel.kernelapp",
    "matplotlib_inline.backend_inline",
    "dha_utils.book.study",
    "dha_utils.figures",
)
"""Modules that all kernels find imported."""

_here = threading.local()


class Process:
    """A kernel that another process has forked, with what `jupyter_client` asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, descriptor: int):
        self.pid, self.descriptor, self.returncode = pid, descriptor, None

    def poll(self) -> int | None:
        """Return None while the kernel runs."""
        if self.returncode is None and select.select([self.descriptor], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self) -> int:
        """Return when it has ended."""
        if self.returncode is None:
            select.select([self.descriptor], [], [])
            self._ended()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            signal.pidfd_send_signal(self.descriptor, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        os.close(self.descriptor)
        self.returncode = 0  # of somebody else's child only this is known: that it has ended


class Source:
    """The process that kernels are forked from, on the cores of the thread that makes it; started when the first is wanted."""

    def __init__(self):
        self.channel: socket.socket | None = None

    def fork(self, command: Sequence[str], environment: Mapping[str, str], folder: str | None) -> Process:
        """Start a kernel in a folder: what the command ``python -m ipykernel_launcher ...`` would.

        Raises
        ------
        RuntimeError
            If the process is gone.
        """
        if self.channel is None:
            self._start()
        request = {
            "command": list(command),
            "environment": dict(environment),
            "folder": folder or os.getcwd(),
        }
        try:
            self.channel.sendall(json.dumps(request).encode() + b"\n")
            pid, descriptors, _, _ = socket.recv_fds(self.channel, 64, 1)
        except OSError:
            descriptors = []
        if not descriptors:
            raise RuntimeError("the process that starts kernels has died")
        return Process(int(pid), descriptors[0])

    def _start(self) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dha_utils.book.forked", str(theirs.fileno()), *IMPORTED],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=left_out(os.environ),
                start_new_session=True,  # Ctrl-C is for the run, which ends its kernels
            )

    def close(self) -> None:
        """End the process."""
        if self.channel is not None:
            self.channel.close()
            self.process.kill()  # it may be importing
            self.process.wait()
            self.channel = None


@contextmanager
def forked_kernels() -> Iterator[None]:
    """Let the kernels of this thread be forked from one process, where the system can do that."""
    if not hasattr(signal, "pidfd_send_signal"):
        yield
        return
    _here.source = source = Source()
    try:
        yield
    finally:
        _here.source = None
        source.close()


def source_here() -> Source | None:
    """Return what the kernels of this thread are forked from; None where each is started by itself."""
    return getattr(_here, "source", None)


def serve(channel: socket.socket, modules: Sequence[str]) -> None:
    """Fork a kernel for every request until nobody asks any more; return in each kernel when it has ended."""
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is there stays shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for kernels that have ended
    with channel, channel.makefile("rb") as requests:
        for request in requests:
            asked, source = json.loads(request), os.getpid()
            if not (pid := os.fork()):
                channel.close()
                os.setsid()
                break
            descriptor = os.pidfd_open(pid)
            socket.send_fds(channel, [str(pid).encode()], [descriptor])
            os.close(descriptor)
        else:
            return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    _, _, _, *arguments = asked["command"]  # python -m ipykernel_launcher
    sys.argv = ["ipykernel_launcher", *arguments, f"--IPKernelApp.parent_handle={source}"]
    importlib.import_module("ipykernel.kernelapp").launch_new_instance()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
