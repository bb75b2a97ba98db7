"""Copies of ESC-50 on disk: the published WAVs, and whole copies at another rate or in another format.

Files are known by their names without suffix, ``1-100032-A-0`` (fold, recording, take, class). A copy is taken for what it is:
format and rate are read from its files and become a note (`describe_copy`), and results computed from it bear another key, since
that holds a hash of every file (`dha_utils.datasets.sound`).
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import soundfile

from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_file
from dha_utils.datasets.folder import SUFFIXES

RATE = 44_100
"""Hz, at which ESC-50 is published, as WAV."""

LOOKED_AT = 50
"""Files whose hash is looked at, where format and rate are those of the published ones: whoever converts files converts all.
`dha fetch` checks every file."""


@dataclass(frozen=True)
class Copy:
    """A folder in the layout of ESC-50.

    Attributes
    ----------
    folder : Path
    files : dict of str to Path
        Name without suffix -> the file, for those that are there.
    """

    folder: Path
    files: Mapping[str, Path]

    @property
    def table(self) -> Path:
        """Where the table of ESC-50 is, if the copy has it."""
        return self.folder / "meta" / "esc50.csv"

    @cached_property
    def suffix(self) -> str:
        """The suffix that most of its files have; that of the published ones where there are none."""
        return (
            Counter(path.suffix for path in self.files.values()).most_common(1)[0][0]
            if self.files
            else ".wav"
        )

    def path(self, name: str) -> Path:
        """Return where a file is, or should be."""
        return self.files.get(name, self.folder / "audio" / f"{name}{self.suffix}")

    def listed(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names that the copy should hold: those of its table, else all.

        Parameters
        ----------
        labels : dict of str to str
            Name without suffix -> label, of all clips of ESC-50.

        Raises
        ------
        DataError
            The table is not that of ESC-50, or there is none and files are missing.
        """
        if not self.table.is_file():
            missing = [self.path(name).name for name in labels if name not in self.files]
            if missing:
                raise DataError(
                    f"{len(missing)} of the {len(labels)} clips of ESC-50 are missing from {self.folder}, which has no "
                    f"meta/esc50.csv that makes it a subset: {', '.join(missing[:3])}{', ...' * (len(missing) > 3)}; copy it "
                    "again, or run `dha fetch esc50`"
                )
            return list(labels)
        try:
            rows = pd.read_csv(self.table, dtype=str, keep_default_na=False)
            listed = {
                Path(file).stem: label for file, label in zip(rows["filename"], rows["category"], strict=True)
            }
        except (ValueError, LookupError) as error:
            fault = " ".join(f"{type(error).__name__}: {error}".split())  # pandas breaks its lines
            raise DataError(
                f"{self.table} is not the one of ESC-50 ({fault}); run `dha fetch esc50`"
            ) from error
        strange = listed.items() - labels.items()
        if strange or not listed:
            raise DataError(
                f"{self.table} is not the one of ESC-50 ({min(strange, default='no clips')}); run `dha fetch esc50`"
            )
        return [name for name in labels if name in listed]


def find_copies(folder: Path, names: Container[str]) -> list[Copy]:
    """Return the copies of ESC-50: the folder itself, then those in it that are named ``ESC-50...``, WAVs before others.

    Parameters
    ----------
    folder : Path
    names : container of str
        Names without suffix of all clips of ESC-50.
    """
    within = [_read_copy(copy, names) for copy in sorted(folder.glob("ESC-50*"))]
    copies = [_read_copy(folder, names), *sorted(within, key=lambda copy: copy.suffix.lower() != ".wav")]
    return [copy for copy in copies if copy.files or copy.table.is_file()]


def _read_copy(folder: Path, names: Container[str]) -> Copy:
    sounds = [path for path in sorted(folder.glob("audio/*")) if path.suffix.lower() in SUFFIXES]
    # Of two files of one name the one whose suffix comes first is taken.
    sounds.sort(key=lambda path: SUFFIXES.index(path.suffix.lower()), reverse=True)
    return Copy(folder, {path.stem: path for path in sounds if path.stem in names})


def describe_copy(paths: Iterable[Path], md5: Mapping[str, str]) -> tuple[str, ...]:
    """Return what a reader of the results should know of these files: nothing where they are the published ones.

    Files that cannot be read are left to `dha_utils.audio.inspection`.

    Parameters
    ----------
    paths : iterable of Path
    md5 : dict of str to str
        Name of a published file, with suffix -> its md5.

    Returns
    -------
    tuple of str
        At most one note, which completes a sentence.
    """
    forms: dict[Path, tuple[str, int]] = {}
    for path in paths:
        try:
            info = soundfile.info(path)
        except (soundfile.LibsndfileError, TypeError):
            continue
        forms[path] = (info.format, info.samplerate)
    counted = Counter(forms.values())
    if not counted:
        return ()
    if {*counted} == {("WAV", RATE)}:
        some = [*forms][:: -(-len(forms) // LOOKED_AT)]
        others = sum(hash_file(path, "md5") != md5.get(path.name) for path in some)
        if not others:
            return ()
        return (
            f"not the published files but a copy, WAV at {RATE} Hz ({others} of {len(some)} looked at are others)",
        )
    parts = [
        f"{f'{count} files, ' * (len(counted) > 1)}{form} at {rate} Hz"
        + (f", where nothing above {rate / 2000:g} kHz survives" if rate < RATE else "")
        for (form, rate), count in counted.most_common()
    ]
    return (f"not the published WAVs at {RATE} Hz but a copy: {' and '.join(parts)}",)
