"""What the padding of the released extraction changes: the pooled responses tap by tap, and the ensemble that reads them.

Conventions: *ours* are responses of a network that pads the input of its convolutions, as SoundNet was trained; *theirs* of
one that pads their output, as DHA's released extraction does (`dha_utils.networks.soundnet.PADDINGS`). Rows are the same clips.
"""

from functools import partial
from pathlib import Path

import numpy as np

from dha_utils.core.paths import write_json
from dha_utils.criteria.selection import select
from dha_utils.datasets.clips import Clips
from dha_utils.evaluation.crossvalidation import cross_validate_many
from dha_utils.evaluation.inference import paired_difference
from dha_utils.networks.registry import outline
from dha_utils.paper import KEEP
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses

CLASSIFIERS = ("converging", "released")
"""Those whose accuracies are compared."""


def compare_responses(ours: Responses, theirs: Responses) -> list[dict]:
    """Return how far the responses of every tap move.

    Returns
    -------
    list of dict
        tap; edges, the share of the layer's time positions that hold padding; constant, the number of maps that are the same for
        all clips with the released padding; correlation over clips between the two, median over the other maps; and
        difference, the root mean square difference over clips and maps, in units of that of ours from its maps' averages.
    """
    parameters = ours.provenance["parameters"]
    network = outline("soundnet8", padding="released")
    shapes = network.shapes(round(parameters["duration"] * parameters["rate"]))
    rows = []
    for tap in ours.taps:
        layer = network.layer_of(tap)
        padded = network.layers[layer].conv.output_padding_each_side
        a, b = (responses[tap].astype(np.float64) for responses in (ours, theirs))
        moved = np.sqrt(np.mean((b - a) ** 2))
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        # In float32 the average of equal values is off by its last bits: spread below that is none.
        varies = [x.std(axis=0) > 1e-6 * np.abs(x).max() for x in (a, b)]
        both = np.logical_and(*varies)
        correlation = (a * b).sum(axis=0)[both] / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))[both]
        rows.append(
            {
                "tap": tap,
                "edges": 2 * padded / shapes[layer][1],
                "constant": int((~varies[1]).sum()),
                "correlation": float(np.median(correlation)),
                "difference": float(moved / np.sqrt(np.mean(a**2))),
            }
        )
    return rows


def compare_ensembles(ours: Responses, theirs: Responses, keep: float) -> list[dict]:
    """Return what ignoring maps costs with either padding.

    Returns
    -------
    list of dict
        Per classifier and padding: full and kept, the accuracies with all maps and with the fraction `keep` that ANOVA ranks
        highest; change, low and high, their difference with its clustered 95 % interval.
    """
    selectors = {"full": None, "kept": partial(select, criterion="anova", keep=keep)}
    rows = []
    for classifier in CLASSIFIERS:
        for padding, responses in (("input", ours), ("released", theirs)):
            runs = cross_validate_many(responses, selectors, classifier=classifier)
            full, kept = runs["full"], runs["kept"]
            change = paired_difference(full.correct(), kept.correct(), full.recordings)
            rows.append(
                {
                    "classifier": classifier,
                    "padding": padding,
                    "full": full.accuracy(),
                    "kept": kept.accuracy(),
                }
                | change.columns("change")
            )
    return rows


def keep_padding(ours: Responses, clips: Clips, folder: Path) -> None:
    """Extract `clips`, those of our responses, with the released padding, and keep what that changes in a folder."""
    how = {name: ours.provenance["parameters"][name] for name in ("rate", "duration", "channel")}
    theirs = extract_responses(clips, padding="released", **how)
    effects = {
        "key": key_of("sweep", theirs, keep=KEEP),
        "taps": compare_responses(ours, theirs),
        "ensembles": compare_ensembles(ours, theirs, KEEP),
    }
    write_json(folder / f"padding_{how['rate']}.json", effects, indent=2)
