"""What is wrong with a set of clips, before anything is computed from it.

Every file is read once: missing and unreadable ones, the same content twice, a class of which too little is left. Different
sampling rates are mentioned and no fault: clips are resampled. What tells a clip's sound from any other is kept in the column
``sound`` of the clip table, so that what is computed from it can be known by it (`dha_utils.core.artifacts`).
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dha_utils.audio.files import MISSING, UNREADABLE, Cut, mono_pieces, open_sound
from dha_utils.audio.oddities import CANCELLED, QUIET, Listener, describe_oddities
from dha_utils.core.errors import AudioError, DataError
from dha_utils.core.formats import printable
from dha_utils.core.work import on_cluster, progress_bar, run_items
from dha_utils.datasets import DATASETS
from dha_utils.datasets.clips import Clips, check_folds
from dha_utils.datasets.labels import describe_labels
from dha_utils.datasets.sound import hash_sound


@dataclass(frozen=True)
class Report:
    """What was found in a set of clips.

    Attributes
    ----------
    clips : Clips
        With the column ``sound``, empty for files that cannot be read.
    faults : dict of str to str
        Clip id -> why it cannot be used.
    notes : list of str
        What is worth knowing and no fault.
    """

    clips: Clips
    faults: dict[str, str]
    notes: list[str]

    def lines(self) -> list[str]:
        """Return the report as lines of text: a summary, the faults clip by clip, the notes."""
        table = self.clips.table
        folds = ", ".join(f"{fold}: {count}" for fold, count in sorted(Counter(table["fold"]).items()))
        head = f"{self.clips.name}: {len(table)} clips, {len(self.clips.classes)} classes, clips per fold {folds}"
        notes = [*self.clips.notes, *self.notes]
        lines = [
            head,
            *(f"  {clip}: {fault}" for clip, fault in self.faults.items()),
            *(f"  note: {n}" for n in notes),
        ]
        return [*map(printable, lines)]


Reader = Callable[[tuple[str, Cut]], tuple]
"""Path of a file and what is cut from it -> what was found."""

FILES_AT_ONCE = 100
"""Files that another process is given at a time."""


def inspect_clips(clips: Clips, *, shortest: float = 0.0) -> Report:
    """Read every file of a set of clips once, as whoever uses it does, and report what cannot be used.

    Of files with the same content one is kept, the first by clip id; where their labels differ, none. In a published data
    set they are only noted: it is what others have measured on.

    Parameters
    ----------
    clips : Clips
    shortest : float
        Seconds that a file must have; see `Network.check_duration`.
    """
    found = _read_all(clips, partial(_read_one, shortest=shortest))
    clips = replace(clips, table=clips.table.assign(sound=[one.sound for one in found]))
    names, labels = clips.table["clip"].tolist(), clips.table["label"].tolist()
    faults = {name: one.fault for name, one in zip(names, found, strict=True) if one.fault}
    notes = []
    if clips.name not in DATASETS:  # of those the pages say it
        notes += describe_labels(clips) + describe_oddities(names, [one.odd for one in found])
    rates = Counter(one.rate for one in found if one.rate)
    if len(rates) > 1:
        shares = ", ".join(f"{count} of {rate} Hz" for rate, count in sorted(rates.items()))
        notes.append(f"mixed sampling rates ({shares}); all are resampled")
    groups: dict[str, list[int]] = {}
    for row, one in enumerate(found):
        if one.sound:
            groups.setdefault(one.sound, []).append(row)
    for rows in groups.values():
        if len(rows) > 1 and clips.name in DATASETS:
            notes.append(
                f"{', '.join(names[row] for row in rows)} have the same content, in this data set as published"
            )
        elif len({labels[row] for row in rows}) > 1:
            same = ", ".join(f"{names[row]} ({labels[row]})" for row in rows)
            faults |= {names[row]: f"the same content under different labels: {same}" for row in rows}
        elif len(rows) > 1:
            faults |= {names[row]: f"the same content as {names[rows[0]]}" for row in rows[1:]}
    usable = clips.table[~clips.table["clip"].isin(list(faults))]
    recordings = clips.table.groupby("label")["recording"].nunique() * 0
    recordings = recordings.add(usable.groupby("label")["recording"].nunique(), fill_value=0)
    for label in recordings.index[recordings == 1]:
        clip = usable.loc[usable["label"] == label, "clip"].iloc[0]
        if clip not in faults:
            faults[clip] = f"the only recording of class {label!r}: nothing is left to test or to learn it on"
    return Report(clips, {name: faults[name] for name in names if name in faults}, notes)


def usable_clips(clips: Clips, *, skip_bad: bool = False, shortest: float = 0.0) -> Clips:
    """Return the clips if all can be used, or, with `skip_bad`, those that can, with the others in ``left_out``.

    They have the column ``sound``.

    Parameters
    ----------
    clips : Clips
    skip_bad : bool
    shortest : float
        As in `inspect_clips`.

    Raises
    ------
    DataError
        Clips cannot be used and are not to be skipped, or too little is left of a class; names it.
    """
    report = inspect_clips(clips, shortest=shortest)
    clips = replace(report.clips, notes=(*clips.notes, *report.notes))
    if not report.faults:
        return clips
    if not skip_bad:
        shown = "; ".join(f"{clip}: {fault}" for clip, fault in list(report.faults.items())[:3])
        more = f"; and {len(report.faults) - 3} more" if len(report.faults) > 3 else ""
        raise DataError(
            f"{len(report.faults)} of the {len(clips)} clips of {clips.name} cannot be used ({shown}{more}): see "
            "`dha inspect`, mend them, or leave them out with --skip-bad (-p skip_bad true)"
        )
    kept = clips.take(~clips.table["clip"].isin(list(report.faults)).to_numpy())
    left_out = tuple({"clip": clip, "fault": fault} for clip, fault in report.faults.items())
    gone = sorted(set(clips.classes) - set(kept.classes))
    if gone:
        raise DataError(
            f"without the clips that cannot be used nothing is left of class {gone[0]!r} of {clips.name}: mend them (see "
            "`dha inspect`), or leave the class out"
        )
    try:
        check_folds(kept.table["label"], kept.folds)
    except DataError as error:
        raise DataError(f"after leaving out {len(left_out)} clips that cannot be used, {error}") from error
    return replace(kept, left_out=left_out)


def identify(clips: Clips) -> Clips:
    """Return the clips with the column ``sound``; files are read where that is missing.

    Raises
    ------
    AudioError
        A file cannot be read.
    """
    if "sound" in clips.table:
        return clips
    found = _read_all(clips, _hash_one)
    for path, (fault, _) in zip(clips.table["path"], found, strict=True):
        if fault:
            raise AudioError(f"{path}: {fault}")
    return replace(clips, table=clips.table.assign(sound=[sound for _, sound in found]))


def _read_all(clips: Clips, read: Reader) -> list[tuple]:
    """Return what `read` says of every file, in order."""
    files = list(zip(clips.table["path"], clips.cuts, strict=True))
    found: dict[int, tuple] = {}
    with progress_bar(len(files), "file", "inspect") as bar:
        for number, one in run_items(read, files, together=FILES_AT_ONCE):
            _check_seen(Path(files[number][0]), one[0])
            found[number] = one
            bar.update()
    return [found[number] for number in range(len(files))]


def _check_seen(path: Path, fault: str) -> None:
    """Raise where a worker of a cluster does not see a file that is here: whether it is left out would hang on who looks."""
    if fault.startswith((MISSING, UNREADABLE)) and on_cluster() and os.access(path, os.R_OK):
        raise DataError(
            f"{path}: a worker of the cluster does not see this file ({fault}); the sounds have to lie under the same path on "
            "every machine"
        )


class _Found(NamedTuple):
    """What was found in a file: what is wrong with it (empty: nothing), its rate in Hz, what tells its sound, what is odd."""

    fault: str
    rate: int = 0
    sound: str = ""
    odd: Mapping[str, str] = {}


def _read_one(file: tuple[str, Cut], shortest: float) -> _Found:
    path, cut = file
    try:
        rate, seconds, odd = check_sound(Path(path), cut)
    except AudioError as error:
        return _Found(str(error).removeprefix(f"{path}: "))
    if seconds < shortest:
        return _Found(
            f"lasts {seconds:.3f} s, too short for the network: it needs {shortest:.3f}, or a duration to pad to"
        )
    fault, sound = _hash_one(file)
    return _Found(fault) if fault else _Found("", rate, sound, odd)


class Heard(NamedTuple):
    """What was found in a sound that can be used: its rate in Hz, its seconds less those cut, and what is odd about it."""

    rate: int
    seconds: float
    odd: dict[str, str]


def check_sound(path: Path, cut: Cut = ()) -> Heard:
    """Look at all samples of a sound file, in constant memory.

    Parameters
    ----------
    path : Path
    cut : sequence of (start, end)
        Seconds of the file that are left out.

    Raises
    ------
    AudioError
        It cannot be used; as `dha_utils.audio.waveforms.load_audio`.
    """
    heard, rate, channels, odd = _listen(path, cut, "mean")
    odd = odd | heard.oddities(rate)
    if channels > 1 and heard.rms < QUIET:
        one = _listen(path, cut, "left")[0]
        if one.rms > CANCELLED * heard.rms and "silent" not in one.oddities(rate):
            odd = {name: odd[name] for name in odd if name not in ("silent", "zeros")} | {"cancelled": ""}
    return Heard(rate, heard.count / rate, odd)


def _listen(path: Path, cut: Cut, channel: str) -> tuple[Listener, int, int, dict[str, str]]:
    listener = Listener()
    with open_sound(path) as sound:
        for _ in listener.through(mono_pieces(sound, channel=channel, cut=cut)):
            pass
        return listener, sound.rate, sound.channels, sound.odd


def _hash_one(file: tuple[str, Cut]) -> tuple[str, str]:
    """Return what is wrong with a file (empty: nothing) and what tells its sound from any other."""
    try:
        return "", hash_sound(file[0])
    except FileNotFoundError:
        return MISSING, ""
    except OSError as error:
        return f"{UNREADABLE} ({error.strerror})", ""
