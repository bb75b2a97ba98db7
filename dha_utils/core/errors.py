"""Errors meant for the person at the keyboard: one line that says what is wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class DhaError(ValueError):
    """Base of all errors that ``dha`` prints as one line, without a traceback."""


class AudioError(DhaError):
    """A sound file that cannot be used; names the file and the fault."""


class DataError(DhaError):
    """A data set or an artifact that is missing, partial or inconsistent."""


class NoAudioError(DataError):
    """There is no copy of a published data set, not even part of one."""


class FetchError(DhaError):
    """A download that failed or whose content is not what was pinned."""


class ParameterError(DhaError):
    """A parameter with an unknown name, a wrong type or an impossible value."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'anova'?)"`` for the name nearest to `name`, or an empty string.

    >>> closest("anvoa", ["anova", "random"])
    " (did you mean 'anova'?)"
    >>> closest("xyz", ["anova", "random"])
    ''
    """
    matches = get_close_matches(name, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def point_hint(text: str) -> str:
    """Return how a number with a decimal comma is to be written, or an empty string.

    >>> point_hint("0,35"), point_hint("0.35")
    (': write 0.35', '')
    """
    written = text.replace(",", ".")
    try:
        return f": write {written}" if written != text and float(written) == float(written) else ""
    except ValueError:
        return ""


def choose(kind: str, name: str, known: Iterable[str], error: type[DhaError] = ParameterError) -> str:
    """Return a name that is among those known, or raise an error that lists them and says which one was probably meant."""
    known = list(known)
    if name in known:
        return name
    raise error(f"unknown {kind} {name!r}{closest(name, known)}; there are: {', '.join(filter(None, known))}")
