"""The ensemble on smaller networks: selection, removal and compensation inside each training fold, evaluated on the other.

A *trial* is one way to make the network smaller. For every fold, filters are selected, and what is left is fitted, on the
clips of the other folds; then all clips run through the small network, and the classifiers are trained anew on what it says of
the training clips. Trials are kept like the cells of a sweep (`dha_utils.sweeps`): one line of a file each, as soon as done.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch

from dha_utils.allocation import allocate
from dha_utils.audio import load_audio
from dha_utils.channels import LayerStatistics, explained_variance, gather_statistics, order_filters
from dha_utils.compensation import compensate, layer_activations
from dha_utils.complexity import count_macs
from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.datasets import Clips
from dha_utils.errors import ParameterError
from dha_utils.evaluation import CrossValidation, cross_validate_networks
from dha_utils.extraction import pool_maps
from dha_utils.finetuning import fine_tune
from dha_utils.fused import FusedTaps
from dha_utils.responses import Responses
from dha_utils.soundnet import LAYERS, TAPS, SoundNet
from dha_utils.sweep_store import committed_file, evaluate
from dha_utils.sweeps import describe_cell

PSNET_SIZE = "-".join(str(len(kept)) for kept in psnet_kept_filters().values())
"""p-Snet's numbers of maps, conv1 to conv7."""


@dataclass(frozen=True)
class Trial:
    """One way to make the network smaller.

    Attributes
    ----------
    criterion : str
        What orders the filters, see `dha_utils.channels.order_filters`; ``psnet`` keeps the published ones.
    size : str
        How many maps each layer keeps: a budget of multiply-accumulates as a fraction of the full network's ("0.4"; the
        division among layers is that of `dha_utils.allocation`), or seven numbers ("16-32-41-56-88-235-59").
    compensation : str
        One of `dha_utils.compensation.COMPENSATIONS`.
    seed : int
        Of criteria that draw, and of fine-tuning.
    epochs : int
        Of fine-tuning, which uses labels and gradients; 0 means none.
    """

    criterion: str
    size: str
    compensation: str = "refitted"
    seed: int = 0
    epochs: int = 0


def parse_size(size: str) -> float | dict[str, int]:
    """Return a budget, or the number of maps of every layer.

    Raises
    ------
    ParameterError
        If it is neither.

    Examples
    --------
    >>> parse_size("0.4"), list(parse_size("8-24-48-96-128-256-256").values())[:2]
    (0.4, [8, 24])
    """
    try:
        if "-" not in size:
            budget = float(size)
            if 0 < budget <= 1:
                return budget
        else:
            counts = [int(part) for part in size.split("-")]
            fits = [1 <= count <= layer.maps_out for count, layer in zip(counts, LAYERS, strict=True)]
            if all(fits):
                return {f"conv{number}": count for number, count in enumerate(counts, 1)}
    except ValueError:
        pass
    full = "-".join(str(layer.maps_out) for layer in LAYERS)
    raise ParameterError(
        f"size is {size!r}, expected a fraction of the computation in (0, 1], such as 0.4, or the maps of the seven layers, "
        f"at most {full}"
    )


def load_waveforms(clips: Clips, rate: int, duration: float, *, workers: int | None = None) -> np.ndarray:
    """Decode all clips at once, shape (clips, samples), float32: 0.44 MB per clip of 5 s at 22 050 Hz."""
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        return np.stack(list(pool.map(lambda path: load_audio(path, rate, duration), clips.table["path"])))


class Compressor:
    """Makes the network smaller on some training clips; what trials have in common is computed once.

    Parameters
    ----------
    model : SoundNet
        The full network.
    waveforms : ndarray, shape (clips, samples), float32
    responses : Responses
        Of the same clips to the full network.
    activations : sequence of Tensor, optional
        Of the same clips in the full network, if they are known (`dha_utils.compensation.layer_activations`).
    training : ndarray, shape (clips,), bool, optional
        Which clips may be looked at; by default all.
    """

    def __init__(
        self,
        model: SoundNet,
        waveforms: np.ndarray,
        responses: Responses,
        activations: Sequence[torch.Tensor] | None = None,
        training: np.ndarray | None = None,
    ):
        self.model, self.waveforms, self.responses = model, waveforms, responses
        self.training = np.ones(len(waveforms), bool) if training is None else training
        self._all_activations = activations or layer_activations(model, waveforms)
        self.order = cache(self._order)

    @property
    def activations(self) -> list[torch.Tensor]:
        """Activations of the training clips; a copy, which nobody keeps."""
        return [x[torch.from_numpy(self.training)] for x in self._all_activations]

    @cached_property
    def statistics(self) -> list[LayerStatistics]:
        """Second moments of every layer."""
        return gather_statistics(self.model, self.activations)

    @cached_property
    def unexplained(self) -> dict[str, np.ndarray]:
        """Share of a layer's variance that its best k maps leave unexplained, by layer; shape (maps + 1,)."""
        return {
            f"conv{number}": explained_variance(layer.covariance)[1]
            for number, layer in enumerate(self.statistics, 1)
        }

    def _order(self, criterion: str, seed: int) -> dict[str, np.ndarray]:
        responses = self.responses.take(self.training)
        return order_filters(
            criterion, model=self.model, statistics=self.statistics, responses=responses, seed=seed
        )

    def keep(self, trial: Trial) -> dict[str, np.ndarray]:
        """Return the kept channels of every layer."""
        if trial.criterion == "psnet":
            if trial.size != PSNET_SIZE:
                raise ParameterError(f"p-Snet has {PSNET_SIZE} maps, not {trial.size}: give that as size")
            return {layer: np.array(kept) for layer, kept in psnet_kept_filters().items()}
        counts = parse_size(trial.size)
        if isinstance(counts, float):
            counts = allocate(self.model, self.unexplained, self.waveforms.shape[1], counts)
        order = self.order(trial.criterion, trial.seed)
        return {layer: np.sort(order[layer][:count]) for layer, count in counts.items()}

    def small_network(self, trial: Trial) -> SoundNet:
        """Return the smaller network of a trial."""
        small = compensate(self.model, self.keep(trial), self.activations, trial.compensation)
        if trial.epochs:
            waveforms, y = self.waveforms[self.training], self.responses.y[self.training]
            small = fine_tune(small, waveforms, y, epochs=trial.epochs, seed=trial.seed)
        return small


def network_responses(model: SoundNet, waveforms: np.ndarray, like: Responses) -> Responses:
    """Return the responses of a network to waveforms (clips, samples); the clip table is that of `like`.

    As in `dha_utils.extract_responses`, four clips share a pass, in threads of one core each.
    """
    taps = FusedTaps(model)
    with ThreadPoolExecutor(
        len(os.sched_getaffinity(0)), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        parts = list(pool.map(lambda i: pool_maps(taps, waveforms[i : i + 4]), range(0, len(waveforms), 4)))
    arrays = {tap: np.concatenate([part[tap] for part in parts]) for tap in TAPS}
    return Responses(arrays, like.table, like.provenance)


class CompressionStudy:
    """Trials of a data set, cross-validated.

    Parameters
    ----------
    model : SoundNet
    waveforms : ndarray, shape (clips, samples), float32
        Of all clips, in the order of `responses`.
    responses : Responses
        Of all clips to the full network.
    """

    def __init__(self, model: SoundNet, waveforms: np.ndarray, responses: Responses):
        self.model, self.waveforms, self.responses = model, waveforms, responses
        self.folds = [int(fold) for fold in np.unique(responses.folds)]
        self.activations = layer_activations(model, waveforms)
        self.compressor = cache(self._compressor)

    def _compressor(self, fold: int) -> Compressor:
        training = self.responses.folds != fold
        return Compressor(self.model, self.waveforms, self.responses, self.activations, training)

    def networks(self, trial: Trial) -> dict[int, SoundNet]:
        """Return the smaller network of every test fold, made on the other folds."""
        return {fold: self.compressor(fold).small_network(trial) for fold in self.folds}

    def run(self, trial: Trial, *, workers: int | None = None) -> tuple[CrossValidation, dict[int, SoundNet]]:
        """Return what the ensemble says of every clip, and the network of every fold."""
        networks = self.networks(trial)
        responses = {
            fold: network_responses(small, self.waveforms, self.responses) for fold, small in networks.items()
        }
        return cross_validate_networks(responses, workers=workers), networks

    def describe(self, trial: Trial, *, workers: int | None = None) -> dict:
        """Return a trial with what was measured, in JSON types.

        As for a cell of a sweep, and ``macs`` and ``parameters``, of conv1 to conv7, as fractions of the full network's, the
        mean over folds, and ``widths``, the maps of every layer in every fold.
        """
        run, networks = self.run(trial, workers=workers)
        n_samples = self.waveforms.shape[1]
        full = count_macs(self.model, n_samples)
        costs = [count_macs(network, n_samples) for network in networks.values()]
        cost = {
            kind: math.fsum(int(table[kind].sum()) for table in costs) / len(costs) / int(full[kind].sum())
            for kind in ("macs", "parameters")
        }
        widths = [table["maps_out"].tolist() for table in costs]
        return describe_cell(trial, run) | cost | {"widths": widths}


def run_trials(
    trials: Iterable[Trial],
    responses: Responses,
    study: Callable[[], CompressionStudy],
    *,
    workers: int | None = None,
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
    workers : int, optional
        Processes that train classifiers; the result does not depend on it.
    **options
        ``full``, ``store`` and ``progress``, as in `dha_utils.sweep_store.evaluate`.
    """
    get = cache(study)
    return evaluate(
        trials,
        lambda part: [get().describe(trial, workers=workers) for trial in part],
        responses,
        committed=committed_file("pruning", responses),
        **options,
    )
