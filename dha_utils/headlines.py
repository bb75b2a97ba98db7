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

STOPPED_POINTS = 3 * POINT
"""The same with the released classifier, whose SVMs are stopped where few maps are kept, and stand where the last bits have led
them (notebook 09)."""

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
    *(Headline("ensemble.json", f"cost.{end}", POINT, "accuracy") for end in ("estimate", "low", "high")),
    *(Headline("ensemble.json", f"random.{end}", POINT, "accuracy") for end in ("difference", "low", "high")),
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
)
