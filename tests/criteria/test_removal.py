import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso, LogisticRegression
from torch import nn
from torch.nn import functional as F
from zoo import build, example

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.filters import LayerWeights
from dha_utils.criteria.removal import (
    Neighbourhood,
    brain_damage,
    chip,
    filter_clusters,
    lasso,
    neighbourhoods,
    taylor,
    wanda,
)
from dha_utils.criteria.selection import order_filters, select
from dha_utils.criteria.unpooled import (
    LayerStatistics,
    SampledStatistics,
    explained_variance,
    gather_statistics,
)
from dha_utils.networks.activations import layer_activations
from dha_utils.networks.base import Network
from dha_utils.studies.sweeps import named_criteria

RNG = np.random.default_rng(0)
REMOVAL = [name for name, c in CRITERIA.items() if c.family == "removal"]


def around(kernel):
    return Neighbourhood(LayerWeights("conv", np.asarray(kernel, float), *[None] * 5), None)


@pytest.mark.parametrize("with_norm", [True, False])
def test_group_norm_is_that_of_torch_pruning(with_norm):
    torch_pruning = pytest.importorskip("torch_pruning")
    x, module = example("vgg"), build("vgg", with_norm).features
    network = Network.wrap(module, x.shape[1:])
    scores = {layer: CRITERIA["group_norm"].function(a).score for layer, a in neighbourhoods(network).items()}
    graph = torch_pruning.DependencyGraph().build_dependency(module, (x,), verbose=False)
    importance = torch_pruning.importance.GroupMagnitudeImportance(
        p=2, group_reduction="mean", normalizer=None
    )
    for layer, found in scores.items():
        conv = module.get_submodule(layer)
        group = graph.get_pruning_group(
            conv, torch_pruning.prune_conv_out_channels, list(range(conv.out_channels))
        )
        np.testing.assert_allclose(found, importance(group).numpy(), rtol=1e-5)


def naive_clusters(kernel):
    """All pairs of all clusters, at every step anew."""
    flat = kernel.reshape(len(kernel), -1)
    norms = np.linalg.norm(flat, axis=1)
    clusters, order = [[c] for c in range(len(flat))], []
    while len(clusters) > 1:
        pairs = [(i, j) for j in range(len(clusters)) for i in range(j)]
        mean = [
            np.mean([1 - flat[a] @ flat[b] / norms[a] / norms[b] for a in clusters[i] for b in clusters[j]])
            for i, j in pairs
        ]
        i, j = pairs[int(np.argmin(mean))]
        stand = [max(cluster, key=lambda c: norms[c]) for cluster in (clusters[i], clusters[j])]
        order.append(min(stand, key=lambda c: norms[c]))
        clusters = [c for n, c in enumerate(clusters) if n not in (i, j)] + [clusters[i] + clusters[j]]
    return order


def test_similar_filters_are_merged_as_in_a_naive_loop():
    kernel = RNG.normal(size=(11, 3, 4))
    score = filter_clusters(around(kernel)).score
    assert np.argsort(score)[:-1].tolist() == naive_clusters(kernel)
    np.testing.assert_array_equal(filter_clusters(around(7.5 * kernel)).score, score)


def test_of_two_filters_of_one_direction_the_larger_stays():
    kernel = np.eye(4)[[0, 1, 2, 3, 1, 2]].reshape(6, 2, 2) * np.array([1, 1, 3, 1, 2, 1]).reshape(6, 1, 1)
    score = filter_clusters(around(kernel)).score
    assert sorted(np.argsort(score)[:2]) == [1, 5]
    assert filter_clusters(around(np.ones((1, 2, 3)))).score.tolist() == [0]
    assert np.isfinite(filter_clusters(around(np.stack([*kernel, np.zeros((2, 2))]))).score).all()


def test_wanda_sums_weight_times_norm():
    """Against loops over filters and places of the kernel, with the input that each place sees."""
    torch.manual_seed(0)
    chain = {
        "a": nn.Conv1d(1, 5, 3),
        "relu": nn.ReLU(),
        "b": nn.Conv1d(5, 4, 3, stride=2, padding=1),
        "norm": nn.BatchNorm1d(4),
    }
    network = Network(chain, ("relu", "norm"), name="own", rate=8_000, min_samples=30).eval()
    network.requires_grad_(False).norm.running_var.uniform_(0.5, 2)
    activations = layer_activations(network, RNG.normal(size=(6, 41)).astype(np.float32))
    statistics = gather_statistics(network, activations)
    padded = F.pad(activations[1], (1, 1)).double()
    expected = torch.zeros(5, dtype=torch.float64)
    for c in range(5):
        for place in range(3):
            norm = padded[:, c, place : place + 2 * 19 + 1 : 2].pow(2).sum().sqrt()
            for row in range(4):
                deviation = (network.norm.running_var[row] + network.norm.eps).sqrt()
                expected[c] += (network.b.weight[row, c, place] / deviation).abs() * norm
    got = wanda(statistics["a"]).score
    np.testing.assert_allclose(got / got.sum(), expected / expected.sum(), rtol=1e-5)
    last = activations[2].transpose(0, 1).flatten(1).double().std(1)
    np.testing.assert_allclose(wanda(statistics["b"]).score, last, rtol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_taylor_is_the_gradient_by_a_gate_on_each_map(n_classes):
    """Against torch: a head that is fitted by L-BFGS, and the derivative of every clip's loss by factors on its maps."""
    y = np.arange(60) % n_classes
    x = RNG.normal(size=(60, 7)) * 3 + 5
    x[:, 2] += 5 * y
    x[:, 4] = 1.0
    got = taylor(x, y, y, RNG).score
    assert np.isneginf(got[4])
    rows = torch.tensor(np.delete(x, 4, axis=1))
    rows, labels = (rows - rows.mean(0)) / rows.std(0, correction=0), torch.tensor(y)
    head = torch.zeros(7, 1 if n_classes == 2 else n_classes, dtype=torch.float64, requires_grad=True)

    def losses(maps):
        logits = maps @ head[:-1] + head[-1]
        if n_classes == 2:
            return F.binary_cross_entropy_with_logits(logits[:, 0], labels.double(), reduction="none")
        return F.cross_entropy(logits, labels, reduction="none")

    optimiser = torch.optim.LBFGS([head], max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def step():
        optimiser.zero_grad()
        loss = losses(rows).sum() + head[:-1].pow(2).sum() / 2
        loss.backward()
        return loss

    optimiser.step(step)
    gates = torch.ones_like(rows, requires_grad=True)
    losses(rows * gates).sum().backward()
    np.testing.assert_allclose(np.delete(got, 4), gates.grad.pow(2).mean(0), rtol=2e-2, atol=1e-5)
    assert np.argmax(got) == 2


def test_they_order_filters_and_are_in_no_sweep(make_responses):
    network = Network.wrap(build("vgg").features, (1, 16, 16))
    activations = layer_activations(network, RNG.normal(size=(4, 1, 16, 16)).astype(np.float32))
    responses = make_responses({tap: network.tap_maps[tap] for tap in network.taps})
    for name in REMOVAL:
        orders = order_filters(
            name, network, statistics=gather_statistics(network, activations), responses=responses
        )
        assert {layer: len(order.channels) for layer, order in orders.items()} == network.widths
        assert all(order.lost[-1] == 0 for order in orders.values())
    assert not {*REMOVAL} & {*named_criteria()}
    assert select(responses, "taylor", keep=0.5).masks.keys() == {*network.taps}


def test_of_a_network_with_branches_the_reader_is_not_known():
    network = Network.wrap(build("resnet"), (1, 16, 16))
    assert all(a.reader is None for a in neighbourhoods(network).values())
    assert {
        layer: len(o.channels) for layer, o in order_filters("group_norm", network, statistics={}).items()
    } == network.widths


@pytest.mark.parametrize("n_classes", [2, 3])
def test_brain_damage_is_the_diagonal_of_the_hessian_by_gates(n_classes):
    """Against automatic differentiation of the same head's loss by a factor on every map."""
    y = np.arange(40) % n_classes
    x = RNG.normal(size=(40, 5)) + 0.8 * y[:, None] * np.array([1, 0, 0.5, 0, 0])
    got = brain_damage(x, y, y, RNG).score
    standard = (x - x.mean(0)) / x.std(0)
    head = LogisticRegression(max_iter=5_000).fit(standard, y)
    rows, labels = torch.tensor(standard), torch.tensor(y)
    weight, bias = torch.tensor(head.coef_), torch.tensor(head.intercept_)

    def loss(gates):
        logits = (rows * gates) @ weight.T + bias
        if n_classes == 2:
            return F.binary_cross_entropy_with_logits(logits[:, 0], labels.double())
        return F.cross_entropy(logits, labels)

    hessian = torch.autograd.functional.hessian(loss, torch.ones(5, dtype=torch.float64))
    np.testing.assert_allclose(got, hessian.diagonal() / 2, rtol=1e-6)


def reading(kernel, correlated=0.0):
    """Return statistics of a layer whose windows are rows of numbers, and those rows: (observations, maps * places)."""
    n_maps = kernel.shape[1]
    windows = RNG.normal(size=(500, n_maps * kernel.shape[2])) + correlated * RNG.normal(size=(500, 1))
    covariance = np.cov(windows[:, :: kernel.shape[2]].T)
    return LayerStatistics(covariance, windows.T @ windows, kernel.reshape(len(kernel), -1)), windows


def test_lasso_is_that_of_coordinate_descent():
    """Against scikit-learn's Lasso on the observations themselves, at penalties between those at which maps come in."""
    kernel = RNG.normal(size=(4, 6, 3)) * np.array([3, 1, 0.1, 2, 0.5, 1]).reshape(6, 1)
    statistics, windows = reading(kernel, correlated=0.5)
    score = lasso(statistics).score
    made = np.einsum("nct,oct->cno", windows.reshape(-1, 6, 3), kernel)
    norms = np.linalg.norm(kernel, axis=(0, 2))
    columns = (made / norms[:, None, None]).reshape(6, -1).T
    wanted = made.sum(axis=0).ravel()
    entries = np.sort(score)[::-1]
    for n, penalty in enumerate(np.sqrt(entries[:-1] * entries[1:]), 1):
        found = Lasso(penalty / len(wanted), fit_intercept=False, tol=1e-10, max_iter=100_000)
        weighs = found.fit(columns, wanted).coef_ != 0
        assert weighs.tolist() == (np.argsort(np.argsort(-score)) < n).tolist()


def test_lasso_keeps_what_is_read_and_one_of_two_copies():
    kernel = RNG.normal(size=(4, 5, 1))
    kernel[:, 2] = 0  # nobody reads this map
    statistics, windows = reading(kernel)
    windows[:, 4] = windows[:, 0]
    kernel[:, 4] = 0.5 * kernel[:, 0]
    twice = LayerStatistics(statistics.covariance, windows.T @ windows, kernel[:, :, 0])
    score = lasso(twice).score
    assert score[2] == 0
    assert (score[[1, 3]] > 0).all()
    assert np.isfinite(score).all()
    last = LayerStatistics(statistics.covariance, None, None)
    assert lasso(last).score.tolist() == explained_variance(last).score.tolist()


@pytest.mark.parametrize("criterion", [wanda, lasso])
def test_all_windows_say_what_their_moments_say(criterion):
    statistics, windows = reading(RNG.normal(size=(4, 6, 3)), correlated=0.5)
    sampled = SampledStatistics(statistics.covariance, windows, statistics.next_kernel)
    np.testing.assert_allclose(criterion(sampled).score, criterion(statistics).score, rtol=1e-9)


def test_chip_is_what_the_nuclear_norm_loses():
    maps = RNG.normal(size=(7, 200)) * np.arange(1, 8)[:, None]
    maps[3] = maps[5] + 0.01 * RNG.normal(size=200)
    maps -= maps.mean(axis=1, keepdims=True)
    expected = []
    for c in range(7):
        without = maps.copy()
        without[c] = 0
        expected.append(np.linalg.norm(maps, "nuc") - np.linalg.norm(without, "nuc"))
    got = chip(LayerStatistics(maps @ maps.T, None, None)).score
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got[6] == got.max()
    assert got[5] < got[4]  # with a copy beside it, the second loudest is worth less than one that is alone
