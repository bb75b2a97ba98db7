"""Time the released selection methods, both variants of all four, against the obvious loops, in one run.

Ours: the maps of 100 clips of ESC-10 (10 per class of folds 2 to 5, 22 050 Hz, 5 s) at 15 taps, then the
eight criteria; once straight through for time and memory, then tap by tap in turn with the obvious way, so
that a drift of the machine's speed meets both.

The obvious way: for every map `scipy.stats.f_oneway`, a loop over points for the nearest-neighbour entropy,
a loop over clips for the cosines and `numpy.linalg.matrix_rank`; for every prefix i a fresh `numpy.histogram`
of all values of the first i maps. It is run whole on the taps WHOLE, where results must be equal; elsewhere,
and there too, on a sample: SAMPLE maps, scaled to all maps, and SAMPLE prefixes, scaled by the number of
their values (the time of a histogram is linear in it). So totals over all taps are extrapolated; WHOLE shows
how far off that is. BLAS has one thread: more would make the obvious way slower, not faster.

    DHA_DATA=... python benchmarks/released_methods.py
"""

import resource
import time

import numpy as np
from scipy.special import digamma, gammaln
from scipy.stats import entropy, f_oneway
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import dha_utils as dha
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.released import MENDED, METHODS
from dha_utils.responses.maps import iterate_maps, selection_clips

WHOLE = ("bn3", "pool5")
SAMPLE = 4


def standardise(maps, variant):
    n, n_maps, n_times = maps.shape
    if variant == "as_released":
        channels_last = maps.transpose(0, 2, 1)
        scaled = StandardScaler().fit_transform(channels_last.reshape(n * n_maps, n_times))
        return scaled.reshape(channels_last.shape).transpose(2, 0, 1)
    centred = maps - maps.mean(axis=(0, 2), keepdims=True)
    return (centred / centred.std()).transpose(1, 0, 2)


def anova_time(c, z, y, variant):
    points = z[c]
    if variant == "as_released":
        return -f_oneway(*points.astype(float)).pvalue
    means = points.mean(axis=1, dtype=float)
    return f_oneway(*(means[y == label] for label in np.unique(y))).statistic


def entropy_knn(c, z, y, variant):
    points = z[c].astype(float)
    n, d = points.shape
    epsilon = np.finfo(np.float32).eps
    near = np.array([np.sort(np.linalg.norm(points - point, axis=1))[[9, 10]] for point in points])
    if variant == "as_released":
        b, logs = 0.0005 * d, np.log(near[:, 0] + epsilon)
    else:
        floor = epsilon * np.sqrt(d)
        if near[:, 1].max() <= floor:
            return -np.inf
        b, logs = 0.5 * d, np.log(np.maximum(near[:, 1], floor))
    estimate = digamma(n) - digamma(10) + b * np.log(np.pi) - gammaln(b + 1) + d * logs.mean()
    return -estimate if variant == "as_released" else estimate


def angle_to_first(c, z, y, variant):
    reference = z[1] if variant == "corrected" and c == 0 else z[0]
    pairs = zip(z[c].astype(float), reference.astype(float), strict=True)
    with np.errstate(invalid="ignore"):
        spread = np.std([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs])
    return -spread if variant == "as_released" else spread


def rank_full(c, z, y, variant):
    return np.linalg.matrix_rank(z[c]) or -np.inf


OBVIOUS = {f.__name__: f for f in (anova_time, entropy_knn, angle_to_first, rank_full)}


def divergence(z, order, i, h_all, bins):
    values = z[order[:i]]
    h = np.histogram(values, bins)[0] / values.size
    return entropy(*(np.where(part == 0, 1e-5, part) for part in (h_all, h)))  # normalises both again


def obvious_count(curve, variant):
    for i in range(len(curve)):
        if np.abs(np.diff(curve[i : i + 10])).sum() < 0.01:
            return i + (variant == "corrected")


def timed(function, *arguments):
    """Return seconds (by the clock, of CPU time of all threads), and what the function returns."""
    start = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return np.subtract((time.perf_counter(), time.process_time()), start), result


def obvious(method, variant, maps, y, sample=None):
    """Return seconds, scores and number kept; of a sample, seconds are extrapolated and results partial."""
    n_maps = maps.shape[1]
    spent, z = timed(standardise, maps, variant)
    which = range(n_maps) if sample is None else np.linspace(0, n_maps - 1, sample).astype(int)
    seconds, scores = timed(lambda: np.array([OBVIOUS[method](c, z, y, variant) for c in which], dtype=float))
    spent += seconds * n_maps / len(which)
    if method == "rank_full":
        full = maps.shape[0] if variant == "as_released" else min(maps.shape[0], maps.shape[2])
        return spent, scores, np.count_nonzero(scores == full)
    order = np.argsort(-scores, kind="stable") if sample is None else np.arange(n_maps)
    bins = 15 if variant == "as_released" else np.histogram_bin_edges(z, 15)
    h_all = np.histogram(z, bins)[0] / z.size
    prefixes = np.arange(1, n_maps + 1)
    which = prefixes if sample is None else np.linspace(n_maps / 8, n_maps, sample).astype(int)
    seconds, curve = timed(lambda: np.array([divergence(z, order, i, h_all, bins) for i in which]))
    spent += seconds * prefixes.sum() / which.sum()
    return spent, scores, obvious_count(curve, variant) if sample is None else None


def assert_equal(name, got, scores, n_keep):
    np.testing.assert_allclose(got.score, np.where(np.isnan(scores), -np.inf, scores), rtol=1e-3, atol=1e-5)
    assert got.n_keep == n_keep, f"{name}: {got.n_keep} maps kept, the obvious way keeps {n_keep}"


def main():
    clips, model = dha.load_clips("esc10"), dha.load_soundnet()
    clips = clips.take(selection_clips(clips.y, clips.folds != 1))
    y, rng = clips.y, np.random.default_rng(0)
    variants = [(method, variant) for method in METHODS for variant in MENDED]

    def ours(maps):
        return {v: CRITERIA[f"{v[0]}_{v[1]}"].function(maps, y, rng) for v in variants}

    def score_all_taps():
        return sum(timed(ours, maps)[0] for _, maps in iterate_maps(clips, model=model))

    total, scoring = timed(score_all_taps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"ours, 15 taps, {len(clips)} clips: {both(total)} in all, {both(scoring)} of it scoring")
    print(f"peak memory of the process: {peak:.2f} GiB")
    fast, extrapolated = np.zeros(2), {v: np.zeros(2) for v in variants}
    for tap, maps in iterate_maps(clips, model=model):
        seconds, results = timed(ours, maps)
        fast += seconds
        with threadpool_limits(1, user_api="blas"):
            by_sample = {v: obvious(*v, maps, y, SAMPLE)[0] for v in variants}
        for v in variants:
            extrapolated[v] += by_sample[v]
        print(
            f"{tap}: ours {both(seconds)}; obvious, extrapolated {both(sum(by_sample.values()))}", flush=True
        )
        if tap in WHOLE:
            whole = np.zeros(2)
            for v in variants:
                with threadpool_limits(1, user_api="blas"):
                    slow, scores, n_keep = obvious(*v, maps, y)
                assert_equal(f"{'_'.join(v)} at {tap}", results[v], scores, n_keep)
                whole += slow
            print(
                f"{tap}: results equal; obvious, measured whole {both(whole)}, ratio {both(whole / seconds, '')}"
            )
    for v, seconds in extrapolated.items():
        print(f"{'_'.join(v)}: obvious, extrapolated {both(seconds)}")
    slow = sum(extrapolated.values())
    print(f"15 taps: ours {both(fast)}; obvious, extrapolated {both(slow)}; ratio {both(slow / fast, '')}")


def both(pair, unit=" s"):
    return f"{pair[0]:.1f}{unit} (CPU {pair[1]:.1f}{unit})"


if __name__ == "__main__":
    main()
