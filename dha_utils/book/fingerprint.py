"""What the notebooks depend on, as one hash: code, bundled artifacts, versions, and the audio by its listing."""

import os
from contextlib import suppress
from pathlib import Path

from dha_utils.core.hashing import hash_file, hash_files, hash_json
from dha_utils.core.paths import data_dir, repository
from dha_utils.datasets.table import load_table


def fingerprint_inputs(parameters: dict) -> str:
    """Hash what all notebooks depend on: code, bundled artifacts, reference, versions, and the audio by its listing."""
    root = repository()
    package = root / "dha_utils"
    files = [
        *package.rglob("*.py"),
        *package.rglob("*.csv"),
        *package.rglob("*.json"),
        *(root / "data").rglob("*"),
        *(root / "results" / "reference").rglob("*.json"),
    ]
    folders = [parameters.get("root") or data_dir(), parameters.get("dataset")]
    audio = [list_files(Path(folder)) for folder in folders if folder]
    audio.append(_list_table(parameters))
    return hash_json([hash_files([*files, root / "requirements.lock"], root), audio])


def _list_table(parameters: dict) -> list:
    """Return a hash of a table of clips, where that is the data set, and the state of the files that it lists."""
    table = Path(parameters.get("root") or "", parameters.get("dataset", "")).expanduser()
    if not table.is_file():
        return []
    stats = [os.stat(path) for path in load_table(table).table["path"] if os.path.exists(path)]
    return [hash_file(table), [_state(stat) for stat in stats]]


def list_files(folder: Path) -> dict[str, list[int]]:
    """Return relative path -> size and times of change in ns of all files below `folder`, if any."""
    states = {}
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # what others were about to write there
            if path.is_file():
                states[str(path.relative_to(folder))] = _state(path.stat())
    return states


def _state(stat: os.stat_result) -> list[int]:
    # The second time cannot be set: a file that was replaced by one of the same size and age shows in it.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
