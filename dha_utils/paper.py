"""What has been published: the claims that are tested here and the numbers that stand beside ours, with their sources."""

from typing import NamedTuple


class Claim(NamedTuple):
    """A published claim: where it stands, what it says, and its number where it has one."""

    source: str
    text: str
    number: float | None


CLAIMS = {
    "cost": Claim("DHA, abstract", "Ignoring 89 % of the feature maps costs less than 3 %.", 0.03),
    "ignored": Claim("DHA, abstract", "89 % of the feature maps are redundant.", 0.89),
    "statistics": Claim("DHA, poster", "Statistics identify the maps that can be ignored.", None),
    "alike": Claim("DHA, poster", "Redundant feature maps respond similarly to the various classes.", None),
    "criteria": Claim("DHA, title", "A statistical framework finds the maps to prune.", None),
    "complementary": Claim(
        "EUSIPCO-18", "The layers are complementary: their sum knows what none knows alone.", None
    ),
    "computation": Claim("DHA, abstract", "Ignoring them saves 18 % of the computation.", 0.18),
    "pruning": Claim(
        "DHA, poster", "The method can be used to prune CNNs based on redundant feature maps only.", None
    ),
    "ensemble": Claim(
        "EUSIPCO-18", "The ensemble is 30.85 % (relative) more accurate than its best single layer.", 0.3085
    ),
}

PUBLISHED_ESC10 = {
    "soundnet": 0.922,  # Aytar 2016, 8 layers, best
    "mfcc_svm": 0.675,  # Piczak 2015
    "human": 0.957,  # Piczak 2015
}
"""Accuracies on ESC-10."""

MARGIN = 0.03
"""The "less than 3 %" of DHA, read as percentage points of accuracy."""

KEEP = 0.11
"""The fraction of maps kept when 89 % are ignored."""
