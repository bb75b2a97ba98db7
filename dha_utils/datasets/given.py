"""The data set that was asked for: what its folders are called, and whether its audio is at hand."""

import os
from pathlib import Path

from dha_utils.core.errors import DataError, NoAudioError
from dha_utils.core.paths import bundled, data_dir
from dha_utils.datasets import DATASETS, load_clips, own_name
from dha_utils.datasets.clips import Clips
from dha_utils.datasets.delimited import SEPARATORS


def name_of(dataset: str) -> str:
    """Return what the folders of a data set's results and pages are called.

    Parameters
    ----------
    dataset : str
        Name of a data set, or a folder or table, whose last part (without ``.csv``) is the name.

    Raises
    ------
    DataError
        If there is no name, or nothing can be called so.

    Examples
    --------
    >>> name_of("path/to/sounds"), name_of("mine.csv"), name_of("esc10"), name_of("meta/esc50.csv")
    ('sounds', 'mine', 'esc10', 'esc50-own')
    """
    path = Path(dataset).expanduser()
    name = path.name if dataset in DATASETS else path.resolve().name
    name = Path(name).stem if Path(name).suffix.lower() in SEPARATORS else name
    if name in ("", "reference"):
        raise DataError(f"{dataset}: its results cannot be called {name!r}; rename the folder or the table")
    return name if dataset in DATASETS else own_name(name)


def title_of(dataset: str) -> str:
    """Return what people call a data set: its title, or, of sounds of one's own, the name of the folder or table.

    Examples
    --------
    >>> title_of("esc10"), title_of("path/to/sounds")
    ('ESC-10', 'sounds')
    """
    return DATASETS[dataset].title if dataset in DATASETS else name_of(dataset)


def clips_at_hand(
    dataset: str, root: str | Path | None = None, *, allow_missing: bool = False
) -> Clips | None:
    """Return the clips of the audio, or None where there is none and the data set is bundled.

    Arguments as in `dha_utils.load_clips`.

    Raises
    ------
    DataError
        If `root` or ``$DHA_DATA`` is given and does not hold the whole data set, if what was fetched is partial, or if there
        is neither audio nor bundled artifacts.
    """
    is_bundled = dataset in DATASETS and bundled(dataset).is_dir()
    if is_bundled and root is None and data_dir() is None:
        return None
    try:
        return load_clips(dataset, root, allow_missing=allow_missing)
    except DataError as error:
        if not is_bundled:
            raise
        if isinstance(error, NoAudioError) and root is None and "DHA_DATA" not in os.environ:
            return None  # other data sets were fetched
        given = (
            "root" if root is not None else "$DHA_DATA" if "DHA_DATA" in os.environ else "what was fetched"
        )
        raise DataError(
            f"{given} cannot be used: {error}; or start from the bundled artifacts, with `DHA_DATA= dha run`"
            + " and no root" * (root is not None)
        ) from error
