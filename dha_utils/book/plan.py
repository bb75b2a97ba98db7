"""What is run on one data set: its notebooks in order, what each is told, and which of them are out of date."""

import fcntl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dha_utils.book.closing import closing_words
from dha_utils.book.fingerprint import fingerprint_inputs
from dha_utils.book.forecast import declared, look_ahead
from dha_utils.book.given import given, in_words, is_own
from dha_utils.book.lines import Lines
from dha_utils.book.order import reads, subject, waits
from dha_utils.book.parameters import without
from dha_utils.book.records import is_fresh, namesake, parameters_of, record_of, run_one
from dha_utils.core.announcements import duration
from dha_utils.core.errors import DhaError
from dha_utils.core.hashing import hash_json
from dha_utils.core.paths import out_dir, require_writable
from dha_utils.datasets.clips import Clips
from dha_utils.networks.registry import load_network, weights_sha256


class Plan:
    """The notebooks of a data set that are to be run; says which pages it lacks, and how long own sounds will take.

    Parameters
    ----------
    parameters : dict
        Parameter name -> value, ``dataset`` among them.
    executed : Path
        Folder of its executed notebooks.
    lines : Lines
        What it is said by.
    clips : Clips, optional
        Where it starts from audio.
    chosen : sequence of Path
        Notebooks to be run; the first is run as well if it is out of date.
    takes : dict of Path to dict
        The parameters of all notebooks there are, in order.
    force : bool
        Run also what is up to date.
    thorough : bool
        As of `dha_utils.book.given.given`.
    side_by_side : int
        How many of one's own sounds may be run at a time.

    Attributes
    ----------
    waits : dict of Path to set of Path
        Chosen notebook -> those that it waits for, see `dha_utils.book.order.waits`.
    expected : dict of Path to float
        Notebook of one's own sounds -> seconds.
    """

    def __init__(
        self, parameters: dict, executed: Path, lines: Lines, *, clips: Clips | None, chosen: Sequence[Path],
        takes: Mapping[Path, dict], force: bool, thorough: bool, side_by_side: int,
    ):  # fmt: skip
        self.executed, self.lines, self.force = executed, lines, force
        self.dataset = dataset = parameters["dataset"]
        network = parameters.get("network")
        absent = [source.stem for source in takes if source.stem in without(dataset, network)]
        sources = [source for source in takes if source.stem not in absent]
        chosen = [source for source in chosen if source in sources]
        if absent:
            why = "they ask of SoundNet itself" if network else f"not evaluated on {dataset}"
            lines.say(f"no pages {', '.join(absent)} ({why})")
        self.results = Path(parameters.get("results") or out_dir() / "results").resolve()
        require_writable(self.results / executed.name)
        self.first = first = sources[0]
        if not force and (other := namesake(executed / first.name, dataset)):
            raise DhaError(
                f"{executed} holds the pages of {other}, which has the name of {dataset}; rename one of the two, or replace the "
                "pages with --force"
            )
        if first not in chosen:
            # What the first one was told holds for those that start from what it left.
            parameters = parameters_of(executed / first.name, parameters) | parameters
        self.inputs = fingerprint_inputs(parameters)
        if network:
            self.inputs = hash_json([self.inputs, weights_sha256(load_network(network))])
        self.told = {
            source: {
                name: value
                for name, value in {
                    **given(dataset, subject(source), thorough, network),
                    **parameters,
                }.items()
                if name in names
            }
            for source, names in takes.items()
        }
        self.read = reads(sources)
        if first not in chosen and not self.is_fresh(first):
            lines.say(f"{first.stem} is out of date and is run as well: the others start from it")
            chosen = [first, *chosen]
        self.chosen, self.due = chosen, []
        for source in chosen:
            if force or {first, *self.read[source]} & {*self.due} or not self.is_fresh(source):
                self.due.append(source)
        self.waits = waits(chosen, self.read)
        self.ahead, self.expected = None, {}
        # Whether all is computed, from the audio of one's own sounds.
        self.is_own = clips is not None and is_own(dataset, network)
        if self.is_own and self.due:
            lines.say(f"{executed.name} is given {in_words(parameters, thorough)}")
            self.ahead = look_ahead(
                {source.stem: declared(takes[source]) | self.told[source] for source in self.due},
                clips,
                side_by_side=side_by_side if len(self.due) > side_by_side else 1,
            )
            self.expected = {source: self.ahead.expected[source.stem] for source in self.due}
            few = f"{len(self.due)} notebook{'s' * (len(self.due) != 1)}"
            lines.say(f"{few} on {len(clips)} clips: about {duration(self.ahead.left())}")

    def fingerprint(self, source: Path) -> str:
        """Return the fingerprint of all that a notebook depends on."""
        # Who does the work never changes a result, so it is no reason to run again.
        decisive = {
            name: value for name, value in self.told[source].items() if name not in ("workers", "scheduler")
        }
        earlier = [] if source == self.first else [self.first, *self.read[source]]
        wrote = [record_of(self.executed / other.name) for other in dict.fromkeys(earlier)]
        return hash_json([self.inputs, source.read_text("utf-8"), decisive, str(self.results), *wrote])

    def is_fresh(self, source: Path) -> bool:
        """Return whether a notebook was run on what there is now, and its results are there."""
        return is_fresh(record_of(self.executed / source.name), self.fingerprint(source), self.results)

    def run(self, source: Path, lines: Lines, beside: bool = False) -> None:
        """Run one notebook, perhaps beside others, unless it is up to date."""
        lines.begin(f"{source.stem:<{max(len(other.stem) for other in self.chosen)}}")
        if not self.force and self.is_fresh(source):
            lines.end("unchanged")
            return
        start, fingerprint = time.perf_counter(), self.fingerprint(source)
        run_one(
            source, self.executed / source.name, self.told[source], fingerprint, self.results, lines, beside
        )
        took = time.perf_counter() - start
        left = f", about {duration(self.ahead.ended(source.stem, took))} left" if self.ahead else ""
        lines.end(f"{took:.1f} s{left}")

    def end(self) -> list[Path]:
        """Say what own sounds came to, and return the executed notebooks, in order."""
        outcomes = [source for source in self.chosen if subject(source) == "outcomes"]
        if self.is_own and outcomes:
            page = self.executed / outcomes[0].name
            self.lines.say(closing_words(self.results / self.executed.name, page, self.dataset))
        return [self.executed / source.name for source in self.chosen]


@contextmanager
def alone(executed: Path) -> Iterator[None]:
    """Hold the folder of executed notebooks: two runs at once would write over one another's results."""
    require_writable(executed)
    with (executed / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DhaError(f"another run is at work in {executed}; wait until it has ended") from error
        yield
