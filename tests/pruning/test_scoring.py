import numpy as np
import pytest
import torch

from dha_utils.evaluation.ensemble import Layer, LayerEnsemble
from dha_utils.evaluation.svm import decide
from dha_utils.pruning.scoring import EnsembleScores, Pairs, Scoring, Votes
from dha_utils.responses.pooling import pool_maps


def points(n_classes, n=60, n_maps=7):
    rng = np.random.default_rng(n_classes)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, 2 * n_maps)) + y[:, None] * rng.normal(size=2 * n_maps), y


def fitted(n_classes, classifier="converging"):
    layers = [Layer("low", 7, 3, 2.0), Layer("high", 7, 5, 1.5)]
    return LayerEnsemble(layers, classifier=classifier).fit(*points(n_classes))


@pytest.mark.parametrize("classifier", ["converging", "released", "least_squares"])
@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_scores_are_those_of_scikit_learn_s_estimators(classifier, n_classes):
    ensemble = fitted(n_classes, classifier)
    new = np.vstack([points(n_classes, 30)[0] + 0.1, np.zeros((1, 14))])  # of silence too
    with torch.inference_mode():
        said = EnsembleScores(ensemble)([torch.from_numpy(x) for x in np.split(new, 2, axis=1)])
    np.testing.assert_allclose(said.numpy(), ensemble.predict_proba(new), rtol=1e-7, atol=1e-12)


def test_votes_and_confidences_are_the_svm_s():
    machine = fitted(4).classifiers_[0][-1]
    pairs, counts = Pairs(machine), machine.svm_.n_support_
    kernel = np.random.default_rng(0).normal(size=(9, len(pairs.vectors)))
    kernel[0] = 0  # what is left are the intercepts
    at = np.concatenate([np.arange(count) + i * max(counts) for i, count in enumerate(counts)])
    said = Votes(4)(pairs(torch.from_numpy(kernel)))
    np.testing.assert_allclose(said.numpy(), decide(machine.svm_, kernel[:, at]), rtol=1e-12)


def test_a_draw_is_the_first_one_s():
    machine = fitted(3).classifiers_[0][-1]
    pairs, counts = Pairs(machine), machine.svm_.n_support_
    machine.svm_.intercept_[:] = 0
    pairs.intercept.zero_()
    said = Votes(3)(pairs(torch.zeros(1, len(pairs.vectors), dtype=torch.float64)))
    np.testing.assert_array_equal(said.numpy(), decide(machine.svm_, np.zeros((1, sum(counts)))))


def test_a_network_s_scores_are_those_of_its_averages(small, ensemble_of):
    ensemble = ensemble_of(["loud", "middle", "soft"])
    waveforms = 0.05 * torch.randn(4, 8_000, generator=torch.Generator().manual_seed(1))
    pooled = pool_maps(small.fast(), list(waveforms.numpy()))
    x = np.concatenate([pooled[tap] for tap in small.taps], axis=1)
    with torch.inference_mode():
        *responses, scores = Scoring(small, ensemble).eval()(waveforms)
    np.testing.assert_allclose(scores.numpy(), ensemble.predict_proba(x), atol=1e-5)
    for tap, response in zip(small.taps, responses, strict=True):
        np.testing.assert_allclose(response.numpy(), pooled[tap], rtol=1e-4, atol=1e-6)
