import numpy as np
import pytest

from dha_utils.evaluation.ensemble import Layer, LayerEnsemble
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.pooling import pool_maps

N_SAMPLES = 8_000


@pytest.fixture(scope="session")
def small(random_network):
    """A narrow network of the kind that ``dha prune`` makes."""
    narrow = {"conv1": 4, "conv2": 6, "conv3": 8, "conv4": 8, "conv5": 8, "conv6": 8, "conv7": 8}
    return prune_network(random_network, {layer: np.arange(n) for layer, n in narrow.items()})


@pytest.fixture(scope="session")
def ensemble_of(small):
    """Makes classifiers that tell the level of noise from the small network's responses."""

    def make(labels: list[str], classifier: str = "converging") -> LayerEnsemble:
        rng = np.random.default_rng(0)
        y = np.arange(10 * len(labels)) % len(labels)
        waveforms = rng.normal(size=(len(y), N_SAMPLES)) * (0.1 / 10**y)[:, None]
        pooled = pool_maps(small.fast(), list(waveforms.astype(np.float32)))
        layers = [Layer(tap, n) for tap, n in small.tap_maps.items()]
        return LayerEnsemble(layers, classifier=classifier).fit(
            np.concatenate([pooled[tap] for tap in small.taps], axis=1), np.array(labels)[y]
        )

    return make
