r"""Refitting convolutions with long kernels, in a fraction of the work.

Conventions: a convolution of stride 1 along its last axis sees at position t of its output the window ``x[:, :, t : t + kernel]``
of an input (frames, maps, length) that is zero-padded already; the positions of all frames are the observations.

The least squares of `dha_utils.pruning.refitting` need the second moments of these windows. Two neighbouring windows differ in
their ends alone, so with S the sum over frames and T the number of positions

.. math:: G_{k+1,l+1} = G_{k,l} - S(x_k x_l^\top) + S(x_{T+k} x_{T+l}^\top),

and only the moments with k = 0 are sums over positions. Nothing is left out: it is the covariance method of linear prediction.
"""

import torch
from torch import Tensor

FRAMES = 250
"""Frames whose sums are taken in single precision, before they are added in double."""


def window_moments(x: Tensor, kernel: int) -> Tensor:
    """Return the second moments of all windows, (maps * kernel + 1, maps * kernel + 1), float64; the last input is always one.

    Parameters
    ----------
    x : Tensor, shape (frames, maps, length), float32
    kernel : int
    """
    maps, length = x.shape[1:]
    positions = length - kernel + 1
    moments = torch.zeros(kernel, maps, kernel, maps, dtype=torch.float64)
    edges = torch.zeros(kernel - 1, maps, kernel - 1, maps, dtype=torch.float64)
    sums = torch.zeros(kernel, maps, dtype=torch.float64)
    for part in x.split(FRAMES):
        by_time = part.permute(2, 0, 1).contiguous()  # windows of times are then views
        for lag in range(kernel):
            here, later = by_time[:positions].flatten(0, 1), by_time[lag : lag + positions].flatten(0, 1)
            moments[0, :, lag] += here.T @ later
            sums[lag] += later.sum(0)
        for first, sign in ((0, -1), (positions, 1)):
            ends = by_time[first : first + kernel - 1].transpose(0, 1).flatten(1)
            edges.view(len(ends.T), -1).add_(ends.T @ ends, alpha=sign)
    moments[1:, :, 0] = moments[0, :, 1:].permute(1, 2, 0)
    for k in range(1, kernel):
        moments[k, :, 1:] = moments[k - 1, :, :-1] + edges[k - 1]
    size = maps * kernel
    # As weights lie: map after map, each with its kernel.
    gram = torch.empty(size + 1, size + 1, dtype=torch.float64)
    gram[:size, :size] = moments.permute(1, 0, 3, 2).reshape(size, size)
    gram[size, :size] = gram[:size, size] = sums.T.flatten()
    gram[size, size] = positions * len(x)
    return gram


def window_products(x: Tensor, y: Tensor, kernel: int) -> Tensor:
    """Return the moments of all windows with what is asked of them, (maps * kernel + 1, maps_out), float64.

    Parameters
    ----------
    x : Tensor, shape (frames, maps, length), float32
    y : Tensor, shape (frames, maps_out, positions), float32
    kernel : int
    """
    maps, positions = x.shape[1], y.shape[2]
    products = torch.zeros(kernel, maps, y.shape[1], dtype=torch.float64)
    total = torch.zeros(y.shape[1], dtype=torch.float64)
    for part, asked in zip(x.split(FRAMES), y.split(FRAMES), strict=True):
        by_time, wanted = part.permute(2, 0, 1).contiguous(), asked.permute(2, 0, 1).flatten(0, 1)
        for lag in range(kernel):
            products[lag] += by_time[lag : lag + positions].flatten(0, 1).T @ wanted
        total += wanted.sum(0)
    return torch.cat([products.transpose(0, 1).flatten(0, 1), total[None]])


def refit(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    r"""Return kernels and biases that make of `x` what comes nearest to `y`: as `dha_utils.pruning.refitting.fit` does.

    Parameters
    ----------
    x, y : Tensor
        As in `window_products`.
    weight : Tensor, shape (maps_out, maps, kernel)
        Kernels to which the fit is pulled.
    bias : Tensor, shape (maps_out,)
    ridge : float
        Strength of the pull, relative to the energy of each input; see `dha_utils.pruning.refitting.RIDGE`.

    Returns
    -------
    weight, bias : Tensor
        Of the same shapes, float32.
    """
    kernel = weight.shape[2]
    gram = window_moments(x, kernel)
    start = torch.cat([weight.flatten(1), bias[:, None]], 1).double().T
    missing = window_products(x, y, kernel) - gram @ start
    energy = gram.diagonal().clone()
    # An input that is always zero can have any weight; it keeps its own.
    penalty = ridge * energy.clamp(min=max(1e-3 * float(energy[:-1].mean()), 1e-12))
    penalty[-1] = 0
    gram.diagonal().add_(penalty)
    fitted = (start + torch.cholesky_solve(missing, torch.linalg.cholesky(gram))).T.float()
    return fitted[:, :-1].reshape(weight.shape), fitted[:, -1].clone()
