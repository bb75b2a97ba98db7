"""What a notebook begins with: its parameters, checked, and one data set with its responses, sweeps and results.

Every member of `Study` is one call into the package; what takes time is made when it is first asked for, and kept.
"""

import ast
import atexit
import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure

from dha_utils.book.parameters import check_parameters, without
from dha_utils.book.prose import say
from dha_utils.core.paths import repository
from dha_utils.core.work import workers
from dha_utils.criteria.selection import find_criterion
from dha_utils.evaluation.crossvalidation import (
    CrossValidation,
    Selector,
    best_taps,
)
from dha_utils.figures.style import set_style
from dha_utils.findings.accuracy import results_table
from dha_utils.findings.random_maps import random_table, random_tables
from dha_utils.networks.base import Network
from dha_utils.networks.registry import network_behind, outline
from dha_utils.paper import KEEP
from dha_utils.pruning.compressor import Trial
from dha_utils.responses.table import Responses
from dha_utils.studies.inputs import Inputs, load_inputs, start_from
from dha_utils.studies.nested import load_inner
from dha_utils.studies.results import Results
from dha_utils.studies.ridge import load_ridge_errors
from dha_utils.studies.runs import kept_runs
from dha_utils.studies.scores import FoldScores, load_fold_scores
from dha_utils.studies.specifications import load_specifications
from dha_utils.studies.sweeps import Cell, cells, named_criteria, sweep
from dha_utils.studies.trials import (
    CompressionStudy,
    bundled_trials,
    claimed,
    has_audio,
    load_study,
    run_trials,
)

_BEGUN = ExitStack()
"""Who does the work of the notebook, until it ends."""

atexit.register(_BEGUN.close)


def begin(name: str, namespace: MutableMapping[str, object]) -> "Study":
    """Check a notebook's parameters, put the checked values back, and return its study.

    Says in one line where the numbers come from. Until the notebook ends its work is done by the workers that its parameters name
    (`dha_utils.workers`). From here on, cells that start with ``%%say`` show their text with the
    numbers that it refers to.

    Parameters
    ----------
    name : str
        Name of the notebook, such as ``05_curves``.
    namespace : dict
        The notebook's ``globals()``.

    Raises
    ------
    ParameterError
        If a parameter is unknown, missing or wrong.
    """
    declared = declared_parameters(repository() / "notebooks" / f"{name}.ipynb")
    given = vars(check_parameters(namespace, declared))
    namespace |= given
    set_style()
    _BEGUN.close()  # where the cell is run again
    _BEGUN.enter_context(workers(given.pop("scheduler", None), given.pop("workers", None)))
    study = Study(name.partition("_")[2], **given)
    if shell := get_ipython():
        shell.register_magic_function(study.say, "cell", "say")
    print(study.inputs.source if {"rate", "rates"} & given.keys() else study.read("responses")["source"])
    return study


def declared_parameters(notebook: Path) -> list[str]:
    """Return the names that the cell tagged ``parameters`` of a notebook sets."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    tagged = (cell for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return [node.targets[0].id for cell in tagged for node in ast.parse("".join(cell["source"])).body]


class Study:
    """A data set as the notebooks look at it.

    Parameters
    ----------
    name : str
        What the results file of the notebook is called.
    dataset, root, rate, results, full, classifier
        As in `dha_utils.book.parameters`; those that a notebook does not take have their usual values.
    **others
        Parameters that concern the notebook alone.
    """

    def __init__(
        self,
        name: str,
        *,
        dataset: str,
        root: str | None = None,
        rate: int | None = None,
        results: str | None = None,
        full: bool = False,
        classifier: str | None = None,
        **others: object,
    ):
        self.name, self.dataset, self.root, self.anew = name, dataset, root, full
        self.rate = rate or next(iter(others.get("rates", ())), outline().rate)
        self.results, self.classifier = Results(dataset, results), classifier or "converging"
        named = {"rate": rate, "classifier": classifier}
        # A notebook that takes no classifier reads what was made with any.
        self.given = (
            {"dataset": dataset} | others | {name: it for name, it in named.items() if it is not None}
        )
        self.others = others

    @cached_property
    def inputs(self) -> Inputs:
        """All that is taken from audio, made by the first notebook and found by the others."""
        if "duration" not in self.others:
            rates = sorted({self.rate, *self.others.get("rates", ())})
            return start_from(self.dataset, rates, self.root, self.results.folder)
        inputs = load_inputs(
            self.dataset,
            root=self.root,
            folder=self.results.folder,
            **self.others,
        )
        inputs.save(self.results.folder)
        return inputs

    @property
    def responses(self) -> Responses:
        """Pooled responses at the rate of the notebook."""
        return self.inputs.responses[self.rate]

    @cached_property
    def _scores(self) -> tuple[FoldScores, list[dict], str]:
        found = load_fold_scores(self.responses, **self.place)
        print(found[2])
        return found

    @property
    def place(self) -> dict[str, object]:
        """Where what belongs to the responses is kept, and the audio to make it from."""
        return {"folder": self.results.folder, "dataset": self.dataset, "root": self.root}

    @property
    def scores(self) -> FoldScores:
        """Scores of the criteria that need full maps or weights."""
        return self._scores[0]

    @property
    def slips(self) -> list[dict]:
        """Effects of the slips of the released code (`dha_utils.studies.scores.slip_effects`)."""
        return self._scores[1]

    @cached_property
    def whole(self) -> CrossValidation:
        """The ensemble with all maps."""
        return self.cross_validate()

    @property
    def recordings(self) -> np.ndarray:
        """The recording of every clip that is tested, shape (clips,)."""
        return self.responses.tested().recordings

    def cross_validate(self, select: Selector | None = None, *, rate: int | None = None) -> CrossValidation:
        """Return a run of the ensemble, at another rate (Hz) if that is given."""
        return self._runs({"": select}, self.inputs.responses[rate or self.rate])[""]

    def cross_validate_many(self, selectors: Mapping[str, Selector | None]) -> dict[str, CrossValidation]:
        """Return a run of the ensemble for every way to select maps."""
        return self._runs(selectors, self.responses)

    def best_taps(self) -> dict[int, str]:
        """Return for every test fold the tap that is most accurate on the others."""
        return best_taps(self.responses, run=lambda part: self._runs({"": None}, part)[""])

    def _runs(
        self, selectors: Mapping[str, Selector | None], responses: Responses
    ) -> dict[str, CrossValidation]:
        return kept_runs(responses, selectors, self.classifier, self.results.folder)

    def cells(self, criteria: str | Iterable[str], keep: float | Iterable[float], **options) -> list[Cell]:
        """Return cells with the classifier of the notebook; arguments as in `dha_utils.cells`."""
        return cells(criteria, keep, **{"classifier": self.classifier} | options)

    def sweep(self, cells: Iterable[Cell]) -> list[dict]:
        """Evaluate cells, those that are not kept; one record each."""
        wanted = list(cells)
        computed = all(find_criterion(cell.criterion).needs == "responses" for cell in wanted)
        return sweep(
            self.responses,
            wanted,
            fold_scores=None if computed else self.scores,
            full=self.anew,
            store=self.results.folder,
        )

    def sweep_each(
        self,
        classifiers: Iterable[str],
        criteria: str | Iterable[str],
        keep: float | Iterable[float],
        **options,
    ) -> dict[str, list[dict]]:
        """Return the records of the same cells for each classifier; other arguments as in `dha_utils.cells`."""
        return self._sweep_all(
            {c: self.cells(criteria, keep, **{**options, "classifier": c}) for c in classifiers}
        )

    def _sweep_all(self, cells: Mapping[str, Sequence[Cell]]) -> dict[str, list[dict]]:
        records = iter(self.sweep(cell for own in cells.values() for cell in own))
        return {name: [next(records) for _ in own] for name, own in cells.items()}

    def each_against_random(
        self,
        classifiers: Iterable[str],
        keep: float | Iterable[float],
        seeds: int,
        other_seeds: int | None = None,
    ) -> pd.DataFrame:
        """Return `against_random` of ANOVA's maps for each classifier, in a table; `seeds` random selections per fraction.

        Of classifiers other than the notebook's, `other_seeds`, where that is given and the fraction is not the paper's.
        """
        names = list(classifiers)
        selected = self.sweep_each(names, "anova", keep)
        fractions = keep if isinstance(keep, Iterable) else [keep]

        def draws(name: str, fraction: float) -> int:
            return seeds if name == self.classifier or fraction == KEEP else other_seeds or seeds

        cells = {
            name: [
                c for f in fractions for c in self.cells("random", f, seeds=draws(name, f), classifier=name)
            ]
            for name in names
        }
        drawn = self._sweep_all(cells)
        return random_tables(selected, drawn, self.recordings)

    def table(self, records: list[dict]) -> pd.DataFrame:
        """Return records of sweeps or of trials beside the ensemble with all maps, one row each."""
        return results_table(records, self.whole)

    def against_random(self, records: list[dict], fusion: str = "all", **options) -> pd.DataFrame:
        """Return what a criterion is worth against random maps (`dha_utils.findings.random_maps.random_table`)."""
        return random_table(records, self.recordings, fusion, **options)

    @property
    def network(self) -> Network:
        """What there is to know of the network behind the responses."""
        return network_behind(self.responses.provenance)

    @property
    def criteria(self) -> list[str]:
        """The criteria that cells can have, but for random maps, and that there is something to compute from."""
        scored = {name for name, _ in self.scores.scores}
        return [
            name for name in named_criteria() if find_criterion(name).needs == "responses" or name in scored
        ]

    @property
    def without(self) -> Sequence[str]:
        """The notebooks that are not run on the data set."""
        return without(self.dataset, self.own_network)

    @cached_property
    def own_network(self) -> str | None:
        """The network of one's own behind the responses; None where it is SoundNet."""
        if "network" in self.others:
            return self.others["network"]
        first = self.results.folder / "responses.json"  # where it is not there, the bundled ones stand for it
        return json.loads(first.read_text("utf-8")).get("network") if first.is_file() else None

    @property
    def asked(self) -> tuple[str, Sequence[str], str | None]:
        """Of what there are outcomes: the data set, notebooks that are not run on it, and a network of one's own."""
        return self.dataset, self.without, self.own_network

    @cached_property
    def compression(self) -> CompressionStudy:
        """Audio and activations in the full network, from which smaller networks are made; needs the audio."""
        return load_study(self.responses, self.dataset, self.root)

    def trials(self, trials: Iterable[Trial], only_bundled: bool = False) -> list[dict]:
        """Evaluate smaller networks, only those of the claim or those bundled if the notebook is told so; one record each."""
        asked = claimed(trials) if self.others.get("only_claims") else trials
        asked = [replace(trial, classifier=self.classifier) for trial in asked]
        if only_bundled or self.others.get("only_bundled"):
            asked = bundled_trials(asked, self.responses)
        return run_trials(
            asked,
            self.responses,
            lambda: self.compression,
            full=self.anew and has_audio(self.root),
            store=self.results.folder,
        )

    @property
    def inner(self) -> list[dict]:
        """Smaller networks inside the training folds, where they are bundled (`dha_utils.studies.nested.load_inner`)."""
        return load_inner(
            self.responses,
            lambda: self.compression,
            self.results.folder,
            classifier=self.classifier,
            full=self.anew and has_audio(self.root),
        )

    @property
    def ridge_errors(self) -> pd.DataFrame:
        """What refits with more and with less pull miss (`dha_utils.studies.ridge.load_ridge_errors`)."""
        only_kept = bool(self.others.get("only_claims"))
        return load_ridge_errors(
            self.responses, self.results.folder, lambda: self.compression, only_kept=only_kept
        )

    def specifications(self, draws: Mapping[str, int]) -> dict[int, list[dict]]:
        """Evaluate the ensemble under other choices, at every rate (`dha_utils.studies.specifications.load_specifications`)."""
        return load_specifications(self.inputs.responses, draws=draws, full=self.anew, **self.place)

    def figure(self, name: str, figure: Figure, alt: str) -> HTML:
        """Keep a figure and show it; `alt` says what it shows to those who do not see it."""
        return self.results.save_figure(name, figure, alt)

    def read(self, name: str) -> dict:
        """Return the numbers of a notebook."""
        return self.results.read(name, **self.given)

    def say(self, line: str, text: str) -> None:
        """Show a text with numbers: what cells do that start with ``%%say`` or ``%%say DATASET`` (`dha_utils.book.prose`).

        ``%%say soundnet`` is shown where the network is SoundNet, ``%%say network`` where it is one's own; of that, nothing that
        was measured on a data set of the book is said.
        """
        about = line.strip()
        if about and (self.own_network is None) == (about == "network"):
            return
        about = "" if about in ("network", "soundnet") else about
        if said := say(text, about, self.results.folder, f"{self.name}.json"):
            display(Markdown(said))

    def write(self, *parameters: str, **numbers: object) -> None:
        """Keep the numbers of this notebook: first some of its parameters, by name (``"rate keep"``, or one by one).

        Tables become lists of rows, or objects where their index has names (`dha_utils.studies.results.nested`).
        """
        names = " ".join(parameters).split()
        self.results.write(self.name, {name: self.given[name] for name in names} | numbers)
