"""ESC-50, 2000 clips of 50 classes in 5 official folds, and ESC-10, 400 of them, which has an original layout of its own.

The clip ``1-100032-A`` (fold, recording, take) is ``001 - Dog bark/1-100032-A.ogg`` in the original layout
and ``audio/1-100032-A-0.wav`` in ESC-50. Which
clips there are, and their labels and folds, is known beforehand: ``esc10.csv`` beside this file holds the
marked rows of ``meta/esc50.csv`` and the sha256 of every original file. So both layouts give the same table,
and a partial copy is noticed. ``esc50.csv`` likewise holds ``meta/esc50.csv``, with the md5 of every file of ESC-50 at
commit 33c8ce9 of github.com/karolpiczak/ESC-50.

K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pandas as pd

from dha_utils.core.errors import DataError, NoAudioError
from dha_utils.core.paths import data_dir
from dha_utils.datasets.clips import COLUMNS, Clips
from dha_utils.datasets.esc_copies import describe_copy, find_copies
from dha_utils.datasets.folds import across_folds

SOURCES = (
    "run `dha fetch esc10`, or unpack https://github.com/karolpiczak/ESC-10/archive/553c8f1.zip (40 MB) "
    "or ESC-50 (https://github.com/karolpiczak/ESC-50, 600 MB)"
)

# The names of ESC-50 are used for both layouts; these are the folders of the original one.
FOLDERS = {
    "dog": "001 - Dog bark",
    "rain": "002 - Rain",
    "sea_waves": "003 - Sea waves",
    "crying_baby": "004 - Baby cry",
    "clock_tick": "005 - Clock tick",
    "sneezing": "006 - Person sneeze",
    "helicopter": "007 - Helicopter",
    "chainsaw": "008 - Chainsaw",
    "rooster": "009 - Rooster",
    "crackling_fire": "010 - Fire crackling",
}


def read_index() -> pd.DataFrame:
    """Return the published clips of ESC-10: clip, label, fold, recording, and sha256 of the original file."""
    index = pd.read_csv(Path(__file__).with_name("esc10.csv"), dtype=str)
    return index.astype({"fold": "int64"})


def read_index50() -> pd.DataFrame:
    """Return the published clips of ESC-50: file, label, fold, recording, and md5 of the file."""
    index = pd.read_csv(Path(__file__).with_name("esc50.csv"), dtype=str)
    return index.astype({"fold": "int64"})


@cache
def published_wavs() -> dict[str, tuple[str, str]]:
    """Return what ESC-50 holds of ESC-10: name of the file -> its md5, and the sha256 of the original file of ESC-10."""
    originals = read_index().set_index("clip")["sha256"]
    files = read_index50()
    clips = [file.rsplit("-", 1)[0] for file in files["file"]]
    return {
        file: (md5, originals[clip])
        for file, md5, clip in zip(files["file"], files["md5"], clips, strict=True)
        if clip in originals
    }


def load_esc50(root: str | Path | None = None) -> Clips:
    """Return the 2000 clips of ESC-50.

    The published WAVs, or a whole copy in another format or at another rate, which ``Clips.notes`` then says
    (`dha_utils.datasets.esc_copies`). ``meta/esc50.csv`` of the copy, where it has one, decides what must be there; one that
    lists fewer clips makes a subset, which is noted too, as are recordings that lie in several folds. The recording is that of
    Freesound (``src_file``).

    Parameters
    ----------
    root : str or Path, optional
        A copy of ESC-50, or the folder that holds one (named ``ESC-50...``). By default ``$DHA_DATA``. Of several, a whole
        one is taken, and WAVs before others.

    Raises
    ------
    DataError
        There is no copy, its table is not that of ESC-50, or it has no table and clips are missing.
    """
    folder = data_dir() if root is None else Path(root).expanduser().resolve()
    if folder is None:
        raise NoAudioError(
            "the audio of ESC-50 is needed: run `dha fetch esc50`, or set DHA_DATA to the folder that holds it"
        )
    index = read_index50()
    index = index.assign(name=[Path(file).stem for file in index["file"]])
    labels = dict(zip(index["name"], index["label"], strict=True))
    copies = find_copies(folder, labels)
    if not copies:
        raise NoAudioError(
            f"ESC-50 (its folder audio, or its meta/esc50.csv) is not in {folder}; run `dha fetch esc50`"
        )
    copy = next((copy for copy in copies if len(copy.files) == len(labels)), copies[0])
    index = index[index["name"].isin(copy.listed(labels))]
    paths = [copy.path(name) for name in index["name"]]
    table = index.assign(clip=[name.rsplit("-", 1)[0] for name in index["name"]], path=list(map(str, paths)))
    subset = f"a subset of {len(index)} of the {len(labels)} clips of ESC-50"
    notes = [
        *[subset] * (len(index) < len(labels)),
        *describe_copy(paths, dict(zip(index["file"], index["md5"], strict=True))),
        *_note_split(table),
    ]
    return Clips("esc50", copy.folder, table[COLUMNS].sort_values("clip", ignore_index=True), tuple(notes))


def _note_split(table: pd.DataFrame) -> list[str]:
    several = across_folds(table)
    if not several:
        return []
    which = "recording" if len(several) == 1 else f"{len(several)} recordings"
    verb = "lies" if len(several) == 1 else "lie"
    return [f"{which} {verb} in two folds of the published split: {', '.join(several)}"]


def load_esc10(root: str | Path | None = None) -> Clips:
    """Return the 400 clips of ESC-10.

    Parameters
    ----------
    root : str or Path, optional
        A copy of ESC-10 or ESC-50, or the folder that holds one (named ``ESC-10...`` or ``ESC-50...``, as the
        archives unpack). By default ``$DHA_DATA``. The original sounds come before those of ESC-50, and WAVs before others.

    Returns
    -------
    Clips
        The same table for both layouts, but for ``path``. Files that are not of ESC-10 are left alone. Where they are not the
        published ones but a copy of those of ESC-50, ``notes`` say so.

    Raises
    ------
    DataError
        There is no copy, or clips are missing from it; says how many and where to get them.
    """
    folder = data_dir() if root is None else Path(root).expanduser().resolve()
    if folder is None:
        raise NoAudioError(
            f"the audio of ESC-10 is needed: {SOURCES} and set DHA_DATA to that folder, or give the root"
        )
    if not folder.is_dir():
        raise NoAudioError(f"there is no folder {folder}; {SOURCES} and give that folder")
    index = read_index()
    partial = []
    for copy, paths in _layouts(folder, index):
        missing = [path for path in paths if not path.is_file()]
        if not missing:
            notes = (
                ()
                if paths[0].parent.name != "audio"
                else describe_copy(paths, {file: md5 for file, (md5, _) in published_wavs().items()})
            )
            return Clips("esc10", copy, index.assign(path=[str(path) for path in paths])[COLUMNS], notes)
        partial.append((len(missing), copy, missing))
    if not partial:
        raise NoAudioError(
            f"neither ESC-10 nor ESC-50 (its folder audio, or its meta/esc50.csv) is in {folder}; {SOURCES} there"
        )
    count, copy, missing = min(partial)
    names = ", ".join(path.relative_to(copy).as_posix() for path in missing[:3])
    raise DataError(
        f"{count} of the {len(index)} clips of ESC-10 are missing from {copy}: "
        f"{names}{', ...' if count > 3 else ''}; {SOURCES} again"
    )


def _layouts(folder: Path, index: pd.DataFrame) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the copies of ESC-10 and where each clip should be in them: the original ones, then those within ESC-50."""
    for copy in (folder, *sorted(folder.glob("ESC-10*"))):
        if any((copy / name).is_dir() for name in FOLDERS.values()):
            yield copy, [copy / FOLDERS[row.label] / f"{row.clip}.ogg" for row in index.itertuples()]
    # "1-100032-A-0" is the clip 1-100032-A of class 0.
    names = {Path(file).stem.rsplit("-", 1)[0]: Path(file).stem for file in published_wavs()}
    for copy in find_copies(folder, set(names.values())):
        yield copy.folder, [copy.path(names[clip]) for clip in index["clip"]]


ESC50_META = "sha256:ca660da60191a97de289983a05821c9382d852a38a2ba8428980816b68cf6246"


def _published10(_folder: Path) -> dict[str, str]:
    return {
        f"{FOLDERS[row.label]}/{row.clip}.ogg": f"sha256:{row.sha256}" for row in read_index().itertuples()
    }


def _published50(_folder: Path) -> dict[str, str]:
    files = {f"audio/{row.file}": f"md5:{row.md5}" for row in read_index50().itertuples()}
    return files | {"meta/esc50.csv": ESC50_META}


LOADERS = {"esc10": load_esc10, "esc50": load_esc50}
FILES = {"ESC-10": _published10, "ESC-50": _published50}
