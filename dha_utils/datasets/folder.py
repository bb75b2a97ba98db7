"""Any folder with one subfolder of sound files per class."""

import os
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.datasets import own_name
from dha_utils.datasets.clips import COLUMNS, Clips
from dha_utils.datasets.folds import make_folds

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff",
    ".8svx", ".aifc", ".amb", ".au", ".avr", ".bwf", ".caf", ".htk", ".iff", ".ircam", ".m1a", ".mp1", ".mp2", ".mpga", ".nist",
    ".oga", ".paf", ".pvf", ".rf64", ".sd2", ".sds", ".sf", ".snd", ".sph", ".svx", ".voc", ".w64", ".wave", ".wve",
)  # fmt: skip
"""The files that are taken for sound, whatever the case of their letters; libsndfile reads these.

It also reads some ``.mat``, ``.mpc``, ``.raw``, ``.gsm``, ``.vox`` and ``.xi``: these are mostly something else, or do not say
what they are or at what rate, so that what is damaged would be read as noise."""

LITTER = (
    "__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found", "Thumbs.db", "desktop.ini",
)  # fmt: skip
"""What operating systems and file servers leave in folders, beside hidden files and ``NAME:Zone.Identifier``."""

SPLITS = r"(fold|split|part)[ _-]?\d+|train(ing)?|test(ing)?|val|valid(ation)?|dev|development|eval(uation)?"
"""Names of folders that are parts of a data set: two of them side by side are no classes. One alone may be: trains are heard."""


def load_folder(folder: str | Path) -> Clips:
    """Return the clips of a folder with one subfolder per class.

    The label is the name of the subfolder, the clip id ``label/file``, and the recording the same
    without suffix: files of one name in one subfolder are held to be of one recording and stay in one fold. There are 5
    folds, stratified by class (fewer where a class has fewer recordings), always the same for the same files.
    Hidden files and `LITTER` are skipped. Empty subfolders, files in the subfolders that are not sound, and sounds that lie
    elsewhere, are skipped with a note.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Clips
        Named after the folder.

    Raises
    ------
    DataError
        There is no such folder, it cannot be listed, a name is not UTF-8, there are fewer than 2 subfolders, they are parts of a
        split, or one has fewer than 2 recordings.
    """
    root = Path(folder).expanduser().resolve()
    if not os.path.isdir(root):
        raise DataError(f"there is no folder {root}; give one with a subfolder of sound files per class")
    try:
        subfolders = [path for path in _visible(root) if path.is_dir()]
        empty = [path.name for path in subfolders if not _visible(path)]
        files = {path.name: [file for file in _visible(path) if is_sound(file)] for path in subfolders}
        notes = _skipped(root, subfolders)
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); see to its rights") from error
    if len(files) < 2:
        raise DataError(
            f"{root} has {len(files)} folder(s) in it; at least 2 are needed, one per class, "
            "each with its sound files"
        )
    if empty and len(files) - len(empty) > 1:
        files = {label: sounds for label, sounds in files.items() if label not in empty}
        notes += (f"skipped as empty: {', '.join(map(repr, empty))}",)
    parts = [label for label in files if re.fullmatch(SPLITS, label, re.IGNORECASE)]
    if len(parts) > 1:
        raise DataError(
            f"{root}: its folders {', '.join(parts[:3])}{', ...' * (len(parts) > 3)} are parts of a data set and no classes; "
            "give a folder with one subfolder per class, or a table with the columns path, label and fold"
        )
    if strange := [label for label in files if re.search(r"[\0-\x1f\x7f-\x9f\u2028\u2029]", label)]:
        raise DataError(
            f"{root}: class {strange[0]!r} holds a control character or a line break; rename the folder"
        )
    recordings = {label: len({file.stem for file in sounds}) for label, sounds in files.items()}
    if few := [label for label, n in recordings.items() if n < 2]:
        others = ", ".join(map(repr, few[1:6])) + ", ..." * (len(few) > 6)
        raise DataError(
            f"class {few[0]!r} of {root} has {recordings[few[0]]} recording(s)"
            + f", and others have fewer than 2 as well ({others})" * (len(few) > 1)
            + f"; at least 2 sound files ({' '.join(SUFFIXES[:7])}, ...) of different names are needed: add some, or move the "
            + ("folder away" if len(few) == 1 else "folders away")
        )
    rows = []
    for label, sounds in files.items():
        rows += [(f"{label}/{file.name}", str(file), label, f"{label}/{file.stem}") for file in sounds]
    _require_utf8([path for _, path, _, _ in rows])
    table = pd.DataFrame(rows, columns=["clip", "path", "label", "recording"])
    table = table.sort_values("clip", ignore_index=True)
    return Clips(own_name(root.name), root, table.assign(fold=make_folds(table, root))[COLUMNS], notes)


def is_sound(file: Path) -> bool:
    """Return whether a file is taken for sound, by its name."""
    # A link that leads nowhere counts, and is then reported as missing: so are the files of sets kept by git-annex.
    return (
        file.suffix.lower() in SUFFIXES
        and not file.name.startswith(".")
        and (file.is_file() or file.is_symlink())
    )


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, but for what nobody has put there."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name not in LITTER and ":Zone.Identifier" not in path.name
    )


def _skipped(root: Path, subfolders: list[Path]) -> tuple[str, ...]:
    """Return notes on the files that are skipped, for somebody may have meant them."""
    inside = [path for subfolder in subfolders for path in _visible(subfolder)]
    others = [path for path in inside if not path.is_dir() and not is_sound(path)]
    deep = [file for path in inside if path.is_dir() for file in path.rglob("*") if is_sound(file)]
    elsewhere = [path for path in _visible(root) if is_sound(path)] + deep
    notes = []
    if others:
        endings = Counter(path.suffix.lower() or "none" for path in others).most_common(5)
        which = ", ".join(f"{ending} ({count})" for ending, count in endings)
        such = others[0].relative_to(root).as_posix()
        notes.append(f"skipped as no sound that can be read: {which}, such as {such!r}")
    if elsewhere:
        such = elsewhere[0].relative_to(root).as_posix()
        notes.append(
            f"skipped as not directly in the folder of a class: {len(elsewhere)} sounds, such as {such!r}"
        )
    return tuple(notes)


def _require_utf8(paths: list[str]) -> None:
    """Raise unless all paths can be written into tables and pages."""
    # The bytes of a name that are not UTF-8 are lone surrogates here.
    strange = [path for path in paths if re.search("[\ud800-\udfff]", path)]
    if strange:
        raise DataError(
            f"{strange[0]!r}{f' and {len(strange) - 1} more' * (len(strange) > 1)}: names that are not UTF-8; rename them, as "
            "with `convmv -f latin1 -t utf8 -r --notest FOLDER`"
        )
