import os

import joblib
import numpy as np
import pandas as pd
import pytest
from zoo import random_soundnet

from dha_utils.core.paths import bundled
from dha_utils.core.work import workers
from dha_utils.networks.soundnet import SoundNet
from dha_utils.responses.table import Responses

LONGEST = ("test_notebooks.py", "test_pipeline.py")
"""Files that take minutes."""


@pytest.hookimpl(optionalhook=True)  # there is no such hook without pytest-xdist
def pytest_xdist_auto_num_workers():
    """One process per core; more than four would only wait for the longest file."""
    return min(joblib.cpu_count(), 4)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs):
    """Give every process its share of the cores: with a thread per core in each, threads would wait for one another.

    NumPy and PyTorch read the first when they are imported; the kernels and commands that tests start inherit both.
    """
    share = str(max(1, joblib.cpu_count() // len(specs)))
    os.environ.setdefault("OMP_NUM_THREADS", share)
    os.environ["LOKY_MAX_CPU_COUNT"] = share


def pytest_collection_modifyitems(items):
    """Where several processes test at once, the longest files begin, so that none is left over when all others are done."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def alone():
    """No processes are started for work that takes no time; tests of others who do it say so."""
    with workers(n=1):
        yield


@pytest.fixture(scope="session")
def random_network():
    """A SoundNet with seeded random weights whose activations stay near unit size."""
    return random_soundnet()


@pytest.fixture(scope="session")
def output_padded_network(random_network):
    """The same with the released padding."""
    model = SoundNet(padding="released")
    model.load_state_dict(random_network.state_dict())
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def narrow_network(random_network):
    """The same with few maps in the upper layers, so that fitting them takes no time."""
    from dha_utils.pruning.surgery import prune_network

    narrow = {"conv3": 24, "conv4": 16, "conv5": 16, "conv6": 12, "conv7": 10}
    return prune_network(random_network, {layer: np.arange(n) for layer, n in narrow.items()})


@pytest.fixture
def make_responses():
    """Return a function that makes responses in which the first `n_good` maps of each tap tell the classes apart."""

    def make(taps=None, *, n_classes=4, per_class=15, n_good=4, strength=3.0, folds=5, seed=0):
        rng = np.random.default_rng(seed)
        n = n_classes * per_class
        y = np.tile(np.arange(n_classes), per_class)
        arrays = {}
        for tap, n_maps in (taps or {"relu6": 12, "relu7": 20}).items():
            x = rng.normal(size=(n, n_maps)) + 5.0
            x[:, :n_good] += strength * rng.normal(size=(n_classes, n_good))[y]
            arrays[tap] = x.astype(np.float32)
        pair = np.arange(n) // n_classes // 2  # two clips of a class are of one recording, and in one fold
        table = pd.DataFrame(
            {
                "clip": [f"clip{i:03d}" for i in range(n)],
                "label": [f"class{label}" for label in y],
                "fold": pair % folds + 1,
                "recording": [f"recording{k}-{label}" for k, label in zip(pair, y, strict=True)],
            }
        )
        parameters = {"rate": 22050, "duration": 5.0}
        provenance = {
            "dataset": "made-up", "clip_list_sha256": "0", "weights_sha256": "0", "parameters": parameters
        }  # fmt: skip
        return Responses(arrays, table, provenance)

    return make


@pytest.fixture(scope="session")
def esc10():
    """The bundled responses of ESC-10 at 22 050 Hz."""
    return Responses.load(bundled("esc10") / "responses_22050.safetensors")
