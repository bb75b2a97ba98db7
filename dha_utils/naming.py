"""Near misses: what somebody who mistyped a name probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, names: Iterable[str]) -> str:
    """Return ``" (did you mean 'anova'?)"`` for the name nearest to `name`, or an empty string.

    >>> closest("anvoa", ["anova", "random"])
    " (did you mean 'anova'?)"
    >>> closest("xyz", ["anova", "random"])
    ''
    """
    matches = get_close_matches(name, list(names), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
