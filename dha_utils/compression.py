"""The ensemble on smaller networks: selection, removal and compensation inside each training fold, evaluated on the other.

For every fold of a trial (`dha_utils.trials`), filters are selected, and what is left is fitted, on the
clips of the other folds; then all clips run through the small network, and the classifiers are trained anew on what it says of
the training clips. Results are kept by `dha_utils.sweep_store`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch

from dha_utils.allocation import allocate
from dha_utils.announcements import announce
from dha_utils.compensation import compensate
from dha_utils.complexity import count_macs
from dha_utils.criteria.unpooled import LayerStatistics, gather_statistics
from dha_utils.datasets.clips import Clips
from dha_utils.errors import ParameterError
from dha_utils.evaluation import CrossValidation, cross_validate_networks
from dha_utils.extraction import BATCH_SIZE, pool_maps
from dha_utils.finetuning import fine_tune
from dha_utils.hardware import one_core
from dha_utils.network_base import Network, layer_activations
from dha_utils.networks import load_behind
from dha_utils.paths import data_dir
from dha_utils.provenance import clips_of
from dha_utils.responses import Responses
from dha_utils.selection import FilterOrder, find_criterion, order_filters
from dha_utils.sweep_store import committed_file, evaluate
from dha_utils.sweeps import describe_cell
from dha_utils.trials import Trial, parse_size
from dha_utils.waveforms import load_audio
from dha_utils.work import in_order


def load_waveforms(clips: Clips, rate: int, duration: float, *, channel: str = "mean") -> np.ndarray:
    """Decode all clips at once, shape (clips, samples), float32: 0.44 MB per clip of 5 s at 22 050 Hz."""

    def decode(file: tuple[str, tuple]) -> np.ndarray:
        path, cut = file
        return load_audio(path, rate, duration, channel=channel, cut=cut)

    return np.stack(in_order(decode, zip(clips.table["path"], clips.cuts, strict=True)))


class Compressor:
    """Makes the network smaller on some training clips; what trials have in common is computed once.

    Parameters
    ----------
    model : Network
        The full network.
    waveforms : ndarray, shape (clips, samples), float32
    responses : Responses
        Of the same clips to the full network.
    activations : sequence of Tensor, optional
        Of the same clips in the full network, if they are known (`dha_utils.network_base.layer_activations`).
    training : ndarray, shape (clips,), bool, optional
        Which clips may be looked at; by default all.
    fold : int
        The test fold that this is made for: criteria that draw do it anew in every fold.
    """

    def __init__(
        self,
        model: Network,
        waveforms: np.ndarray,
        responses: Responses,
        activations: Sequence[torch.Tensor] | None = None,
        training: np.ndarray | None = None,
        fold: int = 0,
    ):
        self.model, self.waveforms, self.responses, self.fold = model, waveforms, responses, fold
        self.training = np.ones(len(waveforms), bool) if training is None else training
        self._all_activations = activations or layer_activations(model, waveforms)
        self.order = cache(self._order)

    @property
    def activations(self) -> list[torch.Tensor]:
        """Activations of the training clips; a copy, which nobody keeps."""
        return [x[torch.from_numpy(self.training)] for x in self._all_activations]

    @cached_property
    def statistics(self) -> dict[str, LayerStatistics]:
        """Second moments of every layer."""
        return gather_statistics(self.model, self.activations)

    def _order(self, criterion: str, seed: int) -> dict[str, FilterOrder]:
        return order_filters(
            criterion,
            self.model,
            statistics=self.statistics if find_criterion(criterion).needs == "activations" else {},
            responses=self.responses.take(self.training),
            seed=(seed, self.fold),
        )

    def keep(self, trial: Trial) -> dict[str, np.ndarray]:
        """Return the kept channels of every layer.

        Raises
        ------
        ParameterError
            If the criterion names a set of maps, and the size is another than theirs.
        """
        orders = self.order(trial.criterion, trial.seed)
        counts = parse_size(trial.size, self.model)
        if not find_criterion(trial.criterion).is_order:
            own = {layer: int((order.lost > 0).sum()) for layer, order in orders.items()}
            if counts != own:
                size = "-".join(map(str, own.values()))
                raise ParameterError(
                    f"criterion {trial.criterion!r} names {size} maps, not {trial.size}: give that as size"
                )
        if isinstance(counts, float):
            dividing = orders if trial.widths == "own" else self.order(trial.widths, 0)
            lost = {layer: order.lost for layer, order in dividing.items()}
            counts = allocate(self.model, lost, self.waveforms.shape[1], counts)
        return {layer: np.sort(orders[layer].channels[:count]) for layer, count in counts.items()}

    def small_network(self, trial: Trial) -> Network:
        """Return the smaller network of a trial."""
        small = compensate(self.model, self.keep(trial), self.activations, trial.compensation)
        if trial.epochs:
            waveforms, y = self.waveforms[self.training], self.responses.y[self.training]
            small = fine_tune(small, waveforms, y, epochs=trial.epochs, seed=trial.seed)
        return small


def network_responses(model: Network, waveforms: np.ndarray, like: Responses) -> Responses:
    """Return the responses of a network to waveforms (clips, samples); the clip table is that of `like`.

    As in `dha_utils.extract_responses`, several clips share a pass, in threads of one core each.
    """
    taps = model.fast()

    def batch(start: int) -> dict[str, np.ndarray]:
        with one_core():
            return pool_maps(taps, waveforms[start : start + BATCH_SIZE])

    parts = in_order(batch, range(0, len(waveforms), BATCH_SIZE))
    arrays = {tap: np.concatenate([part[tap] for part in parts]) for tap in model.taps}
    return Responses(arrays, like.table, like.provenance)


class CompressionStudy:
    """Trials of a data set, cross-validated.

    Parameters
    ----------
    model : Network
    waveforms : ndarray, shape (clips, samples), float32
        Of all clips, in the order of `responses`.
    responses : Responses
        Of all clips to the full network.
    """

    def __init__(self, model: Network, waveforms: np.ndarray, responses: Responses):
        self.model, self.waveforms, self.responses = model, waveforms, responses
        self.folds = responses.test_folds
        self.activations = layer_activations(model, waveforms)
        self.compressor = cache(self._compressor)

    def _compressor(self, fold: int) -> Compressor:
        training = self.responses.folds != fold
        return Compressor(self.model, self.waveforms, self.responses, self.activations, training, fold)

    def networks(self, trial: Trial) -> dict[int, Network]:
        """Return the smaller network of every test fold, made on the other folds."""
        return {fold: self.compressor(fold).small_network(trial) for fold in self.folds}

    def run(self, trial: Trial) -> tuple[CrossValidation, dict[int, Network]]:
        """Return what the ensemble says of every clip, and the network of every fold."""
        networks = self.networks(trial)
        responses = {
            fold: network_responses(small, self.waveforms, self.responses) for fold, small in networks.items()
        }
        run = cross_validate_networks(responses, classifier=trial.classifier)
        return run, networks

    def describe(self, trial: Trial) -> dict:
        """Return a trial with what was measured, in JSON types.

        As for a cell of a sweep, and ``macs`` and ``parameters``, of all layers, as fractions of the full network's, the
        mean over folds, and ``layer_maps``, the maps of every layer in every fold.
        """
        run, networks = self.run(trial)
        n_samples = self.waveforms.shape[1]
        full = count_macs(self.model, n_samples)
        costs = [count_macs(network, n_samples) for network in networks.values()]
        cost = {
            kind: math.fsum(int(table[kind].sum()) for table in costs) / len(costs) / int(full[kind].sum())
            for kind in ("macs", "parameters")
        }
        return describe_cell(trial, run) | cost | {"layer_maps": [t["maps_out"].tolist() for t in costs]}


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
        ``full`` and ``store``, as in `dha_utils.sweep_store.evaluate`.
    """
    get = cache(study)
    return evaluate(
        trials,
        lambda missing: ((trial, get().describe(trial)) for trial in missing),
        responses,
        committed=committed_file("trials", responses),
        **options,
    )
