"""Who recorded the clips of ESC: read from the list that comes with the sounds, README.md of ESC-10 or LICENSE of ESC-50."""

import re
from pathlib import Path
from typing import NamedTuple

from dha_utils.core.errors import DataError
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips

FREE = ("CC0", "CC-BY")
"""Licences, as the lists name them, under which anybody may hand a clip on; a few clips have others."""

LINE = re.compile(
    r"\[(?P<clip>\d-\d+-\w)\.ogg\].*?clip derived from \[?(?P<title>.+?)\]? ?\((?P<url>https?://[^)\s]+)\) "
    r"by \*?(?P<author>.+?)\*? \(?\[(?P<licence>[^\]]+)\]"
)


class Credit(NamedTuple):
    """Of one clip: what its recording is called, who made it, under which licence, and where it is."""

    title: str
    author: str
    licence: str
    url: str


def read_credits(folder: Path) -> dict[str, Credit]:
    """Return the credit of every clip of `FREE` licence that the lists in a folder name."""
    lists = [path for name in ("README*", "LICENSE*") for path in sorted(folder.glob(name))]
    found = {}
    for path in lists:
        for line in LINE.finditer(path.read_text("utf-8")):
            found.setdefault(line["clip"], Credit(*line.group("title", "author", "licence", "url")))
    return {clip: credit for clip, credit in found.items() if credit.licence in FREE}


def credited_clips(dataset: str) -> tuple[Clips, dict[str, Credit]] | None:
    """Return the clips of a data set and who made them, or None where the audio is not at hand, or comes without credits."""
    try:
        clips = load_clips(dataset)
    except DataError:
        return None
    credits = read_credits(clips.root)
    return (clips, credits) if credits else None
