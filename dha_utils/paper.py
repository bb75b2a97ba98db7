"""What has been published: the numbers that stand beside ours, with their sources. The claims: `dha_utils.findings.outcomes`."""

PROTOCOL = {"commit": "3b9e815", "date": "2026-11-25"}
"""The commit that fixed the protocol, in the history of this repository."""

CLIPS = {"DCASE-16 evaluation": 390, "DCASE-16 development": 1170, "ESC-50": 2000}
"""Number of clips of other data sets."""

PUBLISHED = {
    "esc10": {
        "soundnet": 0.922,
        "soundnet5_video": 0.868,
        "soundnet5_scratch": 0.823,
        "convnet": 0.810,
        "random_forest": 0.727,
        "mfcc_svm": 0.675,
        "human": 0.957,
    },
    "esc50": {
        "soundnet": 0.742,
        "soundnet5_video": 0.661,
        "soundnet5_scratch": 0.650,
        "convnet": 0.645,
        "random_forest": 0.443,
        "mfcc_svm": 0.396,
        "human": 0.813,
    },
}
"""Data set -> published accuracies; see `TITLES`."""

TITLES = {
    "soundnet": "SoundNet, 8 layers (Aytar 2016)",
    "soundnet5_video": "SoundNet, 5 layers, learned from video (Aytar 2016)",
    "soundnet5_scratch": "SoundNet, 5 layers, from scratch (Aytar 2016)",
    "convnet": "ConvNet (Piczak 2015)",
    "random_forest": "random forest on MFCC (Piczak 2015)",
    "mfcc_svm": "SVM on MFCC (Piczak 2015)",
    "human": "human listeners (Piczak 2015)",
}
"""What the rows of `PUBLISHED` are of."""

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
