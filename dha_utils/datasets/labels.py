"""What looks wrong in labels and folds and may be meant: said, and left as it is."""

import re
import unicodedata

from dha_utils.datasets.clips import ALWAYS_TRAINED, Clips

NOTHING = ("nan", "none", "null", "na", "n/a", "<na>", "#n/a", "nil")
"""What programs write, in capitals or not, where there is no label."""


def describe_labels(clips: Clips) -> list[str]:
    """Return notes on labels that differ in what is hardly seen, on labels that say that there is none, and on fold 0."""
    counted = clips.table["label"].value_counts()
    alike: dict[str, list[str]] = {}
    for label in clips.classes:
        alike.setdefault(_plain(label), []).append(f"{label!a} ({counted[label]})")
    notes = [
        f"classes whose labels differ in capitals, spaces or invisible characters alone: {' and '.join(group)}"
        for group in alike.values()
        if len(group) > 1
    ]
    for label in clips.classes:
        if label.lower() in NOTHING:
            notes.append(
                f"label {label!r} is a class of its own here ({counted[label]} clips): was none given?"
            )
        if not _plain(label):
            notes.append(
                f"label {label!a} has nothing that can be seen ({counted[label]} clips): was none given?"
            )
    n_learned = int((clips.folds == ALWAYS_TRAINED).sum())
    if n_learned:
        notes.append(f"fold 0 ({n_learned} clips) is always learned from and never tested")
    return notes


def _plain(label: str) -> str:
    r"""Return a label without all that is hardly seen.

    >>> _plain("Heavy\u00a0Rain\u200b ") == _plain("heavy rain")
    True
    """
    text = unicodedata.normalize("NFKC", label).casefold()
    text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return re.sub(r"[\s_-]+", " ", text).strip()
