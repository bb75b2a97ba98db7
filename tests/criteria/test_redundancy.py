import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.redundancy import correlation_clusters, mrmr, pivoted_qr

AWARE = [name for name, c in CRITERIA.items() if c.family == "redundancy-aware"]


def score(name, x, y):
    return CRITERIA[name].function(x, y, y, np.random.default_rng(0)).score


def copies(seed, n_sources=10, n_copies=4, noise=0.1):
    """Return responses, labels and the source of each map: noisy, scaled, flipped copies in random order."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(5), 16)
    signal = (
        rng.normal(size=(80, n_sources)) + rng.normal(0, np.linspace(0.3, 1.5, n_sources), (5, n_sources))[y]
    )
    source = rng.permutation(np.repeat(np.arange(n_sources), n_copies))
    x = signal[:, source] * rng.choice([-3, 0.5, 1, 10], len(source))
    return x + noise * x.std(axis=0) * rng.normal(size=x.shape), y, source


def sources_covered(name, seed):
    x, y, source = copies(seed)
    best = np.argsort(-score(name, x, y), kind="stable")[:10]
    return len(set(source[best])) / 10


COVERED = {"mrmr": 0.45, "pivoted_qr": 1.0, "correlation_clusters": 1.0, "anova": 0.32}
"""Share of the 10 sources among the best 10 of 40 maps, 4 copies each, mean over 20 seeds."""


@pytest.mark.parametrize("name", COVERED)
def test_share_of_sources_covered(name):
    assert np.mean([sources_covered(name, seed) for seed in range(20)]) == pytest.approx(
        COVERED[name], abs=0.02
    )


def test_every_redundancy_aware_criterion_has_its_share_stated():
    assert set(AWARE) == set(COVERED) - {"anova"}


@pytest.mark.parametrize("name", AWARE)
def test_scores_are_one_order_of_all_maps_and_constant_maps_are_out(name):
    x, y, _ = copies(0)
    x[:, [3, 7]] = 0.1
    got = score(name, x, y)
    assert np.flatnonzero(np.isneginf(got)).tolist() == [3, 7]
    assert sorted(got[np.isfinite(got)]) == list(range(3, 41))
    assert np.isneginf(score(name, x[:, [3, 7]], y)).all()
    assert score(name, x[:, [3, 5]], y)[1] > -np.inf


@pytest.mark.parametrize("name", ["pivoted_qr", "correlation_clusters"])
def test_an_exact_copy_comes_after_everything_new(name):
    x, y, _ = copies(1, n_sources=6, n_copies=1)
    got = score(name, np.column_stack([x, x[:, 5]]), y)
    assert min(got[5], got[6]) == 1
    assert max(got[5], got[6]) > 1


def test_mrmr_is_the_greedy_quotient():
    x, y, _ = copies(2, n_sources=5, n_copies=2)
    f = CRITERIA["anova"].function(x, y, y, None).score
    r = np.abs(np.corrcoef(x.T))
    chosen = [int(f.argmax())]
    while len(chosen) < 10:
        quotient = {i: f[i] / np.mean([r[i, j] for j in chosen]) for i in range(10) if i not in chosen}
        chosen.append(max(quotient, key=quotient.get))
    assert np.argsort(-mrmr(x, y, y, None).score).tolist() == chosen


def test_pivoted_qr_takes_the_largest_residual_each_time():
    x, y, _ = copies(3, n_sources=8, n_copies=1)
    order = np.argsort(-pivoted_qr(x, y, y, None).score).tolist()
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    assert order[0] == CRITERIA["anova"].function(x, y, y, None).score.argmax()
    for step in range(1, 8):
        chosen = z[:, order[:step]]
        residual = z - chosen @ np.linalg.lstsq(chosen, z)[0]
        assert np.linalg.norm(residual, axis=0).argmax() == order[step]


def test_beyond_the_rank_pivoted_qr_follows_f():
    rng = np.random.default_rng(4)
    y = np.repeat([0, 1], 5)
    x = rng.normal(size=(10, 30)) + rng.normal(size=30) * y[:, None]
    order = np.argsort(-pivoted_qr(x, y, y, None).score)
    assert np.linalg.matrix_rank(x[:, order[:9]] - x[:, order[:9]].mean(axis=0)) == 9  # n - 1 after centring
    f = CRITERIA["anova"].function(x, y, y, None).score[order[9:]]
    assert (np.diff(f) <= 0).all()


def test_best_k_represent_the_k_clusters_for_every_k():
    x, y, _ = copies(5, n_sources=6, n_copies=3)
    order = np.argsort(-correlation_clusters(x, y, y, None).score)
    f = CRITERIA["anova"].function(x, y, y, None).score
    tree = linkage(pdist(x.T, lambda a, b: 1 - abs(np.corrcoef(a, b)[0, 1])), method="average")
    for k in range(1, 19):
        cluster = fcluster(tree, k, criterion="maxclust")
        best = {int(np.flatnonzero(cluster == c)[f[cluster == c].argmax()]) for c in set(cluster)}
        assert set(order[:k].tolist()) == best
