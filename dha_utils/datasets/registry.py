"""Published data sets: a new one is an entry in ``registry.json``, which holds what is known of it, and a module beside this.

The module that an entry names offers

- ``LOADERS``: name of a data set -> function that takes its root and returns its clips;
- ``FILES``, where its files are to be checked one by one: folder of a set that is fetched -> function that takes this folder and
  returns relative path -> published hash (``"md5:..."``, ``"sha256:..."`` or None); a DataError where only the folder itself
  could tell.
"""

import json
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from dha_utils.core.errors import DataError

RATES = (22_050, 44_100)
"""Hz; SoundNet's own rate and that of the released ensemble code."""


@dataclass(frozen=True)
class Archive:
    """A file to download: its hash (None: its files are checked instead), its size in bytes where it is known, and a limit."""

    url: str
    hash: str | None
    bytes: int | None
    unpacked_at_most: int

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Published:
    """What is known of a published data set.

    Attributes
    ----------
    module : str
        The module beside this one that reads it.
    title, about : str
        What people call it, and how much it is.
    seconds : float
        Length to which its clips are padded or cut.
    licence, attribution : str
        The latter goes into the provenance of what is computed from it.
    rates : list of int
        Hz, at which responses are bundled and by default computed; the first is that of everything else.
    sets : dict of str to list of Archive
        What is fetched: folder -> the archives that are unpacked into it.
    comes_with : str
        The data set that is fetched to have this one, where it is another.
    """

    module: str
    title: str
    about: str
    seconds: float
    licence: str
    attribution: str
    rates: list[int] = field(default_factory=lambda: [*RATES])
    sets: dict[str, list[Archive]] = field(default_factory=dict)
    comes_with: str = ""

    @property
    def code(self) -> ModuleType:
        """The module that reads it, imported."""
        return import_module(f"{__package__}.{self.module}")


def read_registry(file: Path) -> dict[str, Published]:
    """Return name -> what a registry says of the data set."""
    entries = json.loads(file.read_text("utf-8"))
    for entry in entries.values():
        sets = entry.get("sets", {}).items()
        entry["sets"] = {folder: [Archive(**archive) for archive in archives] for folder, archives in sets}
    try:
        return {name: Published(**entry) for name, entry in entries.items()}
    except TypeError as error:
        raise DataError(f"{file}: an entry is not as `Published` says: {error}") from error


DATASETS = read_registry(Path(__file__).with_name("registry.json"))
"""Name of a published data set -> what is known of it."""
