"""The numbers that the book leads with, notebook by notebook, and how far each may move.

A number is named by its results file and a dotted key into it. Tolerances are absolute, in the number's own unit: the last bit
of a response differs between processors and can turn a clip or two, or the rank of a map. Counts and numbers that no
arithmetic enters may not move at all.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Headline:
    """A number that the book leads with, and how far it may move (`tolerance`, absolute, in `unit`)."""

    file: str
    key: str
    tolerance: float
    unit: str


POINT = 0.01
"""An accuracy may move by a percentage point between machines: the last bit of a response can turn a clip or two."""

FEW_MAPS_POINTS = 3 * POINT
"""The same where fewer than a tenth of the maps are kept and the ensemble is trained anew: more SVMs are stopped then, and
stand where the last bits have led them (notebook 09)."""

HEADLINES: tuple[Headline, ...] = (
    Headline("responses.json", "maps", 0, "maps"),
    Headline("redundancy.json", "ignored_by_rank", 0, "share of maps"),
    Headline("redundancy.json", "ignored_by_alpha", 0.005, "share of maps"),
    Headline("redundancy.json", "median_eta2", 0.001, "eta squared"),
    Headline("redundancy.json", "jaccard", 0.01, "Jaccard index"),
    *(
        Headline("ensemble.json", f"rates.{rate}.{name}.accuracy", POINT, "accuracy")
        for rate in (22050, 44100)
        for name in ("sum15", "sum10", "best")
    ),
    Headline("ensemble.json", "baseline.accuracy", POINT, "accuracy"),
    Headline("ensemble.json", "methods.1.accuracy_15", POINT, "accuracy"),
    Headline("ensemble.json", "methods.2.accuracy_15", POINT, "accuracy"),
    Headline("ensemble.json", "random.15 taps.mean", POINT / 2, "accuracy"),
    Headline("ensemble.json", "random.15 taps.std", POINT / 2, "accuracy"),
    # One per test of tests.json: ANOVA, Welch, Alexander-Govern, Kruskal-Wallis, permutation.
    *(
        Headline("tests.json", f"tests.{number}.{name}", 0.005, unit)
        for number in range(5)
        for name, unit in (("bh", "share of maps"), ("effect", "effect size"))
    ),
    # Shuffled by recording: of ANOVA (too many false alarms), and of the permutation test (as many as it should).
    Headline("tests.json", "calibration.1.false_alarms", 0.01, "share of maps"),
    Headline("tests.json", "calibration.9.false_alarms", 0.01, "share of maps"),
    Headline("tests.json", "alike_raw", 0.0005, "share of maps"),
    Headline("tests.json", "alike_adjusted", 0.0005, "share of maps"),
    Headline("tests.json", "median_pairs", 1, "pairs of classes"),
    *(
        Headline("released.json", f"own_rule.{number}.{variant}", 0.005, "share of maps")
        for number in range(4)
        for variant in ("released", "corrected")
    ),
    *(Headline("released.json", f"cost.{number}.change", POINT, "accuracy") for number in range(8)),
    Headline("criteria.json", "full", POINT, "accuracy"),
    Headline("criteria.json", "random.mean", POINT / 2, "accuracy"),
    Headline("criteria.json", "random.low", POINT, "accuracy"),
    Headline("criteria.json", "random.high", POINT, "accuracy"),
    Headline("criteria.json", "better_than_random", 1, "criteria"),
    Headline("criteria.json", "worse_than_random", 2, "criteria"),
    # One per control of controls.json: inside the folds, leaky, shuffled labels, the ignored maps, random maps.
    *(Headline("controls.json", f"controls.{number}.mean", POINT, "accuracy") for number in range(5)),
    Headline("controls.json", "discordant", POINT, "share of clips"),
    Headline("controls.json", "design.0.effect", 0.3, "ratio of variances"),
    *(
        Headline("controls.json", f"inference.0.{end}", 1, "percentage points")
        for end in ("value", "low", "high")
    ),
    Headline("maps.json", "kept_peak", 0.05, "standard deviations"),
    Headline("maps.json", "last_peak", 0.05, "standard deviations"),
    *(
        Headline("curves.json", f"summary.{number}.{end}", POINT, "accuracy")
        for number in range(7)
        for end in ("anova", "random_mean", "low", "high")
    ),
    Headline("computation.json", "macs", 0, "multiply-accumulates"),
    Headline("computation.json", "parameters", 0, "parameters"),
    *(Headline("computation.json", f"savings.{number}.network_5", 1e-9, "share") for number in range(5)),
    Headline("computation.json", "savings.0.all_5", 0.001, "share of MACs"),
    Headline("compensation.json", "random_small_refitted", POINT / 2, "accuracy"),
    *(
        Headline("compensation.json", f"{size}.0.{method}", POINT, "accuracy")
        for size in ("psnet", "small")
        for method in ("removed", "recalibrated", "merged", "refitted")
    ),
    Headline("frontier.json", "operating.macs", 0.005, "share of MACs"),
    Headline("frontier.json", "operating.parameters", 0.005, "share of parameters"),
    Headline("frontier.json", "operating.change", POINT, "accuracy"),
    *(
        Headline("frontier.json", f"smallest_within.{margin}.{what}", 0.05, "share")
        for margin in (1, 3)
        for what in ("macs", "parameters")
    ),
    *(
        Headline("verdicts.json", f"verdicts.{number}.estimate", POINT, "accuracy")
        for number in (0, 2, 4, 7, 8)
    ),
)
