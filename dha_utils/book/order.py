"""In which order notebooks are run: what each reads of others, and who takes up which where two are run side by side."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

KEEPS: Mapping[str, str] = {
    "criteria": "ensemble",
    "dimension": "ensemble",
    "silence": "ensemble",
    "curves": "criteria",
    "released": "criteria",
    "frontier": "compensation",
}
"""Subject of a notebook -> that of another which keeps, for both, what takes long: cells, scores, smaller networks. Side by side
they would compute it twice."""


def subject(source: Path) -> str:
    """Return what a notebook is about, which is what its results file is called.

    >>> subject(Path("notebooks/05_curves.ipynb"))
    'curves'
    """
    return source.stem.partition("_")[2]


def reads(sources: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return for every notebook the earlier ones whose results its cells read: all of them where that is not told by name.

    Parameters
    ----------
    sources : sequence of Path
        All notebooks, in order.
    """
    writers: dict[str, Path] = {}
    found: dict[Path, list[Path]] = {}
    for number, source in enumerate(sources):
        text = source.read_text("utf-8")
        names = re.findall(r'study\.read\(\\"(\w+)\\"\)', text)
        named = {writers[name] for name in names if name in writers}
        unnamed = re.search(r"study\.read\b(?!\()", text)
        found[source] = [other for other in sources[:number] if unnamed or other in named]
        writers |= dict.fromkeys(re.findall(r'results\.write\(\\"(\w+)\\"', text), source)
        writers[subject(source)] = source
    return found


class Agenda:
    """Notebooks that are taken up by whoever is free, each after those that it waits for, the longest way first.

    Parameters
    ----------
    sources : sequence of Path
        Those to be run, in order.
    read : dict
        Notebook -> those whose results it reads, as `reads` returns it.
    seconds : dict
        Name of a notebook -> how long it will take.
    """

    def __init__(
        self, sources: Sequence[Path], read: Mapping[Path, Sequence[Path]], seconds: Mapping[str, float]
    ):
        named = {subject(source): source for source in sources}
        self.waits = {
            source: {*read[source], named.get(KEEPS.get(subject(source), ""))} & {*sources}
            for source in sources
        }
        way: dict[Path, float] = {}  # to the end of the run
        for source in reversed(sources):
            after = [way[other] for other in way if source in self.waits[other]]
            way[source] = seconds.get(source.stem, 0.0) + max(after, default=0.0)
        self.left = sorted(sources, key=lambda source: -way[source])
        self.at_work: set[Path] = set()
        self.changed = threading.Condition()

    def work(self, do: Callable[[Path], None]) -> list[Path]:
        """Call a function of one notebook after another until none is left; return them. Several threads may do so at once.

        Where it fails, the other threads take up nothing more.
        """
        done = []
        try:
            while source := self._take():
                do(source)
                done.append(source)
                with self.changed:
                    self.at_work.remove(source)
                    self.changed.notify_all()
        except BaseException:
            with self.changed:
                self.left.clear()
                self.changed.notify_all()
            raise
        return done

    def _take(self) -> Path | None:
        with self.changed:
            while self.left:
                for source in self.left:
                    if not self.waits[source] & {*self.left, *self.at_work}:
                        self.left.remove(source)
                        self.at_work.add(source)
                        return source
                self.changed.wait()
            return None
