"""The ensemble of classifiers as a part of the network: from samples to scores in one graph.

Conventions: what scikit-learn's estimators say is said once more by matrix products, in double precision, so that an exporter
can follow them. A *pair* is two classes that an SVM was trained to tell apart, the first of lower number.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dha_utils.evaluation.ensemble import LayerEnsemble
from dha_utils.evaluation.least_squares import CalibratedLeastSquares
from dha_utils.evaluation.svm import CalibratedSVM
from dha_utils.networks.base import Network
from dha_utils.responses.pooling import mean_over_positions


class Pairs(nn.Module):
    """What the SVM of a tap says of every pair: kernel (clips, vectors) -> (clips, pairs), as libsvm's decision function.

    Parameters
    ----------
    machine : CalibratedSVM
        Of three classes or more.

    Attributes
    ----------
    vectors : ndarray, shape (classes * most, maps)
        Its support vectors, class by class; zeros where a class has fewer than another.
    """

    def __init__(self, machine: CalibratedSVM):
        super().__init__()
        svm, counts = machine.svm_, machine.svm_.n_support_
        n_classes, most = len(counts), max(counts)
        self.vectors = np.zeros((n_classes, most, machine.vectors_.shape[1]))
        # What the support vectors of class i say in its pairs; libsvm keeps the pairs in the order of the other classes.
        says = np.zeros((n_classes, most, n_classes - 1))
        for i, (end, count) in enumerate(zip(np.cumsum(counts), counts, strict=True)):
            self.vectors[i, :count] = machine.vectors_[end - count : end]
            says[i, :count] = svm.dual_coef_[:, end - count : end].T
        self.vectors = self.vectors.reshape(n_classes * most, -1)
        first, second = np.triu_indices(n_classes, 1)
        self.register_buffer("says", torch.from_numpy(says))
        self.register_buffer("of_first", torch.from_numpy(first * (n_classes - 1) + second - 1))
        self.register_buffer("of_second", torch.from_numpy(second * (n_classes - 1) + first))
        self.register_buffer("intercept", torch.from_numpy(svm.intercept_.copy()))

    def forward(self, kernel: Tensor) -> Tensor:
        """Return above 0 where the first class of a pair wins."""
        n_classes, most, _ = self.says.shape
        by_class = kernel.reshape(-1, n_classes, most).transpose(0, 1)
        said = (by_class @ self.says).transpose(0, 1).flatten(1)
        return said[:, self.of_first] + said[:, self.of_second] + self.intercept


class Votes(nn.Module):
    """What the pairs come to, as `dha_utils.evaluation.svm.decide` says it.

    For every class its votes and, below a third of a vote, what speaks for it in all its pairs.
    """

    def __init__(self, n_classes: int):
        super().__init__()
        first, second = (
            torch.from_numpy((ends[:, None] == np.arange(n_classes)).astype(float))
            for ends in np.triu_indices(n_classes, 1)
        )
        self.register_buffer("signed", first - second)
        self.register_buffer("lost", second.sum(0))

    def forward(self, pairs: Tensor) -> Tensor:
        """Return the decisions (..., classes) of what is said of pairs (..., pairs)."""
        confidence = pairs @ self.signed
        # A pair that is won by its first class is a vote for it, and one less for the second than if that had won.
        votes = (pairs >= 0).double() @ self.signed + self.lost
        return votes + confidence / (3 * (confidence.abs() + 1))


class TapDecisions(nn.Module):
    """The kernel machine of one tap: responses (clips, maps), float64 -> what it says, of every class or pair.

    Parameters
    ----------
    machine : CalibratedSVM or CalibratedLeastSquares
        Fitted; the last step of what `dha_utils.evaluation.ensemble.layer_classifier` returns for ``converging``, ``released`` or
        ``least_squares``.
    """

    def __init__(self, machine: CalibratedSVM | CalibratedLeastSquares):
        super().__init__()
        if isinstance(machine, CalibratedLeastSquares):
            self.degree, self.gamma, vectors = machine.degree, 1.0, machine.vectors_
            self.decide: nn.Module = _linear(machine.coefficients_, machine.offset_)
        else:
            self.degree, self.gamma, vectors = machine.svm.degree, machine.svm.gamma, machine.vectors_
            if len(machine.classes_) == 2:
                self.decide = _linear(machine.svm_.dual_coef_.T, machine.svm_.intercept_)
            else:
                self.decide = Pairs(machine)
                vectors = self.decide.vectors
        self.register_buffer("vectors", torch.from_numpy(np.ascontiguousarray(self.gamma * vectors.T)))

    def forward(self, x: Tensor) -> Tensor:
        """Return what is said of responses of unit length."""
        return self.decide((F.normalize(x) @ self.vectors) ** self.degree)


def _linear(weight: np.ndarray, offset: np.ndarray) -> nn.Linear:
    """Return the module that multiplies by a matrix (inputs, outputs) and adds an offset."""
    module = nn.Linear(*weight.shape, dtype=torch.float64)
    module.load_state_dict(
        {"weight": torch.from_numpy(weight.T.copy()), "bias": torch.from_numpy(offset.copy())}
    )
    return module


class EnsembleScores(nn.Module):
    """The ensemble: responses of every tap, each (clips, maps), float64 -> scores (clips, classes).

    Parameters
    ----------
    ensemble : LayerEnsemble
        Fitted to all maps, none ignored.
    """

    def __init__(self, ensemble: LayerEnsemble):
        super().__init__()
        machines = [classifier[-1] for classifier in ensemble.classifiers_]
        self.taps = nn.ModuleList(map(TapDecisions, machines))
        n_classes = len(ensemble.classes_)
        in_pairs = n_classes > 2 and isinstance(machines[0], CalibratedSVM)
        self.votes = Votes(n_classes) if in_pairs else nn.Identity()
        slopes, offsets = np.stack([machine.sigmoids_ for machine in machines], axis=1)[:, :, None]
        self.register_buffer("slopes", torch.from_numpy(slopes))
        self.register_buffer("offsets", torch.from_numpy(offsets))

    def forward(self, responses: Sequence[Tensor]) -> Tensor:
        """Return the mean of the taps' probabilities."""
        said = torch.stack([tap(x) for tap, x in zip(self.taps, responses, strict=True)])
        shares = torch.sigmoid(-(self.slopes * self.votes(said) + self.offsets))
        if shares.shape[2] == 1:
            return torch.cat([1 - shares, shares], 2).mean(0)
        total = shares.sum(2, keepdim=True)
        scores = torch.where(total > 0, shares / torch.where(total > 0, total, 1.0), 1 / shares.shape[2])
        return scores.mean(0)


class Scoring(nn.Module):
    """A network with its classifiers: waveforms (clips, samples) -> the average of every map of every tap, and the scores.

    Parameters
    ----------
    network : Network
    ensemble : LayerEnsemble
        Fitted to its averages, taps side by side, none ignored.
    """

    def __init__(self, network: Network, ensemble: LayerEnsemble):
        super().__init__()
        self.network, self.ensemble = network, EnsembleScores(ensemble)

    def forward(self, waveforms: Tensor) -> tuple[Tensor, ...]:
        """Return the responses of every tap, each (clips, maps), float32, then the scores, (clips, classes), float64."""
        responses = [mean_over_positions(maps) for _, maps in self.network.features(waveforms)]
        return *responses, self.ensemble([x.double() for x in responses])
