"""What has been published: the claims that are tested here and the numbers that stand beside ours, with their sources."""

from typing import NamedTuple


class Claim(NamedTuple):
    """A published claim: where it stands, what it says, its number if any, and the data sets it is about (none: any)."""

    source: str
    text: str
    number: float | None
    datasets: tuple[str, ...] = ()


CLAIMS = {
    "cost": Claim("DHA, abstract", "Ignoring 89 % of the feature maps costs less than 3 %.", 0.03),
    "computation": Claim("DHA, abstract", "That saves 18 % of the computation.", 0.18),
    "selection": Claim("DHA, poster", "The statistic finds the maps that matter.", None),
    "alike": Claim("DHA, poster", "Redundant maps respond alike to the various classes.", 0.89),
    "pruning": Claim("DHA, poster", "CNNs can be pruned by redundant feature maps only.", None),
    "ensemble": Claim(
        "EUSIPCO-18",
        "The ensemble is 30.85 % (relative) better than its best layer.",
        0.3085,
        ("dcase2016", "dcase2016-evaluation"),
    ),
}
"""The claims of the protocol (``book/protocol.md``), in its order."""

PROTOCOL = {"commit": "3b9e815", "date": "2026-11-25"}
"""The commit that fixed the protocol, in the history of this repository."""

CLIPS = {"DCASE-16 evaluation": 390, "DCASE-16 development": 1170, "ESC-50": 2000}
"""Number of clips of other data sets."""

PUBLISHED_ESC10 = {
    "soundnet": 0.922,  # Aytar 2016, 8 layers, best
    "mfcc_svm": 0.675,  # Piczak 2015
    "human": 0.957,  # Piczak 2015
}
"""Accuracies on ESC-10."""

MARGIN = 0.03
"""The "less than 3 %" of DHA, read as percentage points of accuracy."""

EQUIVALENT = 0.01
"""Within so much (a percentage point of accuracy) a selection is as good as random ones; set by the protocol."""

KEEP = 0.11
"""The fraction of maps kept when 89 % are ignored."""
