"""What tells the sound of a clip from any other."""

import hashlib
from pathlib import Path

from dha_utils.datasets.esc import published_wavs


def hash_sound(path: str | Path) -> str:
    """Return what tells the sound of a file from any other: the sha256 of its content.

    The WAV form in which ESC-50 publishes a clip of ESC-10 counts as the original Ogg file: it is the same published clip.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    published = published_wavs().get(Path(path).name)
    with open(path, "rb") as file:
        if published:
            md5, original = published
            if hashlib.file_digest(file, "md5").hexdigest() == md5:
                return original
            file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()
