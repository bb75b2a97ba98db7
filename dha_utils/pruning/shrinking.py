"""A smaller network from arrays that are at hand, in one call."""

import numpy as np
import pandas as pd
import torch

from dha_utils.core.errors import ParameterError
from dha_utils.criteria.selection import OF_RESPONSES, find_filter_criterion
from dha_utils.networks.base import Network
from dha_utils.pruning.compressor import Compressor, Trial
from dha_utils.responses.arrays import responses_of
from dha_utils.responses.table import Responses


def shrink_network(
    network: Network,
    x: np.ndarray | torch.Tensor,
    y=None,
    *,
    size: float | str = 0.5,
    criterion: str = "explained_variance",
    compensation: str = "refitted",
    widths: str = "own",
    seed: int = 0,
) -> Network:
    """Remove filters of a network, as a criterion says, and make up for them.

    Parameters
    ----------
    network : Network
        A chain (`Network.check_prunable`); left as it was.
    x : ndarray or Tensor, shape (clips, *shape)
        What is looked at: training data, not what the smaller network is to be judged by.
    y : sequence, length clips, optional
        Labels, for criteria of responses; the others look at none.
    size : float or str
        Fraction of the multiply-accumulates of the convolutions that may stay, or the maps of every layer: ``"8-16"``.
    criterion : str
        One of `dha_utils.CRITERIA` that is not computed from full maps.
    compensation : str
        One of `dha_utils.COMPENSATIONS`.
    widths : str
        Criterion that divides the budget among the layers; ``own``: the one that chooses.
    seed : int
        Of criteria that draw.

    Returns
    -------
    Network
        Of the same class; `module` of one that was wrapped is the smaller module.

    Raises
    ------
    ParameterError
        If the network cannot be cut, a name is unknown, labels are needed, or the size cannot be had.
    """
    if y is None and any(
        find_filter_criterion(c).needs in OF_RESPONSES for c in (criterion, widths) if c != "own"
    ):
        raise ParameterError(
            f"criterion {criterion!r}, or that of widths, is computed from responses: give y, the label of each"
        )
    x = np.ascontiguousarray(x.numpy(force=True) if isinstance(x, torch.Tensor) else x, np.float32)
    if y is None:
        rows = [str(number) for number in range(len(x))]
        responses = Responses({}, pd.DataFrame({"clip": rows, "label": "", "fold": 1, "recording": rows}))
    else:
        responses = responses_of(network, x, y)
    trial = Trial(criterion, str(size), compensation, seed, widths=widths)
    return Compressor(network, x, responses).small_network(trial)
