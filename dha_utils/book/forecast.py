"""How long notebooks will take on sounds of which nothing is bundled: said once at the start of a run, and corrected as they end.

Conventions: times are wall-clock, in seconds, on this machine as busy as it is. Three are measured: the
imports of a notebook, a clip on its way from the file to pooled responses, and a fold of the ensemble. How often a notebook needs
each is counted from its parameters.
"""

import ast
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import joblib
import numpy as np

from dha_utils.core.hardware import one_core
from dha_utils.core.work import in_order, workers
from dha_utils.criteria.selection import find_criterion, n_to_keep
from dha_utils.datasets import default_duration
from dha_utils.datasets.clips import Clips
from dha_utils.evaluation.ensemble import Layer, evaluate_fold
from dha_utils.networks.registry import DEFAULT, load_network
from dha_utils.paper import KEEP
from dha_utils.responses.pooling import pool_maps
from dha_utils.studies import trials
from dha_utils.studies.sweeps import Cell, named_criteria

SAMPLE = 16
"""Clips that are timed on their way through the network."""

DECODED = 1.2
"""A clip with its decoding, by one that is a waveform already."""


PRIOR = 0.1
"""What the forecast weighs beside the times that are known, as a share of the run."""


class Machine(NamedTuple):
    """Seconds that things take: a notebook's imports, a clip (decoded, through the network, pooled), a fold of the ensemble."""

    imports: float
    clip: float
    fold: float


class Sounds(NamedTuple):
    """How many clips, classes, and folds that are tested."""

    clips: int
    classes: int
    folds: int


def sounds_of(clips: Clips) -> Sounds:
    """Return how many they are."""
    return Sounds(len(clips), clips.table["label"].nunique(), len(clips.test_folds))


def measure(sounds: Sounds, told: Mapping[str, object], side_by_side: int = 1) -> Machine:
    """Return what things take on this machine, as busy as it is; that takes some seconds.

    Noise is measured instead of the sounds: they take as long, and may be such as cannot be used.

    Parameters
    ----------
    sounds : Sounds
    told : dict
        Parameters: the data set, seconds of a clip, the classifier, and the number of workers.
    side_by_side : int
        How many notebooks share the cores.
    """
    cores = told.get("workers") or max(1, joblib.cpu_count() // side_by_side)
    with timed() as importing:
        subprocess.run([sys.executable, "-c", "import dha_utils.book.study"], check=True)
    rng = np.random.default_rng(0)
    network = load_network(told.get("network") or DEFAULT)
    n_samples = round(network.rate * (told.get("duration") or default_duration(told["dataset"])))
    noise = rng.normal(0, 0.1, (SAMPLE, 1, n_samples)).astype(np.float32)
    taps = network.fast()

    def respond(waveforms: np.ndarray) -> dict[str, np.ndarray]:
        with one_core():
            return pool_maps(taps, waveforms)

    with workers(n=cores):
        maps = {tap: x.shape[1] for tap, x in respond(noise[0]).items()}  # and warms up
        with timed() as responding:
            in_order(respond, noise)
    layers = [Layer(tap, n, *network.kernels.get(tap, ())) for tap, n in maps.items()]
    keep = np.concatenate([np.arange(n) < n_to_keep(KEEP, n) for n in maps.values()])
    rows = np.arange(sounds.clips)
    tested = rows // sounds.classes % max(2, sounds.folds) == 0
    x = rng.normal(size=(sounds.clips, len(keep))).astype(np.float32)
    with timed() as fold:
        evaluate_fold(x, rows % sounds.classes, tested, layers, keep, [told.get("classifier", "converging")])
    return Machine(importing(), DECODED * responding() / SAMPLE, fold() / min(cores, sounds.folds))


def declared(parameters: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Return the values in a notebook's parameters cell, from what `papermill.inspect_notebook` says of it."""
    return {name: ast.literal_eval(parameter["default"]) for name, parameter in parameters.items()}


def look_ahead(
    notebooks: Mapping[str, Mapping[str, object]], clips: Clips, side_by_side: int = 1
) -> "Forecast":
    """Return the forecast of a run.

    Parameters
    ----------
    notebooks : dict
        Name of a notebook that is to be run -> its parameters.
    clips : Clips
    side_by_side : int
        How many are run at a time.
    """
    told = {name: value for parameters in notebooks.values() for name, value in parameters.items()}
    sounds = sounds_of(clips)
    machine = measure(sounds, told, side_by_side)
    expected = {name: seconds(name, own, sounds, machine) for name, own in notebooks.items()}
    return Forecast(expected, side_by_side)


def grid_seconds(cells: Sequence[Cell], clips: Clips, told: Mapping[str, object]) -> float:
    """Return how long cells will take on clips of which nothing is kept; `told` as in `measure`."""
    sounds = sounds_of(clips)
    scored = any(find_criterion(cell.criterion).needs != "responses" for cell in cells)
    passes = 1.6 + scored * scored_passes(sounds)
    return seconds_of(Work(0, passes, len(cells)), sounds, measure(sounds, told))


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Yield a function that returns how long the block took, in seconds, once it has ended."""
    begun, took = time.perf_counter(), []
    yield lambda: took[0]
    took.append(time.perf_counter() - begun)


class Work(NamedTuple):
    """What a notebook asks of a machine beside its start.

    Attributes
    ----------
    own : float
        What it does by itself, such as statistics and figures, in imports.
    passes : float
        Of all clips through the network.
    cells : float
        Evaluations of the ensemble, in all folds, on a few of the maps.
    """

    own: float = 0.0
    passes: float = 0.0
    cells: float = 0.0


START = 0.05
"""The start of a kernel, in imports: it is forked from a process that has imported."""

ALL_MAPS = 1.4
"""An evaluation with all maps, in cells."""

REMOVED = 0.8
"""A pass through a smaller network, whose clips need no decoding, by that through the full one and the computation left to it."""

COMPENSATED = 0.13
"""A network made smaller, in imports: what it is fitted on are as many positions whatever the number of clips."""

FULL_MAPS = 5.5
"""Scores of full maps of a clip, in passes."""


def scored_passes(sounds: Sounds) -> float:
    """Return how many passes scores of full maps are worth, which are of ten clips per class in every fold, and once of slips."""
    return FULL_MAPS * min(10 * sounds.classes / sounds.clips, 1) * (sounds.folds + 1)


def _criteria(told: Mapping, sounds: Sounds) -> Work:
    return Work(0.5, scored_passes(sounds), len(named_criteria()) * (1 + ALL_MAPS))


def _curves(told: Mapping, sounds: Sounds) -> Work:
    new = {*told["fractions"]} - {KEEP}  # at the paper's fraction earlier notebooks have kept them
    at = new & {*(told["criteria_at"] or new)}
    drawn = 1 + told["seeds"] + len(told["others"]) * (1 + (told["other_seeds"] or told["seeds"]))
    return Work(1, 0, len(named_criteria()) * len(at) + drawn * len(new) + 6 * len(told["fractions"]))


def _networks(asked: list, sounds: Sounds, own: float) -> Work:
    """Return the work of smaller networks: each of its size runs over all clips, in every fold."""
    sizes = [0.8 if "-" in trial.size else float(trial.size) for trial in asked]
    made = COMPENSATED * sounds.folds * len(asked)
    return Work(own + made, sounds.folds * sum(REMOVED * size for size in sizes), len(asked))


def _compensation(told: Mapping, sounds: Sounds) -> Work:
    seeds = told["seeds"]
    asked = [*(trial for _, trial in trials.CLAIM.values()), *trials.paper_trials()]
    asked += trials.compensation_trials(seeds) + trials.widths_trials(seeds) + trials.tuned_trials(5)
    asked = list(dict.fromkeys(trials.claimed(asked) if told["only_claims"] else asked))
    return _networks(asked, sounds, own=4.5)


def _frontier(told: Mapping, sounds: Sounds) -> Work:
    asked = trials.frontier_trials(told["seeds"], told["budgets"])
    done = trials.claimed(asked)  # for the notebook on compensation
    return _networks([trial for trial in asked if trial not in done], sounds, own=3)


WORK: Mapping[str, Callable[[Mapping, Sounds], Work]] = {
    "responses": lambda told, sounds: Work(0.8, 1.6 * len(told["rates"])),
    "ensemble": lambda told, sounds: Work(
        0.4,
        0,
        (len(told["rates"]) + sounds.folds) * ALL_MAPS + (3 + told["seeds"]) * (1 + len(told["others"])),
    ),
    "criteria": _criteria,
    "controls": lambda told, sounds: Work(1.5, 0, 2 + max(2, told["seeds"] // 5)),
    "curves": _curves,
    "redundancy": lambda told, sounds: Work(0.3),
    "tests": lambda told, sounds: Work(1.2),
    "recordings": lambda told, sounds: Work(1),
    "maps": lambda told, sounds: Work(0.6),
    "dimension": lambda told, sounds: Work(1, 0, told["seeds"]),
    "silence": lambda told, sounds: Work(0.4, 1.2, 24),
    "computation": lambda told, sounds: Work(0.4),
    "compensation": _compensation,
    "frontier": _frontier,
    "sensitivity": lambda told, sounds: Work(0.2, 1.2, 2 * 3 * 1.4 * (3 + told["seeds"])),
    "outcomes": lambda told, sounds: Work(0.2),
    "released": lambda told, sounds: Work(0.1, 0, 8 * (1 + len(told["others"])) + 6 * ALL_MAPS),
}
"""Subject of a notebook -> its parameters and the sounds -> its work; others only start."""


def seconds(notebook: str, told: Mapping[str, object], sounds: Sounds, machine: Machine) -> float:
    """Return how long a notebook will take.

    Parameters
    ----------
    notebook : str
        Its name, such as ``05_curves``.
    told : dict
        All parameters that it takes.
    sounds : Sounds
    machine : Machine

    Examples
    --------
    >>> seconds("17_outcomes", {}, Sounds(48, 4, 5), Machine(imports=4.0, clip=0.05, fold=0.1))
    1.0
    """
    work = WORK.get(notebook.partition("_")[2], lambda *_: Work())(told, sounds)
    return START * machine.imports + seconds_of(work, sounds, machine)


def seconds_of(work: Work, sounds: Sounds, machine: Machine) -> float:
    """Return how long work takes."""
    passes, cells = work.passes * sounds.clips, work.cells * sounds.folds
    return machine.imports * work.own + machine.clip * passes + machine.fold * cells


class Forecast:
    """What is left of a run.

    Parameters
    ----------
    expected : dict of str to float
        Notebook -> seconds, those that are to be run.
    side_by_side : int
        How many are run at a time.

    Examples
    --------
    >>> forecast = Forecast({"01_responses": 20.0, "06_redundancy": 80.0})
    >>> forecast.left(), forecast.ended("01_responses", 50.0)
    (100.0, 160.0)
    """

    def __init__(self, expected: Mapping[str, float], side_by_side: int = 1):
        self.expected, self.side_by_side = dict(expected), side_by_side
        self.took: dict[str, float] = {}

    def left(self) -> float:
        """Return how many seconds the other notebooks take, at the pace of those that have ended.

        That counts for more the more have: the forecast weighs as much as `PRIOR` of the whole run.
        """
        whole, ended = sum(self.expected.values()), sum(self.expected[name] for name in self.took)
        pace = (sum(self.took.values()) + PRIOR * whole) / (ended + PRIOR * whole)
        return pace * (whole - ended) / self.side_by_side

    def ended(self, notebook: str, took: float) -> float:
        """Take down how long a notebook took, and return what is left."""
        self.took[notebook] = took
        return self.left()
