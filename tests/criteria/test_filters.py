import numpy as np
import pytest

from dha_utils.core.errors import DataError, ParameterError
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.filters import LayerWeights, layer_weights, psnet_kept_filters, rank_one_prototypes
from dha_utils.networks.soundnet import BLOCKS, TAP_MAPS


def weights_of(kernel, gamma=None, layer="conv3"):
    maps = len(kernel)
    gamma = np.ones(maps) if gamma is None else np.asarray(gamma)
    return LayerWeights(
        layer, np.asarray(kernel, float), np.zeros(maps), gamma, *np.zeros((2, maps)), np.ones(maps)
    )


def score(name, weights):
    return CRITERIA[name].function(weights).score


@pytest.mark.parametrize("tap", TAP_MAPS)
def test_layer_weights_are_those_of_the_layer_that_makes_the_tap(random_network, tap):
    weights = layer_weights(random_network, tap)
    number = int(tap[-1])
    assert weights.layer == f"conv{number}"
    assert weights.kernel.shape == (
        TAP_MAPS[tap],
        BLOCKS[number - 2].maps if number > 1 else 1,
        BLOCKS[number - 1].kernel,
    )
    state = random_network.state_dict()
    for name, key in {
        "kernel": f"conv{number}.weight",
        "bias": f"conv{number}.bias",
        "gamma": f"bn{number}.weight",
        "beta": f"bn{number}.bias",
        "mean": f"bn{number}.running_mean",
        "var": f"bn{number}.running_var",
    }.items():
        assert np.array_equal(getattr(weights, name), state[key].numpy()), name


@pytest.mark.parametrize("tap", ["mfcc", "bn", "xbn2", "bn2x", "bn0", "relu8"])
def test_taps_that_are_of_no_layer(random_network, tap):
    with pytest.raises(ParameterError, match=f"tap '{tap}' names no module of soundnet8"):
        layer_weights(random_network, tap)


@pytest.mark.parametrize("name", [name for name, c in CRITERIA.items() if c.needs == "weights"])
def test_every_weights_criterion_scores_every_layer(random_network, name):
    for tap in ("pool1", "bn2", "relu3", "bn4", "pool5"):
        got = score(name, layer_weights(random_network, tap))
        assert got.shape == (TAP_MAPS[tap],)
        assert np.isfinite(got).all()


def test_norms_and_scales():
    kernel = np.array([[[1, -2], [0, 1]], [[0, 0], [0, 0]], [[3, 3], [3, -3]]])
    assert score("l1", weights_of(kernel)).tolist() == [4, 0, 12]
    assert score("bn_scale", weights_of(kernel, [-2, 0.5, 1])).tolist() == [2, 0.5, 1]


def test_geometric_median_sums_distances_to_all_filters():
    kernel = np.random.default_rng(0).normal(size=(6, 3, 4))
    expected = [sum(np.sqrt(((a - b) ** 2).sum()) for b in kernel) for a in kernel]
    assert score("geometric_median", weights_of(kernel)) == pytest.approx(expected)
    line = np.arange(5.0).reshape(5, 1, 1)  # the median of equally spaced filters is the middle one
    assert score("geometric_median", weights_of(line)).argmin() == 2


def test_prototype_is_the_time_course_of_the_best_rank_one_filter():
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(8, 5, 6))
    got = rank_one_prototypes(kernel)
    for filter_, prototype in zip(kernel, got, strict=True):
        u, s, v = np.linalg.svd(filter_)
        first_channel = s[0] * u[0, 0] * v[0]
        assert prototype == pytest.approx(first_channel / np.linalg.norm(first_channel))
    assert rank_one_prototypes(-kernel) == pytest.approx(-got)


def test_similar_filters_go_first_and_the_higher_number_of_a_pair():
    rng = np.random.default_rng(2)
    course = np.linalg.qr(rng.normal(size=(16, 16)))[0]  # orthonormal time courses
    sources = [0, 1, 2, 1, 3, 0, 0]
    kernel = np.stack([np.outer(rng.random(3) + 0.5, course[source]) for source in sources])
    noise = 1e-3 * np.array([1, 1, 1, 2, 1, 3, 4]).reshape(-1, 1, 1)  # copies differ, each by another amount
    got = score("filter_similarity", weights_of(kernel + noise * rng.normal(size=kernel.shape)))
    assert set(np.flatnonzero(got < 3)) == {3, 5, 6}
    assert sorted(got) == list(range(7))


def test_opposite_filters_are_not_similar():
    course = np.array([1.0, 2, -1, 0.5])
    other = np.array([0.5, 1, 2, 1.0])
    got = score("filter_similarity", weights_of(np.stack([course, -course, other])[:, None]))
    assert got[1] == 2 or got[0] == 2
    assert got[2] == 0


def test_psnet_keeps_the_published_filters(random_network):
    kept = psnet_kept_filters()
    assert [len(kept[f"conv{i}"]) for i in range(1, 8)] == [16, 32, 41, 56, 88, 235, 59]
    for number, layer in enumerate(BLOCKS, 1):
        channels = kept[f"conv{number}"]
        assert channels == sorted(set(channels))
        assert 0 <= min(channels) <= max(channels) < layer.maps
    scores = CRITERIA["psnet"].function(layer_weights(random_network, "relu5"))
    assert np.flatnonzero(scores.score).tolist() == kept["conv5"]
    assert set(scores.score) == {0, 1}
    assert scores.n_keep == 88


@pytest.mark.parametrize(("layer", "maps"), [("conv3", 20), ("conv8", 512)])
def test_psnet_is_of_no_other_network(layer, maps):
    with pytest.raises(DataError, match=f"not of a {layer} with {maps} maps"):
        score("psnet", weights_of(np.ones((maps, 1, 1)), layer=layer))
