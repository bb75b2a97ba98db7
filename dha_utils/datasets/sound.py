"""What tells the sound of a clip from any other."""

from pathlib import Path

from dha_utils.core.hashing import hash_file
from dha_utils.datasets.esc import published_wavs


def hash_sound(path: str | Path) -> str:
    """Return what tells the sound of a file from any other: the sha256 of its content.

    The WAV form in which ESC-50 publishes a clip of ESC-10 counts as the original Ogg file: it is the same published clip.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    md5, original = published_wavs().get(Path(path).name, ("", ""))
    return original if md5 and hash_file(path, "md5") == md5 else hash_file(path)
