import numpy as np
import pytest

from dha_utils.responses.table import Responses


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
