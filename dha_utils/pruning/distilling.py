"""Training of a smaller network on what the full one says: gradients, but no labels.

Least squares fit one layer after another; here all are trained at once. For networks whose outputs are logits of independent
shares, such as CREPE's bins of pitch.

References
----------
Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

BATCH_SIZE = 50

LEARNING_RATE = 1e-3
"""Of Adam, after a start of `WARM` steps; it falls to 0 along a line. Not tuned."""

WARM = 20


def distil(
    network: nn.Module,
    forward: Callable[[Tensor], Tensor],
    x: Tensor,
    wanted: Tensor,
    *,
    epochs: int,
    seed: int = 0,
) -> None:
    """Train all parameters of a network, in place, on outputs that are given.

    Batch norm keeps its statistics.

    Parameters
    ----------
    network : Module
        In evaluation mode, as it is left.
    forward : callable
        ``forward(x) -> Tensor``: logits of the network for some inputs.
    x : Tensor, shape (inputs, ...)
    wanted : Tensor, of the shape of all outputs
        What the full network says, in [0, 1]; the loss is the cross-entropy with it.
    epochs : int
        Passes over the inputs.
    seed : int
        Of their order.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * -(-len(x) // BATCH_SIZE)
    optimiser = torch.optim.Adam(network.requires_grad_().parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1, (step + 1) / WARM) * (1 - step / steps)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(BATCH_SIZE):
            loss = nn.functional.binary_cross_entropy_with_logits(forward(x[rows]), wanted[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.requires_grad_(False)
