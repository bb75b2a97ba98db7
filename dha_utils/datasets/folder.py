"""Any folder with one subfolder of sound files per class."""

from pathlib import Path

import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.datasets.clips import COLUMNS, Clips
from dha_utils.datasets.folds import make_folds

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")
"""The files that are taken for sound, whatever the case of their letters; libsndfile reads these."""


def load_folder(folder: str | Path) -> Clips:
    """Return the clips of a folder with one subfolder per class.

    The label is the name of the subfolder, the clip id ``label/file``, and the recording the same
    without suffix: files of one name in one subfolder are held to be of one recording and stay in one fold. There are 5
    folds, stratified by class (fewer where a class has fewer recordings), always the same for the same files.
    Hidden files and folders, files that are not sound, and folders inside the subfolders are skipped.

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
        There is no such folder, it has fewer than 2 subfolders, or one of them has fewer than 2 recordings.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give one with a subfolder of sound files per class")
    subfolders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(subfolders) < 2:
        raise DataError(
            f"{root} has {len(subfolders)} folder(s) in it; at least 2 are needed, one per class, "
            "each with its sound files"
        )
    rows = []
    for subfolder in subfolders:
        files = [file for file in subfolder.iterdir() if _is_sound(file)]
        n_recordings = len({file.stem for file in files})
        if n_recordings < 2:
            raise DataError(
                f"class {subfolder.name!r} of {root} has {n_recordings} recording(s); at least 2 sound files "
                f"({' '.join(SUFFIXES)}) of different names are needed: add some, or move the folder away"
            )
        rows += [
            (f"{subfolder.name}/{file.name}", str(file), subfolder.name, f"{subfolder.name}/{file.stem}")
            for file in files
        ]
    table = pd.DataFrame(rows, columns=["clip", "path", "label", "recording"])
    table = table.sort_values("clip", ignore_index=True)
    return Clips(root.name, root, table.assign(fold=make_folds(table, root))[COLUMNS])


def _is_sound(file: Path) -> bool:
    # A link that leads nowhere counts, and is then reported as missing: so are the files of sets kept by git-annex.
    return (
        (file.is_file() or file.is_symlink())
        and file.suffix.lower() in SUFFIXES
        and not file.name.startswith(".")
    )
