import numpy as np
import pytest
from scipy.linalg import qr

from dha_utils.core.errors import ParameterError
from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.selection import order_by, order_filters
from dha_utils.criteria.unpooled import (
    EXPLAINED,
    LayerStatistics,
    explained_variance,
    gather_statistics,
    next_layer,
    pivoted_qr_unpooled,
)
from dha_utils.networks.activations import layer_activations, windows

RNG = np.random.default_rng(0)
WAVEFORMS = (0.02 * RNG.normal(size=(6, 12_000))).astype(np.float32)
# 12 maps that are combinations of 4: no more than 4 are needed.
SOURCES = RNG.normal(size=(500, 4))
MIXED = SOURCES @ RNG.normal(size=(4, 12))


@pytest.fixture(scope="module")
def statistics(narrow_network):
    return gather_statistics(narrow_network, layer_activations(narrow_network, WAVEFORMS))


def ordered(way, x):
    """Return the order that a criterion gives the columns of x, and what is lost."""
    return order_by(way(LayerStatistics(np.cov(x.T), None, None)))


def unexplained_share(x, chosen):
    """The oracle: ordinary regression of all maps on the chosen ones."""
    x = x - x.mean(0)
    fit, *_ = np.linalg.lstsq(x[:, chosen], x, rcond=None)
    return ((x - x[:, chosen] @ fit) ** 2).sum() / (x**2).sum()


@pytest.mark.parametrize("way", [explained_variance, pivoted_qr_unpooled])
def test_unexplained_is_that_of_a_regression(way):
    x = MIXED + 0.3 * RNG.normal(size=MIXED.shape)
    order, unexplained = ordered(way, x)
    assert sorted(order) == list(range(12))
    for k in (1, 3, 7, 12):
        assert unexplained[k] == pytest.approx(unexplained_share(x, order[:k]), abs=1e-8)
    assert (np.diff(unexplained) <= 1e-12).all()


@pytest.mark.parametrize("way", [explained_variance, pivoted_qr_unpooled])
def test_combinations_of_few_are_found_out(way):
    _, unexplained = ordered(way, MIXED)
    assert unexplained[4] < 1e-8 < unexplained[3]


def test_first_choice_is_the_best_of_all():
    x = MIXED + 0.3 * RNG.normal(size=MIXED.shape)
    order, _ = ordered(explained_variance, x)
    assert order[0] == np.argmin([unexplained_share(x, [c]) for c in range(12)])


def test_pivots_are_those_of_qr():
    x = MIXED + 0.3 * RNG.normal(size=MIXED.shape)
    _, pivots = qr(x - x.mean(0), mode="r", pivoting=True)
    np.testing.assert_array_equal(ordered(pivoted_qr_unpooled, x)[0], pivots)


def test_maps_that_never_vary_come_last():
    x = MIXED.copy()
    x[:, [0, 5]] = 1.0
    for way in (explained_variance, pivoted_qr_unpooled):
        assert set(ordered(way, x)[0][-2:]) == {0, 5}


def test_statistics_are_those_of_the_activations(narrow_network, statistics):
    x = layer_activations(narrow_network, WAVEFORMS)[2]
    flat = x.transpose(0, 1).flatten(1).double().numpy()
    np.testing.assert_allclose(statistics["conv2"].covariance, np.cov(flat), rtol=1e-6)
    assert statistics["conv2"].inputs.shape == (32 * 16, 32 * 16)
    assert statistics["conv7"].inputs is None


def test_next_layer_leaves_what_a_regression_leaves(narrow_network, statistics):
    """The share of the next convolution's energy that is lost with the first maps, against numpy.linalg.lstsq."""
    layer, kernel = statistics["conv2"], 16
    order, unexplained = order_by(next_layer(layer))
    x = layer_activations(narrow_network, WAVEFORMS)[2]
    inputs = np.concatenate([w.double().numpy() for w in windows(x, narrow_network.conv3)])
    targets = inputs @ layer.next_kernel.T
    for k in (1, 2, 5):
        columns = np.concatenate([np.arange(c * kernel, (c + 1) * kernel) for c in order[:k]])
        fit, *_ = np.linalg.lstsq(inputs[:, columns], targets, rcond=None)
        left = ((targets - inputs[:, columns] @ fit) ** 2).sum() / (targets**2).sum()
        assert unexplained[k] == pytest.approx(left, rel=0.02, abs=1e-4)
    assert sorted(order) == list(range(32))


@pytest.mark.parametrize("layer", ["conv2", "conv4", "conv6"])
def test_next_layer_is_a_plain_elimination_up_to_what_is_explained(statistics, layer):
    layer = statistics[layer]
    n_maps, kernel = len(layer.covariance), len(layer.inputs) // len(layer.covariance)
    left = layer.inputs + 1e-6 * np.eye(len(layer.inputs))
    outputs, floor = layer.next_kernel @ left, 1e-6 * np.eye(kernel)
    total = residual = (outputs * layer.next_kernel).sum()
    expected, lost = [], [1.0]
    while lost[-1] >= EXPLAINED and len(expected) < n_maps:
        gains = np.full(n_maps, -np.inf)
        for map_ in {*range(n_maps)} - {*expected}:
            own = slice(map_ * kernel, (map_ + 1) * kernel)
            seen = outputs[:, own].T @ outputs[:, own]
            gains[map_] = np.linalg.solve(left[own, own] + floor, seen).trace()
        best = int(gains.argmax())
        own = slice(best * kernel, (best + 1) * kernel)
        regression = np.linalg.solve(left[own, own] + floor, left[own])
        outputs -= outputs[:, own] @ regression
        left -= left[:, own] @ regression
        expected.append(best)
        residual -= gains[best]
        lost.append(max(residual / total, 0.0))
    order, unexplained = order_by(next_layer(layer))
    assert list(order[: len(expected)]) == expected
    np.testing.assert_allclose(unexplained[: len(lost)], lost, atol=1e-9)
    rest = [*order[len(expected) :]]
    assert rest == sorted(rest, key=lambda map_: (-layer.covariance[map_, map_], map_))
    assert not unexplained[len(lost) :].any()


@pytest.mark.parametrize(
    "criterion", [*(name for name, c in CRITERIA.items() if c.needs == "activations"), "l1", "bn_scale"]
)
def test_every_layer_gets_an_order(narrow_network, statistics, criterion):
    orders = order_filters(criterion, narrow_network, statistics=statistics)
    assert list(orders) == [f"conv{n}" for n in range(1, 8)]
    for (channels, lost), n_maps in zip(orders.values(), narrow_network.widths.values(), strict=True):
        assert sorted(channels) == list(range(n_maps))
        assert lost[0] == pytest.approx(1)
        assert (np.diff(lost) <= 1e-6).all()  # of next_layer, which guards against rounding, not exactly


def test_criteria_on_responses(narrow_network, statistics, make_responses):
    taps = {tap: narrow_network.widths[layer] for layer, tap in narrow_network.last_taps.items()}
    responses = make_responses(taps)
    orders = order_filters("anova", narrow_network, statistics=statistics, responses=responses)
    # The maps that tell the classes apart, by construction.
    assert set(orders["conv6"].channels[:4]) == {0, 1, 2, 3}
    first, second = (
        order_filters("random", narrow_network, statistics=statistics, responses=responses, seed=seed)[
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
    order, lost = order_by(MapScores(score))
    assert order[-1] == 4
    for k in range(9):
        gone = [c for c in range(9) if c not in order[:k] and c != 4]
        assert lost[k] == pytest.approx(score[gone].sum() / score[np.isfinite(score)].sum())
    assert lost[-2:].tolist() == [0, 0]  # the undefined one goes for nothing


def test_a_layer_without_any_score_is_divided_evenly():
    np.testing.assert_allclose(order_by(MapScores(np.full(4, -np.inf))).lost, np.linspace(1, 0, 5))


@pytest.mark.parametrize(("name", "hint"), [("explained_varance", "explained_variance"), ("apozz", "")])
def test_unknown_criterion(narrow_network, statistics, name, hint):
    with pytest.raises(ParameterError, match=f"unknown criterion '{name}'.*{hint}"):
        order_filters(name, narrow_network, statistics=statistics)
