import numpy as np
import pandas as pd
import pytest

from dha_utils.networks.activations import layer_activations
from dha_utils.pruning.compensation import compensate
from dha_utils.pruning.compressor import network_responses
from dha_utils.pruning.refitting import RIDGE
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.table import Responses
from dha_utils.studies.ridge import layer_errors, load_ridge_errors, ridge_errors, summary
from dha_utils.studies.trials import CompressionStudy

RNG = np.random.default_rng(0)
N = 40
WAVEFORMS = (0.02 * RNG.normal(size=(N, 8_000))).astype(np.float32)
SIZE = "8-16-20-10-10-8-6"


@pytest.fixture(scope="module")
def study(narrow_network):
    table = pd.DataFrame(
        {
            "clip": [f"{i}" for i in range(N)],
            "label": [f"class{i % 2}" for i in range(N)],
            "fold": np.arange(N) // 2 % 2 + 1,
            "recording": [f"{i}" for i in range(N)],
        }
    )
    provenance = {
        "dataset": "made-up",
        "weights_sha256": "0",
        "parameters": {"rate": 22050, "duration": 0.5},
    }
    responses = network_responses(narrow_network, WAVEFORMS, Responses({}, table, provenance))
    return CompressionStudy(narrow_network, WAVEFORMS, responses)


def test_errors_are_those_of_the_maps(narrow_network):
    """Against NumPy, on what both networks hand on."""
    keep = {f"conv{n}": np.arange(k) for n, k in enumerate((8, 16, 20, 10, 10, 8, 6), 1)}
    small = prune_network(narrow_network, keep)
    activations = layer_activations(narrow_network, WAVEFORMS[:4])
    errors = layer_errors(small, keep, activations)
    assert list(errors) == [f"conv{n}" for n in range(2, 8)]
    for number, error in enumerate(errors.values(), 2):
        x = layer_activations(small, WAVEFORMS[:4])[number].double().numpy()
        target = activations[number][:, : x.shape[1]].double().numpy()
        spread = target - target.mean(axis=(0, 2), keepdims=True)
        assert error == pytest.approx(((x - target) ** 2).sum() / (spread**2).sum(), rel=1e-4)


def test_a_network_that_misses_nothing_has_no_error(narrow_network):
    activations = layer_activations(narrow_network, WAVEFORMS[:4])
    same = compensate(narrow_network, {}, activations, "removed")
    whole = {layer: np.arange(n) for layer, n in narrow_network.widths.items()}
    assert max(layer_errors(same, whole, activations).values()) < 1e-8


def test_a_weaker_pull_follows_the_fitted_clips_closer_and_noise_on_the_others(study):
    """Noise has nothing to be learnt but itself: what a weak pull gains on the fitted clips is lost on the held-out ones."""
    table = pd.DataFrame(ridge_errors(study, (1e-3, 1.0), SIZE))
    assert len(table) == 2 * 2 * 2 * 6
    error = table.groupby(["ridge", "clips"])["error"].mean()
    assert error[1e-3, "fitted"] < error[1.0, "fitted"]
    assert error[1e-3, "held out"] > error[1e-3, "fitted"]


def test_errors_of_a_fold_do_not_hang_on_its_test_clips(study, narrow_network):
    spoiled = WAVEFORMS.copy()
    spoiled[study.responses.folds == 1] *= 5
    responses = network_responses(narrow_network, spoiled, study.responses)
    other = CompressionStudy(narrow_network, spoiled, responses)
    one, two = (
        [row["error"] for row in ridge_errors(s, (0.1,), SIZE) if row["fold"] == 1] for s in (study, other)
    )
    np.testing.assert_allclose(one, two, rtol=1e-6)


def kept_errors(study):
    """Return made-up errors: those of folds 1 and 2 are 0.4 and 0.5, twice that on held-out clips."""
    return [
        {
            "fold": fold,
            "ridge": ridge,
            "clips": clips,
            "layer": layer,
            "error": factor * (0.3 + 0.1 * fold) + pull,
        }
        for fold in (1, 2)
        for clips, factor in (("fitted", 1), ("held out", 2))
        for ridge, pull in ((0.01, 0.1), (0.1, 0.0), (1.0, 0.2))
        for layer in ("conv2", "conv3")
    ]


def test_kept_errors_are_read_again(study, tmp_path, monkeypatch):
    monkeypatch.setattr("dha_utils.studies.ridge.ridge_errors", kept_errors)
    first = load_ridge_errors(study.responses, tmp_path, lambda: study)

    def unasked():
        raise AssertionError("the errors are kept")

    pd.testing.assert_frame_equal(load_ridge_errors(study.responses, tmp_path, unasked), first)
    assert list(first) == ["clips", "ridge", "conv2", "conv3", "mean"]
    found = summary(first)
    assert (found["used"], found["best"]) == (0.1, 0.1)
    assert (found["used_fitted"], found["best_held_out"]) == pytest.approx((0.45, 0.9))
    assert (found["weakest_held_out"], found["strongest_held_out"]) == pytest.approx((1.0, 1.1))


def test_where_only_what_is_kept_is_asked_for_nothing_is_computed(study, tmp_path):
    def unasked():
        raise AssertionError("nothing is to be computed")

    errors = load_ridge_errors(study.responses, tmp_path, unasked, only_kept=True)
    assert errors.empty
    assert summary(errors) == {"used": RIDGE}
    assert not [*tmp_path.iterdir()]
