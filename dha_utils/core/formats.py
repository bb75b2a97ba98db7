"""Numbers as prose shows them: where one stands in a results file, and how it is written.

Conventions. A *reference* is ``FILE.json:KEY`` or ``FILE.json:KEY:FORMAT``, with the data set before it,
``DATASET/FILE.json:KEY``, where it is not plain from the place; the key is a dotted path in which a number counts
into a list (``folds.0.accuracy``), and a name finds the record of a list that bears it (``cost.rank_full_corrected.change``). A
*format* is Python's, less what prose has no use for: ``[+][,][.DIGITS][TYPE]`` with TYPE
one of

==========  ==========================================================  ================
``%``       a fraction as a percentage                                  ``92.3 %``
``p``       a fraction as percentage points, without a unit             ``92.3``
``d``       an integer                                                  ``400``
``e f g``   a float; powers of ten are written out                      ``3.1 × 10⁻⁷``
==========  ==========================================================  ================

``,`` groups thousands with a thin space (``4 336``), ``+`` shows the sign, a minus is not a hyphen.
Strings and integers need no format; a float without a type is refused, for it would print sixteen digits.
"""

import json
import math
import re
from pathlib import Path

from dha_utils.core.errors import DhaError

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

REFERENCE = re.compile(
    r"(?:(?P<dataset>[^/:`]+)/)?(?P<file>[\w-]+\.json)(?::(?P<key>[^:`]*))?(?::(?P<format>[^:`]*))?"
)
FORMAT = re.compile(r"(?P<head>\+?,?(?:\.\d+(?=[%pefg]))?)(?P<type>[%pdefg]?)")


class ResultError(DhaError):
    """A number that cannot be shown."""


def format_value(value: object, spec: str = "") -> str:
    """Write a value from a results file as the prose shows it.

    Parameters
    ----------
    value : str, int or float
        What the JSON holds.
    spec : str
        A format as in the head of this module.

    Returns
    -------
    str

    Raises
    ------
    ResultError
        Where the format is unknown or does not fit the value, or the value is null, a list or not finite.
    """
    parts = FORMAT.fullmatch(spec)
    if parts is None:
        raise ResultError(f"unknown format {spec!r}; use [+][,][.DIGITS] and one of % p d e f g")
    if isinstance(value, str) and not spec:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ResultError(f"the value is {json.dumps(value)[:60]}, which the format {spec!r} cannot show")
    if not math.isfinite(value):
        raise ResultError(f"the value is {value}, not a finite number")
    if isinstance(value, float) and not parts["type"]:
        raise ResultError(f"the value is the float {value!r}; give it a format such as .2f or .1%")
    kind = parts["type"]
    try:
        text = format(100 * value if kind == "p" else value, parts["head"] + ("f" if kind == "p" else kind))
    except ValueError as error:
        raise ResultError(f"the format {spec!r} does not fit the value {value!r}: {error}") from error
    # "-0.0" is what a rounded -0.00001 prints; a difference of nothing has no sign.
    if not re.search(r"[1-9]", text):
        text = text.lstrip("+-")
    mantissa, _, exponent = text.partition("e")
    text = mantissa.replace(",", NARROW_SPACE).replace("%", f"{NARROW_SPACE}%")
    if exponent:
        text += f"{NARROW_SPACE}×{NARROW_SPACE}10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return text.replace("-", MINUS)


def read_value(path: Path, key: str) -> object:
    """Return a value of a results file; an empty key is all of it.

    Raises
    ------
    ResultError
        If there is no such file or no such key, or the file is damaged.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultError(f"there is no {path}; `dha check --write-reference` makes results") from None
    except ValueError as error:
        raise ResultError(f"the file is not JSON: {error}") from error
    return lookup(document, key)


def lookup(document: object, key: str) -> object:
    """Follow a dotted key into parsed JSON; an empty key is the document itself.

    Raises
    ------
    ResultError
        At the first step that does not exist; names it and what is there instead.
    """
    value = document
    for step in key.split(".") if key else []:
        try:
            value = _record(value, step) if isinstance(value, list) else value[step]
        except (KeyError, IndexError, ValueError, TypeError):
            there = sorted(value) if isinstance(value, dict) else type(value).__name__
            if isinstance(value, list):
                there = f"a list of {len(value)}"
            raise ResultError(f"there is no {step!r}; there is {there}") from None
    return value


def _record(records: list, step: str) -> object:
    """Return the record at a position, or the one that bears a name; a ValueError if none does, or several do."""
    if step.isdecimal():
        return records[int(step)]
    (found,) = [record for record in records if isinstance(record, dict) and step in record.values()]
    return found


def printable(text: str) -> str:
    r"""Return text in which what would end a line or steer a terminal is written out; names of files may hold anything.

    >>> printable("a\nb\x1b[31m.wav")
    'a\\nb\\x1b[31m.wav'
    """
    return re.sub(r"[\0-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)
