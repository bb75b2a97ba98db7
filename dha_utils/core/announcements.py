"""What long work says of itself on stdout, one line at a time; `dha run` passes these lines on while a notebook is at work."""

PREFIX = "at work: "
"""How such a line begins."""


def announce(text: str) -> None:
    """Print a line that says what is being done, or how long it will take."""
    print(f"{PREFIX}{text}", flush=True)


def duration(seconds: float) -> str:
    """Return a time to wait in words.

    >>> duration(0.2), duration(71), duration(5400)
    ('1 s', '71 s', '90 minutes')
    """
    return f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{max(seconds, 1):.0f} s"
