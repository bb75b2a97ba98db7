import numpy as np
import pytest
from scipy.linalg import qr

from dha_utils.channels import (
    ACTIVATION_ORDERS,
    LAST_TAPS,
    by_score,
    explained_variance,
    gather_statistics,
    next_layer,
    order_filters,
    pivoted_qr_unpooled,
)
from dha_utils.compensation import layer_activations, windows
from dha_utils.errors import ParameterError

RNG = np.random.default_rng(0)
WAVEFORMS = (0.02 * RNG.normal(size=(6, 12_000))).astype(np.float32)
# 12 maps that are combinations of 4: no more than 4 are needed.
SOURCES = RNG.normal(size=(500, 4))
MIXED = SOURCES @ RNG.normal(size=(4, 12))


@pytest.fixture(scope="module")
def statistics(narrow_network):
    return gather_statistics(narrow_network, layer_activations(narrow_network, WAVEFORMS))


def unexplained_share(x, chosen):
    """The oracle: ordinary regression of all maps on the chosen ones."""
    x = x - x.mean(0)
    fit, *_ = np.linalg.lstsq(x[:, chosen], x, rcond=None)
    return ((x - x[:, chosen] @ fit) ** 2).sum() / (x**2).sum()


@pytest.mark.parametrize("way", [explained_variance, pivoted_qr_unpooled])
def test_unexplained_is_that_of_a_regression(way):
    x = MIXED + 0.3 * RNG.normal(size=MIXED.shape)
    order, unexplained = way(np.cov(x.T))
    assert sorted(order) == list(range(12))
    for k in (1, 3, 7, 12):
        assert unexplained[k] == pytest.approx(unexplained_share(x, order[:k]), abs=1e-8)
    assert (np.diff(unexplained) <= 1e-12).all()


@pytest.mark.parametrize("way", [explained_variance, pivoted_qr_unpooled])
def test_combinations_of_few_are_found_out(way):
    _, unexplained = way(np.cov(MIXED.T))
    assert unexplained[4] < 1e-8 < unexplained[3]


def test_first_choice_is_the_best_of_all():
    x = MIXED + 0.3 * RNG.normal(size=MIXED.shape)
    order, _ = explained_variance(np.cov(x.T))
    assert order[0] == np.argmin([unexplained_share(x, [c]) for c in range(12)])


def test_pivots_are_those_of_qr():
    x = MIXED + 0.3 * RNG.normal(size=MIXED.shape)
    _, pivots = qr(x - x.mean(0), mode="r", pivoting=True)
    np.testing.assert_array_equal(pivoted_qr_unpooled(np.cov(x.T))[0], pivots)


def test_maps_that_never_vary_come_last():
    x = MIXED.copy()
    x[:, [0, 5]] = 1.0
    for way in (explained_variance, pivoted_qr_unpooled):
        assert set(way(np.cov(x.T))[0][-2:]) == {0, 5}


def test_statistics_are_those_of_the_activations(narrow_network, statistics):
    x = layer_activations(narrow_network, WAVEFORMS)[2]
    flat = x.transpose(0, 1).flatten(1).double().numpy()
    np.testing.assert_allclose(statistics[1].covariance, np.cov(flat), rtol=1e-6)
    assert statistics[1].inputs.shape == (32 * 16, 32 * 16)
    assert statistics[-1].inputs is None


def test_next_layer_leaves_what_a_regression_leaves(narrow_network, statistics):
    """The share of the next convolution's energy that is lost with the first maps, against numpy.linalg.lstsq."""
    layer, kernel = statistics[1], 16
    order, unexplained = next_layer(layer)
    x = layer_activations(narrow_network, WAVEFORMS)[2]
    inputs = np.concatenate([w.double().numpy() for w in windows(x, narrow_network.layers[2])])
    targets = inputs @ layer.next_kernel.T
    for k in (1, 2, 5):
        columns = np.concatenate([np.arange(c * kernel, (c + 1) * kernel) for c in order[:k]])
        fit, *_ = np.linalg.lstsq(inputs[:, columns], targets, rcond=None)
        left = ((targets - inputs[:, columns] @ fit) ** 2).sum() / (targets**2).sum()
        assert unexplained[k] == pytest.approx(left, rel=0.02, abs=1e-4)
    assert sorted(order) == list(range(32))


@pytest.mark.parametrize("criterion", [*ACTIVATION_ORDERS, "l1", "bn_scale"])
def test_every_layer_gets_an_order(narrow_network, statistics, criterion):
    orders = order_filters(criterion, model=narrow_network, statistics=statistics)
    assert list(orders) == [f"conv{n}" for n in range(1, 8)]
    for (channels, lost), layer in zip(orders.values(), narrow_network.layers, strict=True):
        assert sorted(channels) == list(range(layer.maps_out))
        assert lost[0] == pytest.approx(1)
        assert (np.diff(lost) <= 1e-6).all()  # of next_layer, which guards against rounding, not exactly


def test_criteria_on_responses(narrow_network, statistics, make_responses):
    taps = dict(zip(LAST_TAPS, [layer.maps_out for layer in narrow_network.layers], strict=True))
    responses = make_responses(taps)
    orders = order_filters("anova", model=narrow_network, statistics=statistics, responses=responses)
    # The maps that tell the classes apart, by construction.
    assert set(orders["conv6"].channels[:4]) == {0, 1, 2, 3}
    first, second = (
        order_filters("random", model=narrow_network, statistics=statistics, responses=responses, seed=seed)[
            "conv3"
        ]
        for seed in (0, 1)
    )
    assert (first.channels != second.channels).any()
    # Any random map is worth as much as another, whatever its number.
    np.testing.assert_allclose(first.lost, np.linspace(1, 0, len(first.channels) + 1))


def test_what_is_lost_of_a_score_is_the_share_of_the_maps_that_go():
    score = RNG.gamma(2, size=9)
    score[4] = -np.inf
    order, lost = by_score(score)
    assert order[-1] == 4
    for k in range(9):
        gone = [c for c in range(9) if c not in order[:k] and c != 4]
        assert lost[k] == pytest.approx(score[gone].sum() / score[np.isfinite(score)].sum())
    assert lost[-2:].tolist() == [0, 0]  # the undefined one goes for nothing


def test_a_layer_without_any_score_is_divided_evenly():
    np.testing.assert_allclose(by_score(np.full(4, -np.inf)).lost, np.linspace(1, 0, 5))


@pytest.mark.parametrize(("name", "hint"), [("explained_varance", "explained_variance"), ("apozz", "")])
def test_unknown_criterion(narrow_network, statistics, name, hint):
    with pytest.raises(ParameterError, match=f"unknown criterion for filters '{name}'.*{hint}"):
        order_filters(name, model=narrow_network, statistics=statistics)
