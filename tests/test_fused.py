import numpy as np
import pytest
import torch

from dha_utils.errors import DataError
from dha_utils.fused import FusedTaps
from dha_utils.soundnet import MIN_SAMPLES, TAPS


@pytest.mark.parametrize("n_samples", [MIN_SAMPLES, MIN_SAMPLES + 1, 11_025, 22_050])
def test_equals_the_plain_taps(random_network, n_samples):
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (3, n_samples)).astype(np.float32))
    with torch.inference_mode():
        expected = {tap: maps.clone() for tap, maps in random_network.taps(x)}
        got = {tap: maps.clone() for tap, maps in FusedTaps(random_network)(x)}
    assert tuple(got) == TAPS
    for tap in TAPS:
        scale = expected[tap].abs().max()
        torch.testing.assert_close(got[tap] / scale, expected[tap] / scale, rtol=0, atol=3e-6)


def test_too_short_is_refused(random_network):
    with pytest.raises(DataError, match="at least 4574 samples"):
        list(FusedTaps(random_network)(torch.zeros(1, 4000)))
