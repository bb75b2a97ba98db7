"""What a run prints of itself: one line for each notebook, with its time."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dha_utils.core.announcements import PREFIX
from dha_utils.core.work import TERMINAL


class Lines:
    """Lines that begin when a notebook does and are ended when it has ended; of one run at a time.

    Parameters
    ----------
    label : str
        What each line begins with.
    """

    def __init__(self, label: str = ""):
        self.label = label

    @staticmethod
    @contextmanager
    def bars() -> Iterator[None]:
        """Let notebooks show bars of long work on the terminal, if stderr is one, in the place of the notebook's line."""
        if sys.stderr.isatty():
            os.environ[TERMINAL] = os.ttyname(sys.stderr.fileno())
        try:
            yield
        finally:
            os.environ.pop(TERMINAL, None)

    def say(self, text: str) -> None:
        """Print a line of its own."""
        print(f"{self.label}{text}\n", end="", flush=True)

    def begin(self, notebook: str) -> None:
        """Begin the line of a notebook."""
        self.begun = f"{self.label}{notebook}  ... "
        print(self.begun, end="", flush=True)

    def note(self, text: str) -> None:
        """Say what the notebook is at; its line is ended on this one."""
        print(f"\n    {text} ... ", end="", flush=True)

    def end(self, text: str) -> None:
        """End the line of the notebook, which a bar may have covered."""
        covered = f"\r{self.begun}" if TERMINAL in os.environ else ""
        print(f"{covered}{text}\n", end="", flush=True)

    def write(self, printed: str) -> None:
        """Pass on what a notebook says of long work (`dha_utils.core.announcements`), and nothing else that it prints."""
        for line in printed.splitlines():
            if line.startswith(PREFIX):
                self.note(line.removeprefix(PREFIX))

    def flush(self) -> None:
        """Do nothing: papermill asks for it."""


class WholeLines(Lines):
    """The same where several runs print in turn: a line is printed when it is whole."""

    def begin(self, notebook: str) -> None:  # noqa: D102
        self.notebook = notebook

    def note(self, text: str) -> None:  # noqa: D102
        self.say(f"{self.notebook}  {text}")

    def end(self, text: str) -> None:  # noqa: D102
        self.say(f"{self.notebook}  {text}")
