"""What has been published: the numbers that stand beside ours, with their sources. The claims: `dha_utils.findings.outcomes`."""

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

SAVED = 0.18
"""The computation that DHA saves by ignoring maps."""

GAIN = 0.3085
"""How much better the ensemble of EUSIPCO-18 is than its best layer, relative to that layer's accuracy, on DCASE-16."""

EQUIVALENT = 0.01
"""Within so much (a percentage point of accuracy) a selection is as good as random ones; set by the protocol."""

PRIMARY = "converging"
"""The classifier by which the protocol judges; others stand beside."""

KEEP = 0.11
"""The fraction of maps kept when 89 % are ignored."""
