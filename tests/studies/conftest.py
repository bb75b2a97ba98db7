import numpy as np
import pytest
import torch

from dha_utils.networks.crepe import FRAME, WIDTHS, Crepe
from dha_utils.responses.table import Responses
from dha_utils.studies.pitch_sounds import draw_sounds


@pytest.fixture
def both(make_responses):
    """Responses, and those of another padding: other values, and a few maps that say nothing any more."""
    made = make_responses()
    provenance = made.provenance | {"parameters": {"rate": 22_050, "duration": 5.0, "channel": "mean"}}
    rng = np.random.default_rng(1)
    other = {}
    for tap, array in made.arrays.items():
        other[tap] = (array + rng.normal(0.5, 0.7, array.shape)).astype(np.float32)
        other[tap][:, -3:] = 7.3
    return Responses(made.arrays, made.table, provenance), Responses(other, made.table, provenance)


@pytest.fixture(scope="module")
def small_crepe():
    """A CREPE of few maps, with seeded random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WIDTHS, "crepe-tiny", (12, 6, 5, 5, 6, 8))
        torch.manual_seed(0)
        return Crepe("crepe-tiny", hop=FRAME).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def pitched():
    """Frames whose pitch is known."""
    return draw_sounds(100, seed=0)
