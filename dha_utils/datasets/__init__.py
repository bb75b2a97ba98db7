"""Data sets: a name, a folder or a table becomes a table of clips with labels and folds.

What reads them is imported by the function that needs it: the names alone cost nothing.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dha_utils.core.errors import DataError, closest
from dha_utils.datasets.registry import DATASETS, RATES

if TYPE_CHECKING:
    from dha_utils.datasets.clips import Clips


def default_duration(name: str | Path) -> float:
    """Return the length of a data set's clips in seconds, to which they are padded or cut: that of a published one, else 5."""
    return DATASETS[name].seconds if name in DATASETS else 5.0


def default_rates(name: str | Path) -> list[int]:
    """Return the sampling rates (Hz) at which responses are computed: those of a published data set, else `RATES`."""
    return DATASETS[name].rates if name in DATASETS else [*RATES]


def load_clips(
    name_or_path: str | Path, root: str | Path | None = None, *, allow_missing: bool = False
) -> "Clips":
    """Return the clips of a published data set, of a folder with one subfolder per class, or of a CSV or TSV table.

    Parameters
    ----------
    name_or_path : str or Path
        A name in ``DATASETS``, a folder, or a table (see `load_table`).
    root : str or Path, optional
        Where the data set is, or what the path is relative to. By default a data set is looked for in
        ``$DHA_DATA``, and a path in the working directory.
    allow_missing : bool
        Return also clips whose files are missing from a copy (but for ESC-10, of which all 400 are always asked for).

    Returns
    -------
    Clips
        One row per clip, sorted by clip id.

    Raises
    ------
    DataError
        The name is none of these, or the copy is missing or partial.
    """
    if name_or_path in DATASETS:
        published = DATASETS[name_or_path]
        clips = published.code.LOADERS[name_or_path](root)
        return _complete(
            clips, allow_missing, f"; `dha fetch {published.comes_with or name_or_path}` gets them"
        )
    from dha_utils.datasets.delimited import SEPARATORS
    from dha_utils.datasets.folder import load_folder
    from dha_utils.datasets.table import load_table

    path = Path(root or "", name_or_path).expanduser()
    if path.suffix.lower() in SEPARATORS and not os.path.isdir(path):
        return _complete(load_table(path), allow_missing, "")
    if os.path.isdir(path):
        return load_folder(path)
    if os.path.exists(path):
        raise DataError(f"{path} is neither a folder nor a .csv or .tsv table")
    plain = str(name_or_path).lower().replace("_", "").replace("-", "")
    near = closest(plain, DATASETS)
    raise DataError(
        f"there is no data set and no folder {str(name_or_path)!r}{near}; known are {', '.join(DATASETS)}, any folder "
        "with one subfolder of sound files per class, and any .csv or .tsv table with the columns path and label"
    )


def own_name(name: str) -> str:
    """Return what sounds of one's own are called, by the name of their folder or table: never as a published data set is.

    >>> own_name("mine"), own_name("esc50")
    ('mine', 'esc50-own')
    """
    return f"{name}-own" if name in DATASETS else name


def _complete(clips: "Clips", allow_missing: bool, advice: str) -> "Clips":
    """Return the clips, or raise where files are missing from the copy."""
    if not len(clips):
        raise DataError(f"no clips of {clips.name} in {clips.root}{advice}")
    missing = [path for path in clips.table["path"] if not os.path.isfile(path)]
    if not missing or allow_missing:
        return clips
    names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    raise DataError(
        f"{len(missing)} of the {len(clips)} clips of {clips.name} are missing: {names}{advice}; "
        "--skip-bad goes on without them"
    )
