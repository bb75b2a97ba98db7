"""What people call what a table holds under the name that the program has for it."""

from dha_utils.criteria.described import TITLES
from dha_utils.criteria.released import METHODS
from dha_utils.studies.specifications import CHOICES

CLASSIFIERS = {
    **CHOICES["classifier"],
    "released": "SVM, released",
    "released_probability": "SVM, the released call",
}
"""Classifier of a tap -> what people call it."""

NAMES = {
    **TITLES,
    **{name: TITLES[f"{name}_corrected"].partition(",")[0] for name in METHODS},
}
"""Criterion, or method of the released code -> what people call it; in any column that has no names of its own."""

OF_COLUMN = {
    "classifier": CLASSIFIERS,
    "compensation": {},
    "form": {},
    "maps": {},
    "selection": {},
    "clip": None,
    "recording": None,
}
"""Column -> its own names; None: what it holds has the names that people gave it, and is shown as it is."""


def named(value: object, column: str = "") -> object:
    """Return what people call a value of a column; what has no other name is read as words.

    >>> named("l1"), named("released", "classifier"), named("mrmr, welch"), named("a_1.wav", "clip"), named(3)
    ('norm of the filter (L1)', 'SVM, released', "F over correlation (mRMR), Welch's test", 'a_1.wav', 3)
    """
    names = OF_COLUMN.get(column, NAMES)
    if not isinstance(value, str) or names is None:
        return value
    parts = [value] if value in names else value.split(", ")
    return ", ".join(names.get(part, part if " " in part else part.replace("_", " ")) for part in parts)
