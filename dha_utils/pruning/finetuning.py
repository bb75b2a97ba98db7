"""Fine-tuning of a small network: the optional step that, unlike all others here, uses labels and gradients.

A linear classifier is put on the averages over time of the last tap and both are trained for a few epochs with cross-entropy;
then it is thrown away, and the taps are read as before. Batch norm keeps its statistics: a few hundred clips are too few to
estimate new ones.
"""

import numpy as np
import torch
from torch import nn

from dha_utils.networks.base import Network
from dha_utils.responses.pooling import mean_over_positions

LEARNING_RATE = 1e-4
"""Of Adam. Small against the weights (about 1e-2): the network is to be mended, not trained anew. Not tuned."""

BATCH_SIZE = 16


def fine_tune(
    model: Network, waveforms: np.ndarray, y: np.ndarray, *, epochs: int = 5, seed: int = 0
) -> Network:
    """Train kernels, biases and batch norm's scale and shift of a network for a few epochs, in place.

    Parameters
    ----------
    model : Network
        Changed.
    waveforms : ndarray, shape (clips, samples), float32
        The training clips.
    y : ndarray, shape (clips,), int
        Their classes.
    epochs : int
        Passes over the clips.
    seed : int
        Of the classifier's first weights and the order of the clips.

    Returns
    -------
    Network
        `model`, in evaluation mode, without gradients.
    """
    generator = torch.Generator().manual_seed(seed)
    classes = torch.from_numpy(np.asarray(y, np.int64))
    head = nn.Linear([*model.widths.values()][-1], int(classes.max()) + 1)
    nn.init.normal_(head.weight, std=1e-2, generator=generator)
    nn.init.zeros_(head.bias)
    trained = [
        parameter.requires_grad_()
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[0] in model.chain
    ]
    optimiser = torch.optim.Adam(
        [{"params": trained}, {"params": head.parameters(), "lr": 1e-3}], lr=LEARNING_RATE
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(classes), generator=generator).split(BATCH_SIZE):
            *_, (_, maps) = model.stages(torch.from_numpy(waveforms[rows.numpy()]))
            loss = nn.functional.cross_entropy(head(mean_over_positions(maps)), classes[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval().requires_grad_(False)
