import numpy as np
import pytest
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif

from dha_utils.criteria.information import mutual_information, ross_information


def responses(seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(4), [8, 10, 15, 20])
    x = rng.normal(size=(53, 8)) + np.linspace(0, 2, 8) * y[:, None]
    x[:, 4:] = np.maximum(x[:, 4:] - 1, 0)  # many exact zeros
    return x, y


@pytest.mark.parametrize("seed", range(5))
def test_estimate_is_scikit_learns(seed):
    x, y = responses(seed)
    # scikit-learn scales and adds noise in the same way before it estimates.
    scaled = x / x.std(axis=0)
    noise = np.random.RandomState(seed).standard_normal(x.shape)
    distinct = scaled + 1e-10 * np.maximum(1, np.abs(scaled).mean(axis=0)) * noise
    expected = mutual_info_classif(x, y, random_state=seed)
    assert ross_information(distinct, y) == pytest.approx(expected, abs=1e-12)


def test_estimate_is_that_of_the_definition_for_classes_of_few_clips():
    rng = np.random.default_rng(9)
    y = np.repeat([0, 1, 2], [2, 3, 7])
    x = rng.normal(size=12)
    terms = []
    for i in range(12):
        distance = np.abs(x - x[i])
        same = np.sort(distance[y == y[i]])  # the clip itself first
        k = min(3, len(same) - 1)
        terms.append(digamma(k) - digamma(len(same)) - digamma((distance < same[k]).sum()))
    assert ross_information(x[:, None], y)[0] == pytest.approx(max(0, digamma(12) + np.mean(terms)))


def test_criterion_gives_nats_and_their_share_of_the_labels():
    y = np.repeat([0, 1], 200)
    x = np.random.default_rng(1).normal(size=(400, 2))
    x[:, 1] += 100 * y
    got = mutual_information(x, y, y, np.random.default_rng(0))
    assert got.score[0] == pytest.approx(0, abs=0.05)
    assert got.score[1] == pytest.approx(np.log(2), abs=0.01)
    assert got.effect[1] == pytest.approx(1, abs=0.02)
    assert got.pvalue is None


def test_criterion_depends_on_nothing_but_its_arguments():
    x, y = responses()
    first, second = (mutual_information(x, y, y, np.random.default_rng(5)).score for _ in range(2))
    assert first.tolist() == second.tolist()
