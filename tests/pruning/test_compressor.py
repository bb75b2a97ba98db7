from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from dha_utils.core.errors import ParameterError
from dha_utils.core.paths import bundled, data_dir
from dha_utils.networks.activations import layer_activations
from dha_utils.networks.registry import outline
from dha_utils.pruning.allocation import allocate
from dha_utils.pruning.compressor import (
    FOLDS,
    MARK,
    PSNET_SIZE,
    Compressor,
    Trial,
    clips_that_fit,
    fit_key,
    network_responses,
)
from dha_utils.pruning.finetuning import fine_tune
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.table import Responses
from dha_utils.studies.sweep_store import committed_file, kept_file, load_results, results_key
from dha_utils.studies.trials import (
    CompressionStudy,
    compensation_trials,
    equal_trials,
    frontier_trials,
    load_study,
    paper_trials,
    run_trials,
    tuned_trials,
    widths_trials,
)

RNG = np.random.default_rng(0)
N = 24
# Two classes of noise: one loud, one soft.
Y = np.arange(N) % 2
WAVEFORMS = (RNG.normal(size=(N, 8_000)) * np.where(Y, 0.05, 0.01)[:, None]).astype(np.float32)
TRIAL = Trial("explained_variance", "8-16-20-10-10-8-6")


@pytest.fixture(scope="module")
def responses(narrow_network):
    table = pd.DataFrame(
        {
            "clip": [f"{i}" for i in range(N)],
            "label": [f"class{label}" for label in Y],
            "fold": np.arange(N) // 2 % 2 + 1,
            "recording": [f"{i}" for i in range(N)],
        }
    )
    parameters = {"rate": 22050, "duration": 0.5}
    provenance = {
        "dataset": "made-up",
        "clip_list_sha256": "0",
        "weights_sha256": "0",
        "parameters": parameters,
    }
    return network_responses(narrow_network, WAVEFORMS, Responses({}, table, provenance))


@pytest.fixture(scope="module")
def study(narrow_network, responses):
    return CompressionStudy(narrow_network, WAVEFORMS, responses)


def test_responses_are_averages_of_the_taps(narrow_network, responses):
    for tap, maps in narrow_network.features(torch.from_numpy(WAVEFORMS)):
        expected = maps.mean(2).numpy()
        np.testing.assert_allclose(responses[tap], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_networks_have_the_widths_asked_for(study):
    networks = study.networks(TRIAL)
    assert list(networks) == [1, 2]
    assert all(list(small.widths.values()) == [8, 16, 20, 10, 10, 8, 6] for small in networks.values())


def test_test_clips_have_no_part_in_what_is_made_for_them(narrow_network, responses):
    """Other sounds in the test fold change nothing in the network that is made for it."""
    spoiled = WAVEFORMS.copy()
    spoiled[responses.folds == 1] = RNG.normal(size=(N // 2, 8_000)) * 0.5
    one, other = (
        CompressionStudy(narrow_network, w, network_responses(narrow_network, w, responses)).networks(TRIAL)[
            1
        ]
        for w in (WAVEFORMS, spoiled)
    )
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_trial_is_described_and_kept(study, responses, tmp_path):
    (result,) = run_trials([TRIAL], responses, lambda: study, store=tmp_path)
    assert result["criterion"] == "explained_variance"
    assert result["layer_maps"] == [[8, 16, 20, 10, 10, 8, 6]] * 2
    assert 0 < result["macs"] < 1
    assert 0 < result["parameters"] < 1
    assert result["accuracy"]["all"] > 0.8  # loud and soft are easy to tell apart

    def unasked():
        raise AssertionError("the trial is in the store")

    assert run_trials([TRIAL], responses, unasked, store=tmp_path) == [result]


def test_a_budget_is_kept(narrow_network, study):
    (small, _) = study.networks(Trial("l1", "0.5")).values()
    assert sum(small.widths.values()) < sum(narrow_network.widths.values())


def test_a_budget_is_divided_by_the_criterion_itself_or_by_another(narrow_network, study):
    """Oracle: the allocation of the curves of the criterion that is named."""
    compressor = study.compressor(1)

    def maps(criterion, widths):
        return [len(kept) for kept in compressor.keep(Trial(criterion, "0.5", widths=widths)).values()]

    def allocated(criterion):
        lost = {layer: order.lost for layer, order in compressor.order(criterion, 0).items()}
        return list(allocate(narrow_network, lost, WAVEFORMS.shape[1], 0.5).values())

    assert maps("l1", "own") == allocated("l1") != allocated("explained_variance")
    assert maps("l1", "explained_variance") == allocated("explained_variance")
    assert maps("random", "anova") == maps("anova", "own")


def test_random_filters_are_drawn_anew_in_every_fold(study):
    first, second = (study.compressor(fold).keep(Trial("random", "8-16-20-10-10-8-6")) for fold in (1, 2))
    assert (first["conv3"] != second["conv3"]).any()


def test_psnet_has_one_size(random_network, responses):
    compressor = Compressor(random_network, WAVEFORMS[:2], responses.take([0, 1]))
    with pytest.raises(ParameterError, match=f"'psnet' names {PSNET_SIZE} maps, not 0.5: give that as size"):
        compressor.keep(Trial("psnet", "0.5"))


def test_the_mark_of_components_costs_what_maps_cost_and_never_sees_test_clips(
    narrow_network, responses, study
):
    mark = replace(TRIAL, compensation=MARK)
    result = study.describe(mark)
    assert result["layer_maps"] == [[8, 16, 20, 10, 10, 8, 6]] * 2
    assert {kind: result[kind] for kind in ("macs", "parameters")} == {
        kind: study.describe(TRIAL)[kind] for kind in ("macs", "parameters")
    }
    seen = study.compressor(1).marked_responses(mark)
    for tap, maps in seen.arrays.items():
        rank = np.linalg.matrix_rank(maps - maps.mean(axis=0), tol=1e-3 * np.ptp(maps))
        assert 0 < rank <= result["layer_maps"][0][int(tap[-1]) - 1]
    every = Trial("l1", "-".join(map(str, narrow_network.widths.values())), MARK)
    for tap, maps in study.compressor(1).marked_responses(every).arrays.items():  # all components hold all
        expected = responses[tap]
        np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    spoiled = np.where((responses.folds == 1)[:, None], 1 - WAVEFORMS, WAVEFORMS).astype(np.float32)
    other = CompressionStudy(narrow_network, spoiled, network_responses(narrow_network, spoiled, responses))
    again, training = other.compressor(1).marked_responses(mark), responses.folds != 1
    for tap, maps in seen.arrays.items():
        np.testing.assert_allclose(again[tap][training], maps[training], rtol=1e-5, atol=1e-5)


def test_fine_tuning_learns_and_is_repeatable(narrow_network):
    def separation(model):
        *_, (_, maps) = model.stages(torch.from_numpy(WAVEFORMS))
        x = maps.mean(2).numpy()
        apart = x[Y == 1].mean(0) - x[Y == 0].mean(0)
        return float(np.linalg.norm(apart) / np.linalg.norm(x - apart * Y[:, None] - x[Y == 0].mean(0)))

    one, other = (
        fine_tune(prune_network(narrow_network, {}), WAVEFORMS, Y, epochs=3, seed=1) for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not torch.equal(one.conv3.weight, narrow_network.conv3.weight)
    assert torch.equal(one.bn3.running_mean, narrow_network.bn3.running_mean)
    assert separation(one) > separation(narrow_network)
    assert not any(parameter.requires_grad for parameter in one.parameters())


def test_bundled_trials_come_out_again(esc10):
    """One of the bundled trials, from the audio."""
    if data_dir() is None:
        pytest.skip("the audio of ESC-10 is needed: set DHA_DATA to the folder that holds it")
    trial = Trial("psnet", PSNET_SIZE, "removed")
    kept = load_results(committed_file("trials", esc10), Trial, esc10)[trial]
    (again,) = run_trials([trial], esc10, lambda: load_study(esc10, "esc10"), full=True)
    assert again["macs"] == kept["macs"]
    assert abs(again["accuracy"]["all"] - kept["accuracy"]["all"]) <= 0.01


def test_bundled_trials_are_all_there(esc10):
    kept = load_results(committed_file("trials", esc10), Trial, esc10)
    wanted = [
        *compensation_trials(20),
        *paper_trials(),
        *widths_trials(20),
        *tuned_trials(5),
        *frontier_trials(2),
        *equal_trials(20),
    ]
    assert set(kept) == set(wanted)


@pytest.fixture
def little_memory(monkeypatch, narrow_network):
    """Let the activations of 4 clips fit beside the waveforms, and not those of all."""
    n_samples = WAVEFORMS.shape[1]
    assert clips_that_fit(narrow_network, n_samples, N) is None
    shapes = narrow_network.shapes(n_samples)
    handed_on = [np.prod(shapes[layer.stages[-1]]) for layer in narrow_network.layers.values()]
    each = FOLDS * (n_samples + sum(handed_on)) + 5 * max(n_samples, *handed_on)
    monkeypatch.setattr("dha_utils.pruning.compressor.FIT_BYTES", 4 * (N * n_samples + 4 * each))
    assert clips_that_fit(narrow_network, n_samples, N) == 4


def test_where_not_all_fit_kernels_are_fitted_to_a_stratified_sample(
    little_memory, narrow_network, responses, monkeypatch
):
    study = CompressionStudy(narrow_network, WAVEFORMS, responses)
    assert study.activations is None
    for fold in study.folds:
        compressor = study.compressor(fold)
        assert np.bincount(Y[compressor.fitted]).tolist() == [2, 2]
        assert not (compressor.fitted & (responses.folds == fold)).any()
        assert compressor.training.sum() == N // 2  # what pooled responses, and labels, are taken from
        for one, other in zip(
            compressor.activations,
            layer_activations(narrow_network, WAVEFORMS[compressor.fitted]),
            strict=True,
        ):
            assert torch.equal(one, other)
    again = CompressionStudy(narrow_network, WAVEFORMS, responses)
    for fold in study.folds:
        np.testing.assert_array_equal(again.compressor(fold).fitted, study.compressor(fold).fitted)
    assert study.describe(TRIAL)["fitted"] == 4
    monkeypatch.setattr("dha_utils.pruning.compressor.FIT_CLIPS", 2)
    assert clips_that_fit(narrow_network, WAVEFORMS.shape[1], N) == 2


def test_what_is_fitted_to_a_sample_is_kept_under_a_key_of_its_own(responses, monkeypatch, tmp_path):
    monkeypatch.setattr("dha_utils.pruning.compressor.network_behind", lambda _: outline())
    keys, files = [], []
    for room in (6e9, 1e7):
        monkeypatch.setattr("dha_utils.pruning.compressor.FIT_BYTES", room)
        keys.append(results_key("trials", responses))
        files.append(kept_file("trials", responses, tmp_path))
        assert "fitted" not in results_key("sweep", responses)["parameters"]
    assert "fitted" not in keys[0]["parameters"]
    assert 1 <= keys[1]["parameters"]["fitted"] < N
    assert files[0] != files[1]


@pytest.mark.parametrize(("dataset", "expected"), [("esc10", {}), ("esc50", {"fitted": 400})])
def test_all_training_clips_of_esc10_fit_and_400_of_esc50(dataset, expected):
    assert fit_key(Responses.load(bundled(dataset) / "responses_22050.safetensors")) == expected
