"""Against the windows themselves, written out, and against the refit of every other convolution."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dha_utils.pruning import compensation, long_kernels


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setattr(long_kernels, "FRAMES", 3)
    generator = torch.Generator().manual_seed(0)
    x = F.pad(torch.randn(8, 3, 10, generator=generator), (2, 3)) + 0.1
    return x, torch.randn(8, 4, 10, generator=generator)


def test_moments_are_those_of_the_windows(data):
    x, y = data
    written_out = x.unfold(2, 6, 1).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    written_out = F.pad(written_out, (0, 1), value=1.0).double().numpy()
    found = long_kernels.window_moments(x, 6)
    np.testing.assert_allclose(found, written_out.T @ written_out, atol=1e-4)
    asked = y.permute(0, 2, 1).flatten(0, 1).double().numpy()
    np.testing.assert_allclose(long_kernels.window_products(x, y, 6), written_out.T @ asked, atol=1e-4)


def test_windows_as_long_as_the_input_have_one_position(data):
    x, _ = data
    written_out = F.pad(x.flatten(1), (0, 1), value=1.0).double().numpy()
    np.testing.assert_allclose(long_kernels.window_moments(x, 15), written_out.T @ written_out, atol=1e-4)


def test_refits_as_compensation_does(data):
    x, _ = data
    torch.manual_seed(1)
    original, conv = nn.Conv1d(5, 4, 6), nn.Conv1d(3, 4, 6)
    x_full = torch.cat([x, torch.randn(8, 2, 15)], 1)
    with torch.inference_mode():
        weight, bias = long_kernels.refit(x, original(x_full), conv.weight, conv.bias, 0.1)
        compensation._refit(conv, original, x_full, x, 0.1)
    torch.testing.assert_close(weight, conv.weight, rtol=0, atol=1e-4)
    torch.testing.assert_close(bias, conv.bias, rtol=0, atol=1e-4)
