import numpy as np

from dha_utils.criteria.released import METHODS, score_released
from dha_utils.criteria.selection import keep_best
from dha_utils.criteria.slips import SLIPS
from dha_utils.studies.scores import slip_effects


def test_equals_scores_by_hand():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 8)
    maps = [(tap, rng.normal(size=(24, 12, 40)).astype(np.float32)) for tap in ("relu3", "bn4")]
    rows = {(row["method"], row["slip"]): row for row in slip_effects(maps, y, keep=0.25)}
    assert len(rows) == sum(len(slip.methods) for slip in SLIPS) + len(METHODS)

    everything = {slip.name for slip in SLIPS}
    row = rows["anova_time", "all"]
    overlaps, kept = [], 0
    for _, tap_maps in maps:
        before, after = (
            score_released("anova_time", tap_maps, y),
            score_released("anova_time", tap_maps, y, everything),
        )
        a, b = keep_best(before.score, 3), keep_best(after.score, 3)
        overlaps.append((a & b).sum() / (a | b).sum())
        kept += before.n_keep
    assert row["jaccard"] == np.mean(overlaps)
    assert row["maps_kept"] == kept
