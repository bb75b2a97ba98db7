"""The slips of the released selection code: what is wrong, and what the corrected variants do instead."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Slip:
    """A slip of the released code.

    Attributes
    ----------
    name : str
        By which `dha_utils.criteria.released.score_released` mends it.
    methods : tuple of str
        The methods whose results it changes.
    wrong, corrected : str
        What the released code does, and what the corrected variant does.
    """

    name: str
    methods: tuple[str, ...]
    wrong: str
    corrected: str


STOPPED = ("anova_time", "entropy_knn", "angle_to_first")
"""The methods that take their number of maps from the KL rule."""

SLIPS = (
    Slip(
        "standardisation",
        (*STOPPED, "rank_full"),
        "(n, T, C) is reshaped to (n C, T) with no transpose: every standardised column mixes maps and times",
        "every map is centred over clips and time; one scale per tap: how much a map varies is to count",
    ),
    Slip(
        "pseudo-replication",
        ("anova_time",),
        "groups are clips, samples their autocorrelated time positions: clips differ even where all is noise",
        "one average per clip, grouped by class, which is the test of classes with time nested in clips",
    ),
    Slip(
        "underflow",
        ("anova_time",),
        "maps are ranked by p, which underflows to 0: the order of such ties is arbitrary (here: by channel)",
        "maps are ranked by F",
    ),
    Slip(
        "direction",
        ("entropy_knn", "angle_to_first"),
        "ascending order keeps the maps that vary least over clips",
        "descending order keeps the maps that vary most",
    ),
    Slip(
        "neighbour",
        ("entropy_knn",),
        "the 10 nearest neighbours of a clip include the clip itself: the distance is that to the 9th other one",
        "the distance to the 10th other clip, as the estimate has it",
    ),
    Slip(
        "epsilon",
        ("entropy_knn",),
        "machine epsilon is added to the distances: how many clips coincide (silent ones do) outweighs all else",
        "distances are not taken below the resolution of float32; a map with no larger one is undefined",
    ),
    Slip(
        "volume term",
        ("entropy_knn",),
        "the volume of the unit ball is taken in T / 1000 dimensions: one constant per tap, which changes no rank",
        "in T dimensions",
    ),
    Slip(
        "reference",
        ("angle_to_first",),
        "map 0 is compared with itself: its spread is 0 whatever it does",
        "map 0 is scored by its angle to map 1",
    ),
    Slip(
        "bin edges",
        STOPPED,
        "the two histograms of the stopping rule have different edges: equal bins stand for different values",
        "both have the edges of all values",
    ),
    Slip(
        "count",
        STOPPED,
        "the number kept is the zero-based index of the last map needed: one too few",
        "the index plus one",
    ),
    Slip(
        "full rank",
        ("rank_full",),
        "full means rank n, which no map with fewer than n time positions can reach",
        "full means rank min(n, T)",
    ),
    Slip(
        "mixed slice",
        (),
        "clips per class are hard-coded slices, one of which holds clips of two classes",
        "clips are drawn by label; so they are in both variants, since the slices belong to another data set",
    ),
)
