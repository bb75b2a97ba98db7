"""The notebooks in order through papermill, each kept only if every cell of it completed.

A failed or half-run notebook renders without any warning, so this module is the gate: a notebook is executed
in ``book/executed/DATASET/.failed/`` and moves one folder up once it has proved complete. With it go a
fingerprint of all it depends on and the hashes of the results it wrote; while both hold, it is not run again.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import papermill

from dha_utils.book.closing import closing_words
from dha_utils.book.fingerprint import fingerprint_inputs
from dha_utils.book.forecast import declared, look_ahead
from dha_utils.book.forked import forked_kernels
from dha_utils.book.given import given, in_words, is_own
from dha_utils.book.kernels import as_written, at_once
from dha_utils.book.lines import Lines, WholeLines
from dha_utils.book.order import Agenda, reads, subject
from dha_utils.book.parameters import check_value, in_book, without
from dha_utils.book.records import is_fresh, parameters_of, record_of, run_one
from dha_utils.core.announcements import duration
from dha_utils.core.errors import DhaError, ParameterError, choose
from dha_utils.core.hashing import hash_json
from dha_utils.core.paths import out_dir, repository, require_writable
from dha_utils.datasets.clips import Clips, check_folds
from dha_utils.datasets.given import clips_at_hand, name_of
from dha_utils.networks.registry import is_code, load_network, weights_sha256

# papermill logs what the errors below say; without a handler Python would print it on stderr as well.
logging.getLogger("papermill").addHandler(logging.NullHandler())


def run_notebooks(
    parameters: dict,
    *,
    datasets: Sequence[str] = (),
    only: Sequence[str] = (),
    force: bool = False,
    thorough: bool = False,
    executed: Path | None = None,
) -> list[Path]:
    """Run ``notebooks/NN_*.ipynb`` in order, those that are out of date, and print one line for each.

    Parameters
    ----------
    parameters : dict
        Parameter name -> value; each notebook gets those that it declares in its parameters cell.
    datasets : sequence of str
        Those to run the notebooks on, where `parameters` name none; by default those of the book. All are worked on at once where
        they start from what is bundled.
    only : sequence of str
        Numbers ("02") or names ("02_ensemble") of the notebooks to run; empty: all. The first one, from which all others
        start, is run as well if it is out of date.
    force : bool
        Run also what is up to date.
    thorough : bool
        Give sounds of one's own what the notebooks declare, which takes hours, not minutes (`dha_utils.book.given`).
    executed : Path, optional
        Folder with one folder of executed notebooks per data set; default ``book/executed``, see `dha_utils.core.paths.out_dir`.

    Returns
    -------
    list of Path
        The executed notebooks, in order, data set by data set.

    Raises
    ------
    ParameterError
        If no notebook to be run takes a parameter, or a value is wrong; nothing has run then.
    DataError
        If the sounds cannot be used, as far as a look at their names tells; nothing has run then.
    DhaError
        If a notebook fails. It stays in ``executed/DATASET/.failed`` and the ones after it are not run.
    """
    folder = repository() / "notebooks"
    sources = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not sources:
        raise DhaError(f"no notebooks NN_*.ipynb in {folder}: install from a clone with `pip install -e .`")
    chosen = _choose(sources, only)
    takes = {source: papermill.inspect_notebook(as_written(source)) for source in sources}
    for name, value in parameters.items():
        if name != "network":  # which the first notebook takes, and hands on with its responses
            _check_taken(name, chosen, takes)
        check_value(name, value)
    executed = executed or out_dir() / "book" / "executed"
    if parameters.get("network"):
        parameters, executed = _with_network(parameters, executed)
    datasets = [parameters["dataset"]] if "dataset" in parameters else datasets or in_book()
    clips = {name: _check_clips(name, parameters) for name in datasets if "dataset" in takes[sources[0]]}
    how = {"chosen": chosen, "takes": takes, "force": force, "thorough": thorough}
    runs = [
        partial(
            _run_dataset,
            {**parameters, "dataset": dataset},
            executed / name_of(dataset),
            clips=clips.get(dataset),
            **how,
        )
        for dataset in datasets
    ]
    if len(runs) == 1:
        with Lines.bars(), forked_kernels():
            return runs[0](Lines())
    labels = [f"{name:<{max(map(len, datasets))}}  " for name in datasets]
    if one_by_one(parameters) or any(clips.values()):
        with forked_kernels():
            paths = [run(Lines(label)) for run, label in zip(runs, labels, strict=True)]
    else:
        paths = at_once([partial(run, WholeLines(label)) for run, label in zip(runs, labels, strict=True)])
    return [path for part in paths for path in part]


def _with_network(parameters: dict, executed: Path) -> tuple[dict, Path]:
    """Return parameters, and the folder of executed notebooks, for a network of one's own: apart from SoundNet's results."""
    network = load_network(parameters["network"])
    if network.rate is None:
        raise ParameterError(
            f"network {network.name} takes arrays, not sounds: give Network.wrap a rate, or use dha.responses_of"
        )
    own = Path(
        "networks", Path(network.name.rpartition(":")[0]).stem if is_code(network.name) else network.name
    )
    usual = {"rate": network.rate, "rates": [network.rate], "results": str(out_dir() / "results" / own)}
    return {**usual, **parameters, "network": network.name}, executed / own


def _check_clips(dataset: str, parameters: dict) -> Clips | None:
    """Return the clips if there is audio; raise where it cannot be used."""
    clips = clips_at_hand(dataset, parameters.get("root"), allow_missing=parameters.get("skip_bad", False))
    if clips is not None:
        check_folds(clips.table["label"], clips.folds)
    return clips


def _run_dataset(
    parameters: dict,
    executed: Path,
    lines: Lines,
    *,
    clips: Clips | None,
    chosen: list[Path],
    takes: dict[Path, dict],
    force: bool,
    thorough: bool,
) -> list[Path]:
    """Run the chosen notebooks on one data set; `takes` are the parameters of all there are, in order."""
    dataset, network = parameters["dataset"], parameters.get("network")
    absent = [source.stem for source in takes if source.stem in without(dataset, network)]
    sources = [source for source in takes if source.stem not in absent]
    chosen = [source for source in chosen if source in sources]
    if absent:
        why = ", which ask of SoundNet itself" if network else ""
        lines.say(f"{dataset} is without {', '.join(absent)}{why}")
    results = Path(parameters.get("results") or out_dir() / "results").resolve()
    with _alone(executed):
        require_writable(results / executed.name)
        first = sources[0]
        if first not in chosen:
            # What the first one was told holds for those that start from what it left.
            parameters = parameters_of(executed / first.name, parameters) | parameters
        inputs = fingerprint_inputs(parameters)
        if network:
            inputs = hash_json([inputs, weights_sha256(load_network(network))])
        told = {
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

        read = reads(sources)

        def fingerprint(source: Path) -> str:
            # Who does the work never changes a result, so it is no reason to run again.
            decisive = {
                name: value for name, value in told[source].items() if name not in ("workers", "scheduler")
            }
            earlier = [] if source == first else [first, *read[source]]
            wrote = [record_of(executed / other.name) for other in dict.fromkeys(earlier)]
            return hash_json([inputs, source.read_text("utf-8"), decisive, str(results), *wrote])

        def fresh(source: Path) -> bool:
            return is_fresh(record_of(executed / source.name), fingerprint(source), results)

        if first not in chosen and not fresh(first):
            lines.say(f"{first.stem} is out of date and is run as well: the others start from it")
            chosen = [first, *chosen]
        due: list[Path] = []
        for source in chosen:
            if force or {first, *read[source]} & {*due} or not fresh(source):
                due.append(source)
        ahead, beside = None, False
        if clips is not None and is_own(dataset, network) and due:
            beside = len(due) > 2 and not one_by_one(parameters)
            lines.say(f"{executed.name} is given {in_words(parameters, thorough)}")
            ahead = look_ahead(
                {source.stem: declared(takes[source]) | told[source] for source in due},
                clips,
                side_by_side=2 if beside else 1,
            )
            lines.say(f"{len(due)} notebooks on {len(clips)} clips: about {duration(ahead.left())}")
        width = max(len(source.stem) for source in chosen)

        def run(lines: Lines, source: Path, beside: bool = False) -> None:
            lines.begin(f"{source.stem:<{width}}")
            if not force and fresh(source):
                lines.end("unchanged")
                return
            start = time.perf_counter()
            run_one(source, executed / source.name, told[source], fingerprint(source), results, lines, beside)
            took = time.perf_counter() - start
            left = f", about {duration(ahead.ended(source.stem, took))} left" if ahead else ""
            lines.end(f"{took:.1f} s{left}")

        if beside:
            alone = [source for source in chosen if source == first]
            for source in alone:  # all others start from it
                run(lines, source)
            agenda = Agenda([s for s in chosen if s not in alone], read, ahead.expected)
            printed = [WholeLines(lines.label) for _ in range(2)]
            at_once([partial(agenda.work, partial(run, of, beside=True)) for of in printed])
        else:
            for source in chosen:
                run(lines, source)
    if ahead and (outcomes := [source for source in due if subject(source) == "outcomes"]):
        lines.say(closing_words(results / executed.name, executed / outcomes[0].name))
    return [executed / source.name for source in chosen]


def one_by_one(parameters: Mapping) -> bool:
    """Return whether notebooks are not run side by side: there is one core, or it was said who does the work."""
    return len(os.sched_getaffinity(0)) < 2 or bool({"workers", "scheduler"} & parameters.keys())


@contextmanager
def _alone(executed: Path) -> Iterator[None]:
    """Hold the folder of executed notebooks: two runs at once would write over one another's results."""
    require_writable(executed)
    with (executed / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DhaError(f"another run is at work in {executed}; wait until it has ended") from error
        yield


def _choose(sources: list[Path], only: Sequence[str]) -> list[Path]:
    chosen = set()
    for wanted in only:
        found = [source for source in sources if wanted == source.stem or wanted.zfill(2) == source.stem[:2]]
        if not found:
            raise DhaError(f"no notebook {wanted!r}; there are: {', '.join(path.stem for path in sources)}")
        chosen.update(found)
    return [source for source in sources if source in chosen or not only]


def _check_taken(name: str, chosen: list[Path], takes: dict[Path, dict]) -> None:
    """Raise unless one of the chosen notebooks takes a parameter."""
    choose("parameter", name, dict.fromkeys(known for names in takes.values() for known in names))
    if not any(name in takes[source] for source in chosen):
        these = ", ".join(source.stem for source in chosen)
        takers = ", ".join(source.stem for source, names in takes.items() if name in names)
        raise ParameterError(f"parameter {name} is not taken by {these}; taken by {takers}")
