import numpy as np
import pytest

from dha_utils.studies.sweeps import Cell, fold_selections


@pytest.fixture
def responses(make_responses):
    responses = make_responses({"relu6": 30, "relu7": 50}, n_good=10, per_class=25)
    responses.arrays["relu7"][:, -1] = 2.0
    return responses


@pytest.fixture
def dominated(make_responses):
    """Maps that differ a little, one wild clip in most maps of relu7, a map that fires for that clip alone, a constant one."""
    responses = make_responses({"relu6": 12, "relu7": 30}, n_good=12, strength=0.7, per_class=20)
    wild = int(np.flatnonzero(responses.folds == 3)[0])
    responses["relu7"][wild, :25] = 300
    responses["relu7"][:, 28] = np.arange(len(responses)) == wild
    responses["relu7"][:, 29] = 0.1
    return responses


@pytest.fixture
def selections(make_responses):
    responses = make_responses({"bn6": 40, "relu6": 40, "relu7": 60})
    draws = [fold_selections(responses, Cell("random", 0.2, seed)) for seed in range(3)]
    return responses, {"anova": [fold_selections(responses, Cell("anova", 0.2))], "random": draws}
