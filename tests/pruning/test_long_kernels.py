"""Against the windows themselves, written out, and against the refit of every other convolution."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dha_utils.pruning import long_kernels
from dha_utils.pruning.refitting import fit


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


def test_refits_as_every_other_layer_is_refitted(data):
    x, y = data
    torch.manual_seed(1)
    weight, bias = torch.randn(4, 3, 6), torch.randn(4)
    found = long_kernels.refit(x, y, weight, bias, 0.1)
    seen = x.unfold(2, 6, 1).permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
    expected = fit(weight.flatten(1), bias, [(seen, y.permute(0, 2, 1).flatten(0, 1))], 0.1)
    torch.testing.assert_close(found[0].flatten(1), expected[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-4)


def test_a_map_that_is_always_silent_keeps_its_kernel(data):
    """The targets are then met by the bias alone."""
    x, y = data
    weight = torch.ones(4, 3, 6)
    found, bias = long_kernels.refit(torch.zeros_like(x), y, weight, torch.zeros(4), 0.1)
    torch.testing.assert_close(found, weight)
    torch.testing.assert_close(bias, y.mean(dim=(0, 2)))
