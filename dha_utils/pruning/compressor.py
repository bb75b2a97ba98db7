"""A trial: one way to make the network smaller, and what makes it so on some training clips.

Filters are selected, removed, and what is left is fitted, on the training clips alone; what the small network then says of all
clips are responses like any other.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch

from dha_utils.audio.waveforms import load_audio
from dha_utils.core.errors import ParameterError, choose, point_hint
from dha_utils.core.hardware import one_core
from dha_utils.core.work import in_order
from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.criteria.selection import FilterOrder, find_criterion, find_filter_criterion, order_filters
from dha_utils.criteria.unpooled import LayerStatistics, gather_statistics
from dha_utils.datasets.clips import Clips
from dha_utils.networks.activations import layer_activations
from dha_utils.networks.base import Network
from dha_utils.networks.registry import network_behind, outline
from dha_utils.pruning.allocation import allocate, check_budget
from dha_utils.pruning.compensation import COMPENSATIONS, compensate
from dha_utils.pruning.finetuning import fine_tune
from dha_utils.pruning.rotation import rotated_maps
from dha_utils.responses.maps import selection_clips
from dha_utils.responses.pooling import BATCH_SIZE, pool, pool_maps, pooling_of
from dha_utils.responses.table import Responses

PSNET_SIZE = "-".join(str(len(kept)) for kept in psnet_kept_filters().values())
"""p-Snet's numbers of maps, conv1 to conv7."""

FIT_BYTES = 6e9
"""Memory that fitting to activations may take. Where those of all clips would take more, `FIT_CLIPS` are drawn."""

FIT_CLIPS = 400
"""Training clips whose activations are looked at, at most, where those of all do not fit; as many of every class."""

FOLDS = 5
"""Test folds whose training clips' activations are held at a time."""


MARK = "principal_components"
"""In the place of a compensation: in as many principal components as maps are kept, see `dha_utils.pruning.rotation`."""


@dataclass(frozen=True)
class Trial:
    """One way to make the network smaller.

    Attributes
    ----------
    criterion : str
        What orders the filters, see `dha_utils.criteria.selection.order_filters`.
    size : str
        How many maps each layer keeps: a budget of multiply-accumulates as a fraction of the full network's ("0.4"), or seven
        numbers ("16-32-41-56-88-235-59").
    compensation : str
        One of `dha_utils.pruning.compensation.COMPENSATIONS`; or `MARK`, which makes no network that can be used.
    seed : int
        Of criteria that draw, and of fine-tuning.
    epochs : int
        Of fine-tuning, which uses labels and gradients; 0 means none.
    widths : str
        What divides a budget among the layers (`dha_utils.pruning.allocation`): ``own``, how much a layer loses of what the
        criterion itself measures, or another criterion by name, to compare selections at the same numbers of maps.
    classifier : str
        What is trained on the small network's responses, see `dha_utils.cross_validate`.
    """

    criterion: str
    size: str
    compensation: str = "refitted"
    seed: int = 0
    epochs: int = 0
    widths: str = "own"
    classifier: str = "converging"


def parse_size(size: str, network: Network | None = None) -> float | dict[str, int]:
    """Return a budget, or the number of maps of every layer of a network, by default SoundNet-8.

    Raises
    ------
    ParameterError
        If it is neither.

    Examples
    --------
    >>> parse_size("0.4"), list(parse_size("8-24-48-96-128-256-256").values())[:2]
    (0.4, [8, 24])
    """
    widths = (network or outline()).widths
    with suppress(ValueError):
        if 0 < (budget := float(size)) <= 1:
            return budget
    with suppress(ValueError):
        counts = [int(part) for part in size.split("-")]
        if all(1 <= count <= full for count, full in zip(counts, widths.values(), strict=True)):
            return dict(zip(widths, counts, strict=True))
    full = "-".join(map(str, widths.values()))
    raise ParameterError(
        f"size is {size!r}, expected a fraction of the computation in (0, 1], such as 0.4, or the maps of the "
        f"{len(widths)} layers, at most {full}{point_hint(size)}"
    )


def check_trial(trial: Trial, network: Network, n_samples: int) -> None:
    """Raise where a trial cannot be had on a network and clips of so many samples; no clip is looked at.

    Raises
    ------
    ParameterError
        If its size is none, or smaller than the network gets; or a criterion or a compensation is unknown.
    """
    choose("compensation", trial.compensation, COMPENSATIONS)
    size = parse_size(trial.size, network)
    if isinstance(size, float):
        check_budget(network, n_samples, size)
    criterion = find_filter_criterion(trial.criterion)
    if not criterion.is_order and criterion.needs == "weights":
        _check_named(trial, size, order_filters(trial.criterion, network, statistics={}))


def _check_named(trial: Trial, size: float | dict[str, int], orders: dict[str, FilterOrder]) -> None:
    """Raise if a size is another than that of the maps that a criterion names."""
    own = {layer: int((order.lost > 0).sum()) for layer, order in orders.items()}
    if size != own:
        named = "-".join(map(str, own.values()))
        raise ParameterError(
            f"criterion {trial.criterion!r} names {named} maps, not {trial.size}: give that as size"
        )


def load_waveforms(clips: Clips, rate: int, duration: float, *, channel: str = "mean") -> np.ndarray:
    """Decode all clips at once, shape (clips, samples), float32: 0.44 MB per clip of 5 s at 22 050 Hz."""

    def decode(file: tuple[str, tuple]) -> np.ndarray:
        path, cut = file
        return load_audio(path, rate, duration, channel=channel, cut=cut)

    return np.stack(in_order(decode, zip(clips.table["path"], clips.cuts, strict=True)))


def clips_that_fit(network: Network, n_samples: int, n_clips: int) -> int | None:
    """Return of how many training clips activations are looked at; None where those of all fit into `FIT_BYTES`.

    Counted are the waveforms; the activations, of all clips and once more of the training clips; and, for the covariance of the
    largest layer, a copy of its maps and two in double precision.

    Parameters
    ----------
    network : Network
    n_samples : int
        Per clip.
    n_clips : int
        Of the data set.
    """
    shapes = network.shapes(n_samples)
    n_values = math.prod(network.input_shape(n_samples))
    maps = [n_values, *(math.prod(shapes[layer.stages[-1]]) for layer in network.layers.values())]
    if 4 * n_clips * (n_values + 2 * sum(maps) + 5 * max(maps)) <= FIT_BYTES:
        return None
    left = FIT_BYTES / 4 - n_clips * n_values
    return max(1, min(FIT_CLIPS, int(left / (FOLDS * sum(maps) + 5 * max(maps)))))


def fit_key(responses: Responses) -> dict[str, int]:
    """Return what the key of trials on responses holds of `clips_that_fit`: nothing where all do."""
    network, parameters = network_behind(responses.provenance), responses.provenance.get("parameters", {})
    if network is None or not parameters.get("duration"):
        return {}
    n_samples = round(parameters["duration"] * parameters["rate"])
    fitted = clips_that_fit(network, n_samples, len(responses))
    return {} if fitted is None else {"fitted": fitted}


class Compressor:
    """Makes the network smaller on some training clips; what trials have in common is computed once.

    Activations are those of all training clips, or of a sample: ``fitted`` (clips,), bool, says which (`clips_that_fit`).
    Criteria of pooled responses, and fine-tuning, look at all of them.

    Parameters
    ----------
    model : Network
        The full network.
    waveforms : ndarray, shape (clips, samples), float32
    responses : Responses
        Of the same clips to the full network.
    activations : sequence of Tensor, optional
        Of the same clips in the full network, if they are known (`dha_utils.networks.activations.layer_activations`).
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
        model.check_prunable()
        self.model, self.waveforms, self.responses, self.fold = model, waveforms, responses, fold
        self.training = np.ones(len(waveforms), bool) if training is None else training
        self.fitted = self.training
        if n_fitted := clips_that_fit(model, waveforms.shape[1], len(waveforms)):
            per_class = max(1, n_fitted // len(responses.classes))
            rows = selection_clips(responses.y, self.training, per_class)
            self.fitted = np.isin(np.arange(len(waveforms)), rows)
        self._known = activations
        self.order = cache(self._order)

    @property
    def activations(self) -> list[torch.Tensor]:
        """Activations of the fitted clips; of known ones a copy, which nobody keeps."""
        if self._known is None:
            return self._computed
        return [x[torch.from_numpy(self.fitted)] for x in self._known]

    @cached_property
    def _computed(self) -> list[torch.Tensor]:
        return layer_activations(self.model, self.waveforms[self.fitted])

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
            _check_named(trial, counts, orders)
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

    def marked_responses(self, trial: Trial) -> Responses:
        """Return what all maps, rebuilt from as many components as maps are kept, say of all clips, in a trial of `MARK`."""
        counts = {layer: len(kept) for layer, kept in self.keep(trial).items()}
        rotated = rotated_maps(self.model, self.activations, self.waveforms, counts)
        arrays = {
            name: pool(maps, pooling_of(self.responses)) for name, maps in rotated if name in self.model.taps
        }
        return Responses(arrays, self.responses.table, self.responses.provenance)


def network_responses(model: Network, waveforms: np.ndarray, like: Responses) -> Responses:
    """Return the responses of a network to waveforms (clips, samples); clip table and pooling are those of `like`.

    As in `dha_utils.extract_responses`, several clips share a pass, in threads of one core each.
    """
    taps = model.fast()

    def batch(start: int) -> dict[str, np.ndarray]:
        with one_core():
            return pool_maps(taps, waveforms[start : start + BATCH_SIZE], pooling_of(like))

    parts = in_order(batch, range(0, len(waveforms), BATCH_SIZE))
    arrays = {tap: np.concatenate([part[tap] for part in parts]) for tap in model.taps}
    return Responses(arrays, like.table, like.provenance)
