"""What each slip of the released code changes: one mended at a time, against the code as released."""

from collections.abc import Iterable

import numpy as np

from dha_utils.criteria import MapScores
from dha_utils.criteria.released import METHODS, score_released
from dha_utils.criteria.slips import SLIPS
from dha_utils.selection import keep_best, mean_jaccard, n_to_keep


def slip_effects(maps: Iterable[tuple[str, np.ndarray]], y: np.ndarray, keep: float) -> list[dict]:
    """Return, per method and slip, what mending that slip alone changes.

    Parameters
    ----------
    maps : iterable of (tap, ndarray of shape (n, C, T))
        Full feature maps of the selection clips, as `dha_utils.maps.iterate_maps` yields them.
    y : ndarray, shape (n,), int
        Class of every clip.
    keep : float
        Fraction of maps kept for the comparison at equal numbers.

    Returns
    -------
    list of dict
        method, slip ("all" for all together), maps_kept and maps_kept_mended (by the method's own rule, summed over taps),
        and the Jaccard index of the maps kept before and after, mean over taps: jaccard_own (own rule) and jaccard (`keep`).
    """
    pairs = [
        (method, slip, {slip})
        for slip in (s.name for s in SLIPS)
        for method in METHODS
        if method in _concerned(slip)
    ]
    pairs += [(method, "all", {s.name for s in SLIPS}) for method in METHODS]
    found: dict[tuple[str, str], list[dict]] = {(method, slip): [] for method, slip, _ in pairs}
    for _, tap_maps in maps:
        released = {method: score_released(method, tap_maps, y) for method in METHODS}
        for method, slip, mended in pairs:
            found[method, slip].append(
                _compare(released[method], score_released(method, tap_maps, y, mended), keep)
            )
    return [
        {"method": method, "slip": slip}
        | {key: int(sum(row[key] for row in rows)) for key in ("maps_kept", "maps_kept_mended")}
        | {key: float(np.mean([row[key] for row in rows])) for key in ("jaccard_own", "jaccard")}
        for (method, slip), rows in found.items()
    ]


def _concerned(slip: str) -> tuple[str, ...]:
    return next(s.methods for s in SLIPS if s.name == slip)


def _compare(before: MapScores, after: MapScores, keep: float) -> dict[str, float]:
    own = [keep_best(scores.score, max(1, scores.n_keep)) for scores in (before, after)]
    equal = [keep_best(scores.score, n_to_keep(keep, len(scores.score))) for scores in (before, after)]
    return {
        "maps_kept": own[0].sum(),
        "maps_kept_mended": own[1].sum(),
        "jaccard_own": mean_jaccard(own),
        "jaccard": mean_jaccard(equal),
    }
