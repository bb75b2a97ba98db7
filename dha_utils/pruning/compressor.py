"""A trial: one way to make the network smaller, and what makes it so on some training clips.

Filters are selected, removed, and what is left is fitted, on the training clips alone; what the small network then says of all
clips are responses like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch

from dha_utils.audio.waveforms import load_audio
from dha_utils.core.errors import ParameterError
from dha_utils.core.hardware import one_core
from dha_utils.core.work import in_order
from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.criteria.selection import FilterOrder, find_criterion, order_filters
from dha_utils.criteria.unpooled import LayerStatistics, gather_statistics
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network, layer_activations
from dha_utils.networks.registry import outline
from dha_utils.pruning.allocation import allocate
from dha_utils.pruning.compensation import compensate
from dha_utils.pruning.finetuning import fine_tune
from dha_utils.responses.pooling import BATCH_SIZE, pool_maps, pooling_of
from dha_utils.responses.table import Responses

PSNET_SIZE = "-".join(str(len(kept)) for kept in psnet_kept_filters().values())
"""p-Snet's numbers of maps, conv1 to conv7."""


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
        One of `dha_utils.pruning.compensation.COMPENSATIONS`.
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
    try:
        if "-" not in size:
            budget = float(size)
            if 0 < budget <= 1:
                return budget
        else:
            counts = [int(part) for part in size.split("-")]
            if all(1 <= count <= full for count, full in zip(counts, widths.values(), strict=True)):
                return dict(zip(widths, counts, strict=True))
    except ValueError:
        pass
    full = "-".join(map(str, widths.values()))
    raise ParameterError(
        f"size is {size!r}, expected a fraction of the computation in (0, 1], such as 0.4, or the maps of the "
        f"{len(widths)} layers, at most {full}"
    )


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
        Of the same clips in the full network, if they are known (`dha_utils.networks.base.layer_activations`).
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
