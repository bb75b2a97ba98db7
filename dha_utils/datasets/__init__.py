"""Data sets: a name or a folder becomes a table of clips with labels and folds."""

from difflib import get_close_matches
from pathlib import Path

from dha_utils.datasets.clips import Clips
from dha_utils.datasets.esc import load_esc10
from dha_utils.datasets.folder import load_folder
from dha_utils.errors import DataError

__all__ = ["ATTRIBUTIONS", "DATASETS", "Clips", "load_clips"]

DATASETS = {"esc10": load_esc10}
"""Name of a published data set -> function that takes its root and returns its clips."""

ATTRIBUTIONS = {
    "esc10": 'ESC-10 (K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015), CC BY 3.0'
}
"""Whose work a published data set is; goes into the provenance of what is computed from it."""


def load_clips(name_or_folder: str | Path, root: str | Path | None = None) -> Clips:
    """Return the clips of a published data set, or of any folder with one subfolder per class.

    Parameters
    ----------
    name_or_folder : str or Path
        A name in ``DATASETS``, or a folder.
    root : str or Path, optional
        Where the data set is, or what the folder is relative to. By default a data set is looked for in
        ``$DHA_DATA``, and a folder in the working directory.

    Returns
    -------
    Clips
        One row per clip, sorted by clip id.

    Raises
    ------
    DataError
        The name is neither, or the copy is missing or partial.
    """
    if name_or_folder in DATASETS:
        return DATASETS[name_or_folder](root)
    folder = Path(root or "", name_or_folder).expanduser()
    if folder.is_dir():
        return load_folder(folder)
    plain = str(name_or_folder).lower().replace("-", "").replace("_", "")
    near = get_close_matches(plain, DATASETS, n=1)
    raise DataError(
        f"there is no data set and no folder {str(name_or_folder)!r}"
        + (f"; did you mean {near[0]!r}?" if near else "")
        + f"; known are {', '.join(DATASETS)}, and any folder with one subfolder of sound files per class"
    )
