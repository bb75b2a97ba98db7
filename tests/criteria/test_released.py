import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import special, stats
from sklearn.preprocessing import StandardScaler

from dha_utils.core.errors import DataError, ParameterError
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.kl_stop import kl_curve, prefix_histograms, settled_at
from dha_utils.criteria.released import (
    MENDED,
    METHODS,
    RESOLUTION,
    knn_entropy,
    neighbour_distances,
    score_released,
)
from dha_utils.criteria.selection import keep_best
from dha_utils.criteria.slips import SLIPS
from dha_utils.criteria.standardise import standardise_maps, standardise_released


def rectified(
    seed: int = 0, n: int = 20, n_maps: int = 24, n_times: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    """Return maps as after a ReLU, each with its own scale, and labels of two classes."""
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(0, 1, n_maps)[:, None]
    maps = scale * (rng.normal(0, 1, (n, n_maps, 1)) + rng.normal(0, 1, (n, n_maps, n_times)))
    return np.maximum(maps, 0).astype(np.float32), np.repeat([0, 1], n // 2)


def ar1(phi: float, n: int, n_maps: int, n_times: int, seed: int = 0) -> np.ndarray:
    """Return stationary autoregressive noise of unit innovations: all clips and maps alike."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1 / math.sqrt(1 - phi**2), (n, n_maps))
    maps = np.empty((n, n_maps, n_times), np.float32)
    for t in range(n_times):
        maps[:, :, t] = x
        x = phi * x + rng.normal(0, 1, (n, n_maps))
    return maps


def score(name: str, maps: np.ndarray, y: np.ndarray):
    return CRITERIA[name].function(maps, y, np.random.default_rng(0))


# The obvious way: loops over maps, clips and prefixes, with SciPy, scikit-learn and NumPy for what they have.


def obvious_standardised(maps: np.ndarray, variant: str) -> np.ndarray:
    n, n_maps, n_times = maps.shape
    if variant == "as_released":
        channels_last = maps.transpose(0, 2, 1)
        scaled = StandardScaler().fit_transform(channels_last.reshape(n * n_maps, n_times))
        return scaled.reshape(channels_last.shape).transpose(2, 0, 1)
    centred = np.stack([maps[:, c] - maps[:, c].mean() for c in range(n_maps)])
    return centred / centred.std()


def obvious_anova_time(z, y, variant):
    if variant == "as_released":
        return [-stats.f_oneway(*(clip for clip in points.astype(float))).pvalue for points in z]
    means = z.astype(float).mean(axis=2)
    return [stats.f_oneway(*(m[y == label] for label in np.unique(y))).statistic for m in means]


def obvious_entropy_knn(z, y, variant):
    n, d = z.shape[1:]
    epsilon = np.finfo(np.float32).eps
    entropies = []
    for points in z.astype(float):
        total = 0.0
        for point in points:
            to_all = sorted(math.dist(point, other) for other in points)  # the first is the point's own, 0
            if variant == "as_released":
                total += math.log(to_all[9] + epsilon)
            else:
                total += math.log(max(to_all[10], epsilon * math.sqrt(d)))
        b = 0.0005 * d if variant == "as_released" else 0.5 * d
        log_ball = math.log(math.pi**b / math.gamma(b + 1))
        entropies.append(special.digamma(n) - special.digamma(10) + log_ball + d * total / n)
    return [-h if variant == "as_released" else h for h in entropies]


def obvious_angle_to_first(z, y, variant):
    def cosine(a, b):
        return np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))

    z = z.astype(float)
    spread = [np.std([cosine(a, b) for a, b in zip(points, z[0], strict=True)]) for points in z]
    if variant == "as_released":
        return [-s for s in spread]
    return [spread[1], *spread[1:]]


def obvious_rank_full(z, y, variant):
    return [np.linalg.matrix_rank(points) for points in z]


def obvious_n_keep(z: np.ndarray, order: np.ndarray, variant: str) -> int:
    bins = 15 if variant == "as_released" else np.histogram_bin_edges(z, 15)
    curve = []
    for i in range(1, len(z) + 1):
        h = [np.histogram(values, bins)[0] / values.size for values in (z, z[order[:i]])]
        curve.append(stats.entropy(*(np.where(part == 0, 1e-5, part) for part in h)))  # normalises both again
    for i in range(len(z)):
        window = curve[i : i + 10]
        if sum(abs(after - before) for before, after in pairwise(window)) < 0.01:
            return i if variant == "as_released" else i + 1
    raise AssertionError("the last window holds one divergence and no change")


OBVIOUS = {
    "anova_time": obvious_anova_time,
    "entropy_knn": obvious_entropy_knn,
    "angle_to_first": obvious_angle_to_first,
    "rank_full": obvious_rank_full,
}


@pytest.mark.parametrize("shape", [(20, 24, 9), (20, 13, 35), (24, 40, 3)], ids=str)
@pytest.mark.parametrize("variant", MENDED)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_equals_the_obvious_loops(method, variant, shape):
    n, n_maps, n_times = shape
    maps, y = rectified(1, n, n_maps, n_times)
    z = obvious_standardised(maps, variant)
    expected = np.array(OBVIOUS[method](z, y, variant))
    got = score(f"{method}_{variant}", maps, y)
    np.testing.assert_allclose(got.score, expected, rtol=2e-5, atol=1e-7)
    if method == "rank_full":
        full = n if variant == "as_released" else min(n, n_times)
        assert got.n_keep == np.count_nonzero(expected == full)
    else:
        assert got.n_keep == obvious_n_keep(z, np.argsort(-expected, kind="stable"), variant)


def test_standardisation_as_released_is_scikit_learns_on_the_wrong_axes():
    maps, _ = rectified()
    z = standardise_released(maps)
    assert (z.dtype, z.shape) == (np.float32, (24, 20, 9))
    np.testing.assert_allclose(z, obvious_standardised(maps, "as_released"), atol=2e-6)
    # Mixed axes: afterwards neither maps nor time positions have mean 0 and deviation 1.
    for axes in ((1, 2), (0, 1)):
        assert np.abs(z.mean(axis=axes)).max() > 0.05
        assert np.abs(z.std(axis=axes) - 1).max() > 0.05


@pytest.mark.parametrize("value", [0.0, 7.3, -1e4])
def test_standardisation_of_columns_without_variance_only_centres(value):
    maps = np.full((12, 4, 6), value, np.float32)
    maps[:, 1] += np.arange(6) % 2  # columns 0, 2 and 4 hold maps 0 and 2 only: no variance
    z = standardise_released(maps)
    np.testing.assert_allclose(z, obvious_standardised(maps, "as_released"), atol=1e-3)
    assert np.isfinite(z).all()
    assert not standardise_released(np.full((12, 4, 3), value, np.float32)).any()


def test_corrected_standardisation_centres_maps_and_keeps_their_relative_scale():
    maps, _ = rectified()
    z = standardise_maps(maps)
    np.testing.assert_allclose(z.mean(axis=(1, 2)), 0, atol=1e-6)
    assert z.std() == pytest.approx(1, abs=1e-6)
    ratio = z.std(axis=(1, 2)) / maps.std(axis=(0, 2))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_neither_standardisation_writes_to_its_input():
    maps, _ = rectified()
    before = maps.copy()
    standardise_released(maps)
    standardise_maps(maps)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip.name)
@pytest.mark.parametrize("method", METHODS)
def test_a_slip_changes_the_methods_it_is_listed_with_and_no_other(method, slip):
    rng = np.random.default_rng(3)
    maps, y = rectified(n_maps=60)
    maps[:, 30:] *= 20  # so that the first maps kept span less than all
    maps[:12, 5] = 0  # silent in more than ten clips
    maps[:, 7] = (
        rng.normal(0, 1, (20, 1)) * np.r_[-4:5]
    )  # centred as it is: rank 1, or 2 with a constant taken off
    as_released, mended = score_released(method, maps, y), score_released(method, maps, y, {slip.name})
    same = np.array_equal(as_released.score, mended.score) and as_released.n_keep == mended.n_keep
    assert same == (method not in slip.methods)


def test_autocorrelated_noise_is_significant_as_released_and_not_corrected():
    maps, y = ar1(0.5, 100, 50, 200), np.repeat(np.arange(10), 10)
    assert (score("anova_time_as_released", maps, y).pvalue < 0.01).all()
    corrected = score("anova_time_corrected", maps, y).pvalue
    assert stats.kstest(corrected, "uniform").pvalue > 0.01


def test_white_noise_has_uniform_p_in_both_variants():
    maps, y = ar1(0.0, 40, 200, 50), np.repeat(np.arange(4), 10)
    for variant in MENDED:
        assert stats.kstest(score(f"anova_time_{variant}", maps, y).pvalue, "uniform").pvalue > 0.01


def test_p_underflows_to_ties_that_go_by_channel_and_f_does_not():
    maps, y = ar1(0.99, 100, 30, 2000), np.repeat(np.arange(10), 10)
    scores = score("anova_time_as_released", maps, y)
    assert not scores.pvalue.any()
    np.testing.assert_array_equal(np.flatnonzero(keep_best(scores.score, 7)), np.arange(7))
    by_f = score_released("anova_time", maps, y, {"underflow"}).score
    assert len(set(by_f)) == 30
    np.testing.assert_array_equal(np.argsort(by_f), np.argsort(scores.effect))


def test_corrected_anova_finds_the_map_that_tells_classes_apart():
    maps, y = ar1(0.5, 40, 20, 50), np.repeat(np.arange(4), 10)
    maps[:, 13] += y[:, None]
    scores = score("anova_time_corrected", maps, y)
    assert scores.score.argmax() == 13
    assert scores.effect[13] > 0.5


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_entropy_of_a_gaussian_sample_is_near_the_closed_form(dimensions):
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (dimensions, dimensions)) + 2 * np.eye(dimensions)
    sample = rng.normal(0, 1, (1500, dimensions)) @ mixing.T
    expected = stats.multivariate_normal(cov=mixing @ mixing.T).entropy()
    assert knn_entropy(neighbour_distances(sample, 10), dimensions) == pytest.approx(expected, abs=0.1)


def test_entropy_grows_with_the_log_of_the_scale():
    distances = np.random.default_rng(0).uniform(1, 2, (3, 50))
    np.testing.assert_allclose(
        knn_entropy(3 * distances, 7) - knn_entropy(distances, 7), np.full(3, 7 * math.log(3))
    )


def silenced(n_silent: list[int], n: int = 30) -> np.ndarray:
    """Return maps (n, C, 4) of noise; the first so many clips of each are silent."""
    maps = np.random.default_rng(0).normal(0, 1, (n, len(n_silent), 4)).astype(np.float32)
    for c, silent in enumerate(n_silent):
        maps[:silent, c] = 0
    return maps


def test_as_released_clips_that_coincide_are_a_machine_epsilon_apart():
    z = silenced([9, 10, 11, 30]).transpose(1, 0, 2)
    entropy = -METHODS["entropy_knn"](z, None, {"neighbour"}).score  # the tenth other one
    assert np.isfinite(entropy).all()
    # Ten others coincide from eleven silent clips on.
    assert entropy[0] - entropy[1] < 10 < entropy[1] - entropy[2]
    digammas = special.digamma(30) - special.digamma(10)
    log_ball = math.log(math.pi**0.002 / math.gamma(1.002))
    assert entropy[3] == pytest.approx(digammas + log_ball + 4 * math.log(RESOLUTION))
    nine = -METHODS["entropy_knn"](z, None, set()).score
    assert nine[0] - nine[1] > 10  # as released the ninth other one: from ten silent clips on


def test_corrected_entropy_of_clips_that_coincide_is_that_at_the_resolution_and_of_all_of_them_undefined():
    z = silenced([10, 11, 15, 30]).transpose(1, 0, 2)
    entropy = METHODS["entropy_knn"](z, None, MENDED["corrected"]).score
    assert np.isfinite(entropy[:3]).all()
    assert entropy[0] > entropy[1] > entropy[2]
    assert entropy[3] == -np.inf


def test_the_volume_term_is_a_constant_and_changes_no_rank():
    maps, y = rectified()
    released = score_released("entropy_knn", maps, y)
    mended = score_released("entropy_knn", maps, y, {"volume term"})
    differences = mended.score - released.score
    np.testing.assert_allclose(differences, differences[0])
    assert abs(differences[0]) > 1
    np.testing.assert_array_equal(np.argsort(mended.score), np.argsort(released.score))
    assert mended.n_keep == released.n_keep


def test_larger_variation_is_ignored_as_released_and_kept_corrected():
    maps, y = ar1(0.0, 40, 12, 20), np.repeat(np.arange(4), 10)
    maps *= np.linspace(1, 3, 12, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(np.argsort(score("entropy_knn_corrected", maps, y).score), np.arange(12))
    assert score("entropy_knn_as_released", maps, y).score.argmax() == 0


def test_a_copy_of_map_0_has_no_spread_of_angles():
    maps, y = rectified()
    maps[:, 9] = maps[:, 0]
    mended = score_released("angle_to_first", maps, y, {"standardisation"}).score
    np.testing.assert_allclose(mended[[0, 9]], 0, atol=1e-12)
    assert set(np.argsort(-mended)[:2]) == {0, 9}
    corrected = score("angle_to_first_corrected", maps, y).score
    assert corrected.argmin() == 9
    assert corrected[0] == corrected[1] > 0.01


def test_rank_of_a_map_built_from_three_patterns():
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 1, (20, 5, 30)).astype(np.float32)
    patterns = rng.normal(0, 1, (3, 30))
    patterns -= patterns.mean(axis=1, keepdims=True)  # or centring would add the constant as a fourth
    maps[:, 2] = rng.normal(0, 1, (20, 3)) @ patterns
    scores = score("rank_full_corrected", maps, np.repeat([0, 1], 10))
    assert scores.score.tolist() == [20, 20, 3, 20, 20]
    assert scores.n_keep == 4


def test_full_rank_with_fewer_times_than_clips_is_impossible_as_released():
    maps = np.random.default_rng(0).normal(0, 1, (20, 6, 7)).astype(np.float32)
    y = np.repeat([0, 1], 10)
    assert score("rank_full_as_released", maps, y).n_keep == 0
    corrected = score("rank_full_corrected", maps, y)
    assert corrected.n_keep == 6
    assert corrected.score.tolist() == [7] * 6


@pytest.mark.parametrize("value", [0.0, 0.1])
@pytest.mark.parametrize("method", METHODS)
def test_a_constant_map_is_undefined_in_every_corrected_method(method, value):
    maps, y = rectified(n_maps=12)
    maps[:, 4] = value
    scores = score(f"{method}_corrected", maps, y)
    assert np.isneginf(scores.score).nonzero()[0].tolist() == [4]
    assert scores.pvalue is None or scores.pvalue[4] == 1


def test_silent_maps_are_kept_first_as_released_and_last_corrected():
    maps, y = rectified()
    maps[:, [6, 8]] = 0
    mended = score_released("entropy_knn", maps, y, {"standardisation"}).score
    assert np.isfinite(mended).all()
    assert set(np.argsort(-mended)[:2]) == {6, 8}
    corrected = score("entropy_knn_corrected", maps, y).score
    assert np.isneginf(corrected).nonzero()[0].tolist() == [6, 8]


@pytest.mark.parametrize("name", [name for name, c in CRITERIA.items() if c.family == "released methods"])
def test_maps_without_any_variation_or_time_give_no_warning_and_no_nan(name):
    y = np.repeat([0, 1], 10)
    for maps in (np.ones((20, 12, 5)), rectified(n_times=1)[0], np.zeros((20, 1, 1))):
        scores = score(name, maps.astype(np.float32), y)
        assert not np.isnan(scores.score).any()
        assert 0 <= scores.n_keep <= maps.shape[1]


def test_equal_maps_tie_in_the_order_of_their_channels():
    maps, y = rectified(n_maps=6)
    maps[:, 4] = maps[:, 1]
    for method in ("anova_time", "entropy_knn", "rank_full"):
        scores = score(f"{method}_corrected", maps, y).score
        assert scores[1] == scores[4]
        order = [np.flatnonzero(keep_best(scores, i)) for i in range(1, 7)]
        assert all(4 not in kept or 1 in kept for kept in order)


def test_what_cannot_be_scored_is_refused():
    maps, y = rectified()
    bad = maps.copy()
    bad[3, 2, 1] = np.nan
    bad[3, 2, 2] = np.inf
    with pytest.raises(DataError, match="2 of 4320 values of the maps are NaN or infinite"):
        score_released("anova_time", bad, y)
    with pytest.raises(DataError, match=r"shape \(20, 24\), expected \(20 clips, maps, time\)"):
        score_released("anova_time", maps[:, :, 0], y)
    with pytest.raises(DataError, match=r"shape \(20, 24, 9\), expected \(19 clips"):
        score_released("anova_time", maps, y[:-1])
    with pytest.raises(DataError, match=r"shape \(20, 24, 0\)"):
        score_released("anova_time", maps[:, :, :0], y)
    with pytest.raises(DataError, match="got 10 clips, it needs more than 10"):
        score_released("entropy_knn", maps[:10], y[:10])
    with pytest.raises(ParameterError, match=r"unknown name 'anova' .did you mean 'anova_time'"):
        score_released("anova", maps, y)
    with pytest.raises(ParameterError, match=r"unknown name 'neighbor' .did you mean 'neighbour'"):
        score_released("anova_time", maps, y, {"neighbor"})


# The stopping rule.


def awkward_values(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (30, 4, 7)
    if kind == "widening":
        return (np.arange(1, 31)[:, None, None] * rng.normal(0, 1, shape)).astype(np.float32)
    if kind == "on the edges":
        return rng.integers(-15, 16, shape).astype(np.float32) / 15
    if kind == "constant first":
        values = rng.normal(0, 1, shape).astype(np.float32)
        values[:10] = 0.1
        return values
    if kind == "few levels far from zero":
        return np.float32(1000) + rng.integers(0, 40, shape).astype(np.float32) * np.spacing(np.float32(1000))
    return rng.exponential(1, shape).astype(np.float32)


KINDS = ["widening", "on the edges", "constant first", "few levels far from zero", "exponential"]


@pytest.mark.parametrize("kind", KINDS)
def test_prefix_histograms_are_numpys(kind):
    z = awkward_values(kind)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(z)) if seed else np.arange(len(z))
        own = prefix_histograms(z, order, shared_edges=False)
        shared = prefix_histograms(z, order, shared_edges=True)
        edges = np.histogram_bin_edges(z, 15)
        for i in range(1, len(z) + 1):
            np.testing.assert_array_equal(own[i - 1], np.histogram(z[order[:i]], 15)[0])
            np.testing.assert_array_equal(shared[i - 1], np.histogram(z[order[:i]], edges)[0])


def test_divergence_of_two_halves():
    counts = np.zeros((2, 15), dtype=np.int64)
    counts[0, 0], counts[1, :2] = 4, 4
    # All maps: half, half; first map: one; zeros set to 1e-5, and all divided by the new sum.
    p = np.r_[0.5, 0.5, np.full(13, 1e-5)] / (1 + 13e-5)
    q = np.r_[1.0, np.full(14, 1e-5)] / (1 + 14e-5)
    np.testing.assert_allclose(kl_curve(counts), [np.sum(p * np.log(p / q)), 0], atol=1e-15)
    assert kl_curve(counts)[0] == pytest.approx(stats.entropy(p, q))


@pytest.mark.parametrize(
    ("curve", "index"),
    [
        (np.zeros(11), 0),
        (np.zeros(1), 0),  # one map: no change at all
        (np.r_[5.0, 0.0, 0.0], 1),  # fewer maps than a window holds
        (np.linspace(1, 0, 30), 29),  # settles at the last map at the latest
        (np.r_[5.0, 4.0, 3.0, np.full(20, 2.0)], 3),  # from the fourth map on nothing changes
        (np.r_[np.full(9, 2.0), 1.0, np.zeros(20)], 10),  # eight equal changes are no window
        (np.r_[np.full(10, 2.0), 1.0, np.zeros(20)], 0),  # nine are: ten divergences alike
        (
            np.r_[np.tile([0.0, 0.002], 20)],
            35,
        ),  # nine small changes that add up to more than 0.01; the last four do not
        (np.r_[np.tile([0.0, 0.0011], 20)], 0),
    ],
)
def test_the_rule_stops_where_ten_divergences_are_alike(curve, index):
    assert settled_at(curve) == index


def test_the_count_is_one_too_few_as_released():
    maps, y = rectified(n_maps=60)
    for method in ("anova_time", "entropy_knn", "angle_to_first"):
        released, mended = (score_released(method, maps, y, names) for names in (set(), {"count"}))
        assert mended.n_keep == released.n_keep + 1


def test_shared_edges_settle_at_once_where_all_maps_are_alike():
    maps, y = np.tile(ar1(0.0, 40, 1, 500), (1, 15, 1)), np.repeat([0, 1], 20)
    assert score("anova_time_corrected", maps, y).n_keep == 1
