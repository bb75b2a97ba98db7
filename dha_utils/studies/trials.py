"""Trials: the ways to make the network smaller that the book compares, each evaluated on the folds it was not made on.

For every fold of a trial (`dha_utils.pruning.compressor.Trial`) the network is made smaller on the clips of the other folds; then
all clips run through it, and the classifiers are trained anew on what it says of the training clips. Results are kept by
`dha_utils.studies.sweep_store`.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dha_utils.core.announcements import announce
from dha_utils.core.paths import data_dir
from dha_utils.criteria.base import CRITERIA
from dha_utils.evaluation.crossvalidation import CrossValidation, cross_validate_networks
from dha_utils.evaluation.packing import pack_run
from dha_utils.networks.activations import layer_activations
from dha_utils.networks.base import Network
from dha_utils.networks.registry import load_behind
from dha_utils.pruning.compensation import COMPENSATIONS
from dha_utils.pruning.compressor import (
    MARK,
    PSNET_SIZE,
    Compressor,
    Trial,
    clips_that_fit,
    load_waveforms,
    network_responses,
)
from dha_utils.pruning.cost import count_macs
from dha_utils.responses.provenance import clips_of
from dha_utils.responses.table import Responses
from dha_utils.studies.sweep_store import committed_file, evaluate

SELECTIONS = ("explained_variance", "next_layer", "pivoted_qr_unpooled", "anova", "l1")
"""Criteria that are compared: three of unpooled activations, the best known class-wise one, the best known of weights."""

BUDGETS = (0.9, 0.83, 0.75, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)
"""Fractions of the full network's multiply-accumulates on the frontier; 0.83 is about p-Snet's."""

PAPER = "0.82"
"""The budget of the paper: 18 % less computation."""

SMALL = "0.35"
"""The budget at which compensations are compared beside p-Snet's numbers of maps: the largest on the frontier at which filters
by explained variance leave 85 % fewer parameters. It was found on the test clips' frontier, not fixed before."""

FEW = 2
"""Random selections where nothing is decided by them."""


def compensation_trials(seeds: int) -> list[Trial]:
    """Return the trials of the page on compensation: selection x compensation at two sizes.

    Random maps stand beside them in the same numbers per layer, at `SMALL` those of explained variance: `seeds` selections
    where they are compared clip by clip, refitted and (p-Snet's numbers) removed, and `FEW` elsewhere.
    """
    ways = [(size, method) for size in (PSNET_SIZE, SMALL) for method in COMPENSATIONS]
    chosen = [Trial(criterion, *way) for way in ways for criterion in SELECTIONS]
    published = [Trial("psnet", PSNET_SIZE, method) for method in COMPENSATIONS]
    random = []
    for size, method in ways:
        decides = method == "refitted" or (size == PSNET_SIZE and method == "removed")
        random += [random_trial(size, method, seed) for seed in range(seeds if decides else min(FEW, seeds))]
    return chosen + published + random


def random_trial(size: str, compensation: str, seed: int, widths: str = "explained_variance") -> Trial:
    """Return a trial of random maps, in the numbers that another criterion gives the layers."""
    return Trial("random", size, compensation, seed, widths="own" if "-" in size else widths)


CLAIM = {
    "anova_removed": ("ANOVA's filters, removed", Trial("anova", PAPER, "removed")),
    "anova_refitted": ("ANOVA's filters, refitted", Trial("anova", PAPER)),
    "anova_psnet_removed": (
        "ANOVA's filters in p-Snet's numbers, removed",
        Trial("anova", PSNET_SIZE, "removed"),
    ),
    "anova_psnet_refitted": ("ANOVA's filters in p-Snet's numbers, refitted", Trial("anova", PSNET_SIZE)),
    "psnet_removed": ("p-Snet's filters, removed", Trial("psnet", PSNET_SIZE, "removed")),
    "psnet_refitted": ("p-Snet's filters, refitted", Trial("psnet", PSNET_SIZE)),
    "anova_small": ("ANOVA's filters at a third of the computation, refitted", Trial("anova", SMALL)),
    "explained_variance_small": (
        "filters by explained variance at a third of the computation, refitted",
        Trial("explained_variance", SMALL),
    ),
}
"""Networks that the claim "CNNs can be pruned by redundant maps only" is asked of, by name: at its saving, then beyond."""


def claimed(trials: Iterable[Trial]) -> list[Trial]:
    """Return those of some trials that the claim is asked of."""
    return [trial for trial in trials if trial in {asked for _, asked in CLAIM.values()}]


def bundled_trials(trials: Iterable[Trial], responses: Responses) -> list[Trial]:
    """Return those of some trials that are bundled of the responses' data set, whatever sounds they were made of."""
    file = committed_file("trials", responses)
    lines = file.read_text("utf-8").splitlines()[1:] if file.is_file() else []
    names = [field.name for field in fields(Trial)]
    there = {Trial(*(result[name] for name in names)) for result in map(json.loads, lines)}
    return [trial for trial in trials if trial in there]


def paper_trials() -> list[Trial]:
    """Return the trials at the paper's saving, with widths of their own, and ANOVA's with those of explained variance."""
    ways = [("anova", "own"), ("anova", "explained_variance"), ("explained_variance", "own")]
    return [
        Trial(criterion, PAPER, method, widths=widths)
        for method in ("removed", "refitted")
        for criterion, widths in ways
    ]


def widths_trials(seeds: int) -> list[Trial]:
    """Return what tells, beside `compensation_trials`, what dividing the budget is worth; all at `SMALL`, refitted.

    Selections with the widths of explained variance instead of their own; random maps with the widths of ANOVA (`seeds` of them),
    and, `FEW`, with those of a criterion that measures nothing.
    """
    others = [criterion for criterion in SELECTIONS if criterion != "explained_variance"]
    chosen = [Trial(criterion, SMALL, widths="explained_variance") for criterion in others]
    random = [random_trial(SMALL, "refitted", seed, "anova") for seed in range(seeds)]
    return chosen + random + [Trial("random", SMALL, seed=seed) for seed in range(min(FEW, seeds))]


def tuned_trials(epochs: int) -> list[Trial]:
    """Return some trials as they are, and each fine-tuned with labels."""
    chosen = [
        Trial("psnet", PSNET_SIZE, "removed"),
        Trial("explained_variance", SMALL),
        Trial("explained_variance", "0.2"),
    ]
    return [tried for trial in chosen for tried in (trial, replace(trial, epochs=epochs))]


FRONTIER = ("explained_variance", "next_layer", "anova")
"""Selections of the frontier: the two best without labels, and the paper's."""


def frontier_trials(seeds: int, budgets: Iterable[float] = BUDGETS) -> list[Trial]:
    """Return the trials of the frontier: three selections, and random maps at every other budget, refitted.

    The random ones are as many per layer as those of explained variance.
    """
    sizes = [f"{budget:g}" for budget in budgets]
    chosen = [Trial(criterion, size) for criterion in FRONTIER for size in sizes]
    return chosen + [random_trial(size, "refitted", seed) for seed in range(seeds) for size in sizes[::2]]


EQUAL = (
    "explained_variance", "next_layer", "anova",
    *(name for name, known in CRITERIA.items() if known.family == "removal"),
)  # fmt: skip
"""Selections that are compared at the same numbers of maps: those of the frontier, and the literature's on removing filters."""

EQUAL_SIZES = ("0.6", SMALL, "0.15")


def equal_trials(seeds: int) -> list[Trial]:
    """Return the trials that compare ways to choose filters at equal cost, refitted, with the widths of explained variance.

    Random maps stand beside them: `seeds` selections at `SMALL`, where they are compared clip by clip, `FEW` elsewhere; and the
    mark of as many principal components.
    """
    chosen = [
        Trial(criterion, size, widths="own" if criterion == "explained_variance" else "explained_variance")
        for criterion in EQUAL
        for size in EQUAL_SIZES
    ]
    marks = [Trial("explained_variance", size, MARK) for size in EQUAL_SIZES]
    drawn = [
        random_trial(size, "refitted", seed)
        for size in EQUAL_SIZES
        for seed in range(seeds if size == SMALL else min(FEW, seeds))
    ]
    return chosen + marks + drawn


class CompressionStudy:
    """Trials of a data set, cross-validated.

    Parameters
    ----------
    model : Network
    waveforms : ndarray, shape (clips, samples), float32
        Of all clips, in the order of `responses`.
    responses : Responses
        Of all clips to the full network.

    Attributes
    ----------
    fitted : int or None
        Of how many training clips activations are looked at, see `dha_utils.pruning.compressor.clips_that_fit`.
    activations : list of Tensor or None
        Of all clips in the full network; None where they do not fit.
    """

    def __init__(self, model: Network, waveforms: np.ndarray, responses: Responses):
        self.model, self.waveforms, self.responses = model, waveforms, responses
        self.folds = responses.test_folds
        n_clips, n_samples = waveforms.shape
        self.fitted = clips_that_fit(model, n_samples, n_clips)
        self.activations = layer_activations(model, waveforms) if self.fitted is None else None
        self.compressor = cache(self._compressor)

    def _compressor(self, fold: int) -> Compressor:
        training = self.responses.folds != fold
        return Compressor(self.model, self.waveforms, self.responses, self.activations, training, fold)

    def activations_of(self, rows: np.ndarray) -> list[Tensor]:
        """Return the activations of some clips, by row number."""
        if self.activations is None:
            return layer_activations(self.model, self.waveforms[rows])
        return [x[torch.from_numpy(rows)] for x in self.activations]

    def networks(self, trial: Trial) -> dict[int, Network]:
        """Return the smaller network of every test fold, made on the other folds."""
        return {fold: self.compressor(fold).small_network(trial) for fold in self.folds}

    def run(self, trial: Trial) -> tuple[CrossValidation, dict[int, Network]]:
        """Return what the ensemble says of every clip, and the network of every fold; of a mark, the one of the same cost."""
        mark = trial.compensation == MARK
        networks = self.networks(replace(trial, compensation="removed") if mark else trial)
        responses = {
            fold: self.compressor(fold).marked_responses(trial)
            if mark
            else network_responses(small, self.waveforms, self.responses)
            for fold, small in networks.items()
        }
        return cross_validate_networks(responses, classifier=trial.classifier), networks

    def describe(self, trial: Trial) -> dict:
        """Return a trial with what was measured, in JSON types.

        As for a cell of a sweep, and ``macs`` and ``parameters``, of all layers, as fractions of the full network's, the
        mean over folds, and ``layer_maps``, the maps of every layer in every fold; ``fitted``, the number of training clips whose
        activations were looked at, where these were not all.
        """
        run, networks = self.run(trial)
        n_samples = self.waveforms.shape[1]
        full = count_macs(self.model, n_samples)
        costs = [count_macs(network, n_samples) for network in networks.values()]
        cost = {
            kind: math.fsum(int(table[kind].sum()) for table in costs) / len(costs) / int(full[kind].sum())
            for kind in ("macs", "parameters")
        }
        maps = {"layer_maps": [table["maps_out"].tolist() for table in costs]}
        fitted = {} if self.fitted is None else {"fitted": self.fitted}
        return asdict(trial) | pack_run(run) | cost | maps | fitted


def has_audio(root: str | Path | None) -> bool:
    """Return whether the user has said where audio is; without it, trials can only be read, not computed."""
    return root is not None or data_dir() is not None


def load_study(responses: Responses, dataset: str, root: str | Path | None = None) -> CompressionStudy:
    """Return the study of a data set from its audio, decoded as for `responses`.

    Raises
    ------
    DataError
        If there is no audio, or it is not that of the responses.
    """
    clips = clips_of(responses, dataset, root)
    parameters = responses.provenance["parameters"]
    announce("trials: decoding the audio and running it through the full network")
    waveforms = load_waveforms(
        clips, parameters["rate"], parameters["duration"], channel=parameters.get("channel", "mean")
    )
    return CompressionStudy(load_behind(responses.provenance), waveforms, responses)


def run_trials(
    trials: Iterable[Trial],
    responses: Responses,
    study: Callable[[], CompressionStudy],
    **options,
) -> list[dict]:
    """Return the result of every trial: bundled, kept in a store, or computed now.

    Parameters
    ----------
    trials : iterable of Trial
    responses : Responses
        Of all clips to the full network.
    study : callable
        Returns the study; asked only if a trial has to be computed, since that needs the audio.
    **options
        ``full`` and ``store``, as in `dha_utils.studies.sweep_store.evaluate`.
    """
    get = cache(study)
    return evaluate(
        trials,
        lambda missing: ((trial, get().describe(trial)) for trial in missing),
        responses,
        committed=committed_file("trials", responses),
        **options,
    )
