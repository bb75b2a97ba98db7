"""TUT Acoustic Scenes 2016, the data of DCASE-16 task 1: 15 scenes, binaural, in 30 s clips; development and evaluation set.

Layout of a set, as its archives unpack: ``audio/``, ``meta.txt`` (file, scene), ``error.txt`` (file, start, end, kind:
seconds in which a microphone failed or a telephone was heard) and ``evaluation_setup/``. A clip ``audio/a001_0_30.wav`` is
cut from recording ``a001``, from second 0 to 30; clips of the evaluation set are numbered, and ``evaluate.txt`` names what
they were. Columns are separated by tabs.

A. Mesaros, T. Heittola, T. Virtanen, "TUT Database for Acoustic Scene Classification and Sound Event Detection", EUSIPCO 2016.
"""

import math
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from dha_utils.core.errors import DataError, NoAudioError
from dha_utils.core.paths import data_dir
from dha_utils.datasets.clips import ALWAYS_TRAINED, COLUMNS, Clips

DEVELOPMENT, EVALUATION = "TUT-acoustic-scenes-2016-development", "TUT-acoustic-scenes-2016-evaluation"
PUBLISHED = {DEVELOPMENT: 1170, EVALUATION: 390}
"""Folder of a set -> number of its clips."""

N_FOLDS = 4
HOW = "`dha fetch dcase2016` gets it"


class ClipName(NamedTuple):
    """What the name of a clip says: the recording it was cut from, and the seconds from and to which."""

    recording: str
    start: int
    end: int


def parse_name(file: str) -> ClipName:
    """Return what a file name like ``audio/a001_0_30.wav`` says.

    Raises
    ------
    DataError
        It is not such a name.

    Examples
    --------
    >>> parse_name("audio/a001_0_30.wav")
    ClipName(recording='a001', start=0, end=30)
    """
    match = re.fullmatch(r"([A-Za-z0-9-]+)_([0-9]{1,6})_([0-9]{1,6})\.wav", PurePosixPath(file).name)
    if not match or int(match[3]) <= int(match[2]):
        raise DataError(
            f"{file!r} is not the name of a clip, such as audio/a001_0_30.wav (recording_start_end)"
        )
    return ClipName(match[1], int(match[2]), int(match[3]))


def read_list(file: Path, n_columns: int) -> list[list[str]]:
    """Return the rows of a list with so many columns, separated by tabs; the first column names a file of the set.

    Raises
    ------
    DataError
        The list is missing, or a line has another number of columns, an empty one, or a path that leads out of the set.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error.__class__.__name__}); {HOW}") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = [cell.strip() for cell in line.split("\t")]
        if len(row) != n_columns or not all(row):
            raise DataError(
                f"{file}, line {number}: expected {n_columns} columns separated by tabs, got {line.strip()[:80]!r}"
            )
        path = PurePosixPath(row[0])
        if path.is_absolute() or ".." in path.parts or "\\" in row[0] or "\0" in row[0]:
            raise DataError(f"{file}, line {number}: {row[0][:80]!r} leads out of the data set")
        rows.append(row)
    if not rows:
        raise DataError(f"{file}: lists nothing; {HOW}")
    return rows


def load_dcase2016(root: str | Path | None = None) -> Clips:
    """Return the development set in its four official folds.

    What ``meta.txt`` lists must be there: a copy with fewer files is partial, one with a shorter ``meta.txt`` (and the lists
    of its folds) is a subset, which is noted in ``Clips.notes``.

    Parameters
    ----------
    root : str or Path, optional
        The set's folder, or the one that holds it. By default ``$DHA_DATA``.

    Raises
    ------
    DataError
        There is no copy, or its lists contradict one another.
    """
    folder = _find(root, DEVELOPMENT)
    meta = _read_meta(folder)
    folds: dict[str, int] = {}
    for fold in range(1, N_FOLDS + 1):
        tested = _check_split(folder, fold, meta)
        for file in tested:
            if file in folds:
                raise DataError(f"{folder}: {file} is tested in folds {folds[file]} and {fold}; {HOW} anew")
            folds[file] = fold
    untested = sorted(set(meta) - set(folds))
    if untested:
        raise DataError(f"{folder}: {untested[0]} is in meta.txt and tested in no fold; {HOW} anew")
    rows = [
        (PurePosixPath(file).stem, str(folder / file), label, folds[file], parse_name(file).recording)
        for file, label in meta.items()
    ]
    return _clips("dcase2016", folder, rows, [(folder, meta)])


def load_dcase2016_evaluation(root: str | Path | None = None) -> Clips:
    """Return both sets by the protocol of the challenge: train on development (fold 0), test on the evaluation set (fold 1).

    Arguments and errors as in `load_dcase2016`.
    """
    development, folder = load_dcase2016(root), _find(root, EVALUATION)
    listed = read_list(folder / "evaluation_setup" / "evaluate.txt", 3)
    rows = [
        (
            f"evaluation/{PurePosixPath(file).stem}",
            str(folder / file),
            label,
            1,
            parse_name(original).recording,
        )
        for file, label, original in listed
    ]
    unknown = {row[2] for row in rows} - set(development.classes)
    if unknown:
        raise DataError(f"{folder}: scene {min(unknown)!r} does not occur in the development set; {HOW} anew")
    known = development.table.assign(fold=ALWAYS_TRAINED)
    shared = set(known["recording"]) & {row[4] for row in rows}
    if shared:
        raise DataError(
            f"{folder}: recording {min(shared)!r} is in both sets, so it would be learned and tested; {HOW} anew"
        )
    rows += list(known[COLUMNS].itertuples(index=False, name=None))
    meta = _read_meta(development.root)
    files = [(development.root, meta), (folder, {file: label for file, label, _ in listed})]
    return _clips("dcase2016-evaluation", development.root, rows, files)


def _find(root: str | Path | None, name: str) -> Path:
    """Return the folder of a set: `root` itself, inside it, or beside it."""
    folder = data_dir() if root is None else Path(root).expanduser().resolve()
    if folder is None:
        raise NoAudioError(
            f"the audio of {name} is needed: {HOW}, or set DHA_DATA to the folder that holds it"
        )
    for copy in (folder / name, folder, folder.parent / name):
        marks = ("evaluate.txt",) if name == EVALUATION else ("fold1_evaluate.txt",)
        if all((copy / "evaluation_setup" / mark).is_file() for mark in marks):
            return copy
    raise NoAudioError(f"{name} (with its evaluation_setup/) is not in {folder}; {HOW}")


def _read_meta(folder: Path) -> dict[str, str]:
    """Return file -> scene of all clips of a set."""
    rows = read_list(folder / "meta.txt", 2)
    meta = dict(rows)
    if len(meta) < len(rows):
        raise DataError(f"{folder / 'meta.txt'}: lists a file twice; {HOW} anew")
    return meta


def _check_split(folder: Path, fold: int, meta: dict[str, str]) -> list[str]:
    """Return the files tested in a fold; the lists of the fold must share out all files, with the scenes of meta.txt."""
    lists = folder / "evaluation_setup"
    tested, trained = (read_list(lists / f"fold{fold}_{part}.txt", 2) for part in ("evaluate", "train"))
    for file, label in [*tested, *trained]:
        if meta.get(file) != label:
            raise DataError(
                f"{lists}, fold {fold}: {file} is {label!r} there and {meta.get(file)!r} in meta.txt; {HOW} anew"
            )
    names = [file for file, _ in tested]
    if sorted({*names, *(file for file, _ in trained)}) != sorted(meta) or set(names) & {
        f for f, _ in trained
    }:
        raise DataError(
            f"{lists}: fold{fold}_train.txt and fold{fold}_evaluate.txt do not share out meta.txt; {HOW} anew"
        )
    test = lists / f"fold{fold}_test.txt"
    if test.is_file() and {file for (file,) in read_list(test, 1)} != set(names):
        raise DataError(f"{test}: lists other files than fold{fold}_evaluate.txt; {HOW} anew")
    return names


def _read_errors(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return absolute path -> (start, end) of its erroneous seconds, from error.txt where there is one."""
    file = folder / "error.txt"
    errors: dict[str, list[tuple[float, float]]] = {}
    for name, *times, _ in read_list(file, 4) if file.is_file() else []:
        try:
            start, end = map(float, times)
        except ValueError as error:
            raise DataError(
                f"{file}: {name} has the times {times}, which are no seconds; {HOW} anew"
            ) from error
        if not 0 <= start < end < math.inf:
            raise DataError(
                f"{file}: {name} is in error from {start:g} s to {end:g} s, which is no stretch of time"
            )
        errors.setdefault(str(folder / name), []).append((start, end))
    return errors


def _clips(name: str, root: Path, rows: list[tuple], sets: list[tuple[Path, dict]]) -> Clips:
    """Return the table, with the erroneous seconds of each set and a note on subsets."""
    notes, errors = [], {}
    for folder, files in sets:
        errors |= _read_errors(folder)
        published = PUBLISHED[
            EVALUATION if (folder / "evaluation_setup" / "evaluate.txt").is_file() else DEVELOPMENT
        ]
        if len(files) != published:
            notes.append(f"a subset of {len(files)} of the {published} clips of {folder.name}")
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("clip", ignore_index=True)
    if errors:
        table["cut"] = [sorted(errors.get(path, [])) for path in table["path"]]
    return Clips(name, root, table, tuple(notes))


def _published(folder: Path) -> dict[str, None]:
    """Return the files that a set lists, without hashes; they must be as many as were published."""
    name, columns = ("evaluation_setup/evaluate.txt", 3) if folder.name == EVALUATION else ("meta.txt", 2)
    listed = dict.fromkeys(row[0] for row in read_list(folder / name, columns))
    if len(listed) != PUBLISHED[folder.name]:
        raise DataError(
            f"{folder / name}: lists {len(listed)} clips, not the published {PUBLISHED[folder.name]}"
        )
    return listed


LOADERS = {"dcase2016": load_dcase2016, "dcase2016-evaluation": load_dcase2016_evaluation}
FILES = {DEVELOPMENT: _published, EVALUATION: _published}
