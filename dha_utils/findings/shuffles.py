"""Labels shuffled so that no map differs between classes: how often a test says nevertheless that one does."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from dha_utils.responses.table import Responses


def ranked(responses: Responses) -> Responses:
    """Return the ranks of the responses of every map (equal ones share theirs), which no shuffle of labels changes."""
    arrays = {tap: rankdata(responses[tap], axis=0).astype(np.float32) for tap in responses.taps}
    return Responses(arrays, responses.table, responses.provenance)


def shuffle_by_clip(responses: Responses, seed: int) -> Responses:
    """Return the same responses with labels permuted over clips, as if each were a recording of its own."""
    shuffled = responses.shuffle_labels(seed)
    return Responses(
        shuffled.arrays, shuffled.table.assign(recording=shuffled.table["clip"]), shuffled.provenance
    )


def shuffle_by_recording(responses: Responses, seed: int) -> Responses:
    """Return the same responses with labels permuted over recordings: clips of a recording move together."""
    table = responses.table
    labels = table.groupby("recording")["label"].first()
    shuffled = dict(zip(labels.index, np.random.default_rng(seed).permutation(labels), strict=True))
    return Responses(
        responses.arrays, table.assign(label=table["recording"].map(shuffled)), responses.provenance
    )


SHUFFLES = {"by clip": shuffle_by_clip, "by recording": shuffle_by_recording}
"""Ways to shuffle labels so that no map differs between classes."""


def over_shuffles(name: str, shares: Sequence[float]) -> dict[str, float]:
    """Return the mean of a share over shuffles, its standard deviation between them, and their number."""
    sd = float(np.std(shares, ddof=1)) if len(shares) > 1 else float("nan")
    return {name: float(np.mean(shares)), "sd": sd, "shuffles": len(shares)}
