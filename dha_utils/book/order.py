"""In which order notebooks are run: what each reads of others, and who takes up which where two are run side by side."""

import re
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence, Set
from pathlib import Path
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)

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


def waits(sources: Sequence[Path], read: Mapping[Path, Sequence[Path]]) -> dict[Path, set[Path]]:
    """Return for each notebook that is run beside others those that it waits for: the first, and those of `reads` and `KEEPS`."""
    named = {subject(source): source for source in sources}
    return {
        source: ({next(iter(read)), *read[source], named.get(KEEPS.get(subject(source), ""))} & {*sources})
        - {source}
        for source in sources
    }


class Agenda(Generic[Item]):
    """What is taken up by whoever is free, each after those that it waits for: the longest way first, else in the order given.

    Parameters
    ----------
    waits : dict
        Item, such as a notebook -> those that it waits for, which come before it.
    seconds : dict
        Item -> how long it will take, where that is known.
    """

    def __init__(self, waits: Mapping[Item, Set[Item]], seconds: Mapping[Item, float] | None = None):
        self.waits = waits
        way: dict[Item, float] = {}  # to the end of the run
        for item in reversed(waits):
            after = [way[other] for other in way if item in waits[other]]
            way[item] = (seconds or {}).get(item, 0.0) + max(after, default=0.0)
        self.left = sorted(waits, key=lambda item: -way[item])
        self.at_work: set[Item] = set()
        self.changed = threading.Condition()

    def work(self, do: Callable[[Item], None]) -> list[Item]:
        """Call a function of one item after another until none is left; return them. Several threads may do so at once.

        Where it fails, the other threads take up nothing more.
        """
        done = []
        try:
            while (item := self._take()) is not None:
                do(item)
                done.append(item)
                with self.changed:
                    self.at_work.remove(item)
                    self.changed.notify_all()
        except BaseException:
            with self.changed:
                self.left.clear()
                self.changed.notify_all()
            raise
        return done

    def _take(self) -> Item | None:
        with self.changed:
            while self.left:
                for item in self.left:
                    if not self.waits[item] & {*self.left, *self.at_work}:
                        self.left.remove(item)
                        self.at_work.add(item)
                        return item
                self.changed.wait()
            return None
