"""The numbers that the book leads with, notebook by notebook, and how far each may move.

A number is named by its data set, its results file, and a dotted key into it. Tolerances are absolute, in the number's own
unit: the last bit of a response differs between processors and can turn a clip or two, or the rank of a map. Counts and numbers
that no arithmetic enters may not move at all.
"""

from dataclasses import dataclass, replace

from dha_utils.book.parameters import without


@dataclass(frozen=True)
class Headline:
    """A number that the book leads with, and how far it may move (`tolerance`, absolute, in `unit`)."""

    file: str
    key: str
    tolerance: float
    unit: str


POINT = 0.01
"""An accuracy may move by a percentage point between machines: the last bit of a response can turn a clip or two."""

STOPPED_POINTS = 3 * POINT
"""The same with the released classifier, whose SVMs are stopped where few maps are kept, and stand where the last bits have led
them (notebook 05)."""

RELEASED = ("anova_time", "entropy_knn", "angle_to_first", "rank_full")
"""The methods that the authors have released."""

HEADLINES: tuple[Headline, ...] = (
    Headline("responses.json", "maps", 0, "maps"),
    Headline("redundancy.json", "ignored_by_rank", 0, "share of maps"),
    Headline("redundancy.json", "ignored_by_alpha", 0.005, "share of maps"),
    Headline("redundancy.json", "median_eta2", 0.001, "eta squared"),
    Headline("redundancy.json", "jaccard", 0.01, "Jaccard index"),
    *(
        Headline("ensemble.json", f"rates.22050.{name}.accuracy", POINT, "accuracy")
        for name in ("all", "released", "best")
    ),
    Headline("ensemble.json", "baseline.accuracy", POINT, "accuracy"),
    *(Headline("ensemble.json", f"cost.{end}", POINT, "accuracy") for end in ("estimate", "low", "high")),
    *(Headline("ensemble.json", f"random.{end}", POINT, "accuracy") for end in ("difference", "low", "high")),
    *(
        Headline("redundancy.json", f"no_difference.{name}", 0.005, "share of maps")
        for name in ("ranks", "unit_length", "anova_least", "anova_most")
    ),
    *(
        Headline("tests.json", f"by_test.{test}.{name}", 0.005, unit)
        for test in ("anova", "welch", "alexander_govern", "kruskal", "permutation_f")
        for name, unit in (("bh", "share of maps"), ("effect", "effect size"))
    ),
    Headline("tests.json", "by_test.permutation_f.westfall_young", 0.005, "share of maps"),
    Headline("tests.json", "by_test.welch.of_defined", 0.005, "share of maps"),
    *(
        Headline("tests.json", f"false_alarms.{test}.by recording.false_alarms", 0.01, "share of maps")
        for test in ("anova", "permutation_f")
    ),
    *(
        Headline("tests.json", f"equivalence.{form}.{name}", 0.005, "share of maps")
        for form in ("welch", "pooled", "ranks")
        for name in ("medium_raw", "medium_adjusted", "medium_refuted", "one_raw")
    ),
    Headline("tests.json", "power.by recording.welch.alike", 0.02, "share of maps"),
    Headline("tests.json", "median_pairs", 1, "pairs of classes"),
    *(
        Headline("released.json", f"own_rule.{method}.{variant}", 0.005, "share of maps")
        for method in RELEASED
        for variant in ("released", "corrected")
    ),
    *(
        Headline("released.json", f"cost.{method}_{variant}.change", POINT, "accuracy")
        for method in RELEASED
        for variant in ("as_released", "corrected")
    ),
    *(Headline("released.json", f"gains.{method}.change", POINT, "accuracy") for method in RELEASED),
    *(
        Headline("released.json", f"record.{classifier}.{fusion}", POINT, "accuracy")
        for classifier in ("converging", "least_squares")
        for fusion in ("all", "released", "best")
    ),
    *(
        Headline("criteria.json", f"random.{name}", tolerance, "accuracy")
        for name, tolerance in (("mean", POINT / 2), ("low", POINT), ("high", POINT))
    ),
    *(
        Headline("criteria.json", f"counts.{name}", 2, "criteria")
        for name in ("better", "worse", "alone_better", "alone_worse")
    ),
    *(
        Headline("controls.json", f"controls.{name}.mean", POINT, "accuracy")
        for name in ("inside the folds", "leaky", "shuffled labels", "the ignored maps alone", "random maps")
    ),
    Headline("controls.json", "discordant", POINT, "share of clips"),
    Headline("controls.json", "design.accuracy, all maps.effect", 0.3, "ratio of variances"),
    *(
        Headline("curves.json", f"random.{keep}.{name}", POINT, "accuracy")
        for keep in (1, 2, 5, 11, 25, 50)
        for name in ("accuracy", "random", "difference", "low", "high")
    ),
    *(Headline("recordings.json", name, 0.005, "share of maps") for name in ("without_one", "without_three")),
    Headline("recordings.json", "dominance.bn7.dominated", 3, "maps"),
    Headline("recordings.json", "kept_overlap.bn7.without_three", 0.03, "Jaccard index"),
    *(Headline("recordings.json", name, POINT, "accuracy") for name in ("change_least", "change_most")),
    Headline("maps.json", "kept_peak", 0.05, "standard deviations"),
    Headline("maps.json", "last.dominated", 1, "maps"),
    *(Headline("dimension.json", name, 0.1, "dimensions") for name in ("smallest", "largest")),
    *(Headline("dimension.json", f"taps.bn7.{name}", 0.05, "dimensions") for name in ("ratio", "ratio_rest")),
    Headline("dimension.json", "without", 0, "recordings"),
    *(Headline("dimension.json", f"better_{end}", 1, "taps") for end in ("least", "most")),
    *(
        Headline("dimension.json", name, 0.01, "alignment")
        for name in ("alignment.relu5.pool5", "alignment_all.bn7.relu7")
    ),
    *(
        Headline("dimension.json", f"filters.all.{name}", 0.002, "share of filters")
        for name in ("anova", "random")
    ),
    Headline("dimension.json", "control.random, filters as with ANOVA.mean", POINT / 2, "accuracy"),
    Headline("silence.json", "eta2", 0.002, "eta squared"),
    Headline("silence.json", "alone.accuracy", POINT, "accuracy"),
    *(Headline("silence.json", f"middle.kept.{end}", 0.02, "correlation") for end in ("min", "max")),
    Headline("silence.json", "middle.overlap.min", 0.02, "Jaccard index"),
    Headline("silence.json", "headline.ANOVA adjusted for silence.accuracy", POINT, "accuracy"),
    *(
        Headline("silence.json", f"trimmed.{maps}.accuracy", POINT / 4, "accuracy")
        for maps in ("all maps", "ANOVA")
    ),
    Headline("computation.json", "macs", 0, "multiply-accumulates"),
    Headline("computation.json", "parameters", 0, "parameters"),
    *(
        Headline("computation.json", f"savings.{way}.{seconds}.network", 0.005, "share of MACs")
        for way in ("ignoring", "removing_union", "removing_fraction", "psnet", "cap")
        for seconds in (5, 30)
    ),
    Headline("computation.json", "savings.ignoring.5.all", 0.005, "share of MACs"),
    *(
        Headline("compensation.json", f"claim.{network}.change", POINT, "accuracy")
        for network in (
            "anova_removed",
            "anova_refitted",
            "anova_psnet_removed",
            "anova_psnet_refitted",
            "psnet_removed",
            "psnet_refitted",
            "anova_small",
            "explained_variance_small",
        )
    ),
    Headline("compensation.json", "ridge.best_held_out", 0.001, "share of energy"),
    Headline("frontier.json", "operating.macs", 0.005, "share of MACs"),
    Headline("frontier.json", "operating.parameters", 0.005, "share of parameters"),
    Headline("frontier.json", "operating.change", POINT, "accuracy"),
    *(
        Headline("frontier.json", f"smallest.{margin}.{how}.macs", 0.05, "share of MACs")
        for margin in (1, 3)
        for how in ("estimate", "shown")
    ),
    *(Headline("computation.json", f"unread.{end}", 3, "filters") for end in ("low", "high")),
)
"""Those of every data set."""

ONLY: dict[str, tuple[Headline, ...]] = {
    "esc10": (
        *(
            Headline("ensemble.json", f"rates.44100.{name}.accuracy", POINT, "accuracy")
            for name in ("all", "released", "best")
        ),
        *(
            Headline("released.json", f"record.released_probability.{fusion}", POINT, "accuracy")
            for fusion in ("all", "released", "best")
        ),
        *(
            Headline("compensation.json", f"{size}.{criterion}.{method}", POINT, "accuracy")
            for size in ("psnet", "small")
            for criterion in ("explained_variance", "anova", "random")
            for method in ("removed", "refitted")
        ),
        *(
            Headline("compensation.json", f"random.{place}.anova.difference", POINT, "accuracy")
            for place in (
                "psnet.removed",
                "psnet.refitted",
                "small_own.refitted",
                "small_explained_variance.refitted",
            )
        ),
        *(
            Headline("compensation.json", f"widths.anova.{widths}", POINT, "accuracy")
            for widths in ("own", "explained_variance")
        ),
        Headline("frontier.json", "inside.0.macs", 0.005, "share of MACs"),
        Headline("frontier.json", "inside.0.change", POINT, "accuracy"),
        *(
            Headline("frontier.json", f"equal.{criterion}.35 %", POINT, "accuracy")
            for criterion in ("lasso", "principal_components", "random")
        ),
        Headline("second_network.json", "ensembles.CREPE.accuracy", POINT, "accuracy"),
        *(
            Headline("second_network.json", f"random.{network}.11.{name}", POINT, "accuracy")
            for network in ("SoundNet", "CREPE")
            for name in ("accuracy", "random", "difference", "low", "high")
        ),
        Headline("second_network.json", "taps.pool1.ratio_rest", 0.1, "dimensions"),
        *(
            Headline("second_network.json", f"pitch.{made}.64-28.{name}", POINT, "accuracy")
            for made in ("random", "nearest_trained")
            for name in ("accuracy", "to_tiny", "to_tiny_low", "to_tiny_high")
        ),
    )
}
"""Those of a single data set: where responses are bundled at two rates or of two networks, and the released classifiers take
minutes, and where all smaller networks are evaluated."""


def headlines_of(dataset: str) -> list[Headline]:
    """Return the numbers that the book leads with on a data set, whose name comes before that of the file."""
    absent = {f"{notebook.partition('_')[2]}.json" for notebook in without(dataset)}
    return [
        replace(headline, file=f"{dataset}/{headline.file}")
        for headline in (*HEADLINES, *ONLY.get(dataset, ()))
        if headline.file not in absent
    ]
