"""How many independent things the maps of a tap say: why a few of them, drawn at random, do almost as well as all.

Conventions: responses ``x`` are (clips, maps); *standardised* means zero mean and unit variance of every map over all clips, so
that every map that varies counts alike; constant maps are left out. Shares of variance are fractions.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import linalg

from dha_utils.findings.influence import leave_out
from dha_utils.responses.table import Responses

DOMINANT = 0.25
"""A recording dominates a tap if its share of the variance is larger by so much than its share of the clips."""

MOST_DOMINANT = 0.05
"""At most this share of the clips is taken for dominant, but always one recording if there is one."""


def standardise(x: np.ndarray) -> np.ndarray:
    """Return the maps of `x` (n, C) that vary, standardised, shape (n, varying), float64."""
    x = np.asarray(x, dtype=np.float64)
    x = x[:, np.ptp(x, axis=0) > 0]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def spectrum(x: np.ndarray) -> np.ndarray:
    """Return the variances of the principal components of the standardised maps of `x` (n, C), largest first."""
    z = standardise(x)
    gram = z @ z.T if z.shape[0] < z.shape[1] else z.T @ z
    return np.clip(linalg.eigvalsh(gram)[::-1], 0, None) / len(z)


def participation_ratio(variances: np.ndarray) -> float:
    r"""Return the effective dimension :math:`(\sum_j \lambda_j)^2 / \sum_j \lambda_j^2`.

    It is d where d components share the variance evenly, and 1 where one has it all; 0 where nothing varies.

    Parameters
    ----------
    variances : ndarray
        Of the principal components.

    Examples
    --------
    >>> participation_ratio(np.array([2.0, 2.0, 2.0, 0.0])), participation_ratio(np.array([5.0, 0.0]))
    (3.0, 1.0)
    """
    total = variances.sum()
    return float(total**2 / np.sum(variances**2)) if total > 0 else 0.0


def components_for(variances: np.ndarray, share: float) -> int:
    """Return how many principal components have a share of the variance; 0 where nothing varies.

    >>> components_for(np.array([6.0, 3.0, 1.0]), 0.9), components_for(np.array([6.0, 3.0, 1.0]), 0.95)
    (2, 3)
    """
    total = variances.sum()
    # A hair less, so that a share which is reached but for rounding counts as reached.
    return int(np.searchsorted(np.cumsum(variances), share * total * (1 - 1e-12))) + 1 if total > 0 else 0


def recording_shares(x: np.ndarray, recordings: np.ndarray) -> pd.Series:
    """Return the share of the variance of the standardised maps of `x` (n, C) that lies in the clips of each recording."""
    energy = np.sum(standardise(x) ** 2, axis=1)
    return pd.Series(energy / max(energy.sum(), np.finfo(float).tiny)).groupby(np.asarray(recordings)).sum()


def dominant_recordings(responses: Responses) -> list[dict]:
    """Return the recordings that by themselves are much of the variance of a tap, the most dominant first.

    One after the other, each as it dominates among those that are left: see `DOMINANT` and `MOST_DOMINANT`.

    Returns
    -------
    list of dict
        recording, clips (their number), tap, share (of the tap's variance).
    """
    found: list[dict] = []
    left = responses
    clips = pd.Series(responses.recordings).value_counts()
    while len(left):
        shares = pd.DataFrame({tap: recording_shares(left[tap], left.recordings) for tap in left.taps})
        above = shares.sub(clips[shares.index] / len(left), axis="index")
        recording, tap = above.stack().idxmax()
        taken = int(clips[recording]) + sum(other["clips"] for other in found)
        if above.loc[recording, tap] <= DOMINANT or (found and taken > MOST_DOMINANT * len(responses)):
            break
        found.append(
            {
                "recording": str(recording),
                "clips": int(clips[recording]),
                "tap": tap,
                "share": float(shares.loc[recording, tap]),
            }
        )
        left = left.take(left.recordings != recording)
    return found


def dimension_table(responses: Responses, without: Iterable[str] = ()) -> pd.DataFrame:
    """Return the effective dimension of every tap.

    Parameters
    ----------
    responses : Responses
    without : iterable of str
        Recordings that are left out in a second count.

    Returns
    -------
    DataFrame
        Columns tap, maps, varying (maps that are not constant), ratio (participation ratio), pc90, pc99 (principal components
        for 90 and 99 % of the variance), and the last three again without those recordings, in columns that end in ``_rest``.
    """
    rest = leave_out(responses, without)
    rows = []
    for tap in responses.taps:
        row: dict[str, object] = {"tap": tap, "maps": responses[tap].shape[1]}
        row["varying"] = standardise(responses[tap]).shape[1]
        for ending, part in (("", responses), ("_rest", rest)):
            variances = spectrum(part[tap])
            row[f"ratio{ending}"] = participation_ratio(variances)
            row[f"pc90{ending}"] = components_for(variances, 0.9)
            row[f"pc99{ending}"] = components_for(variances, 0.99)
        rows.append(row)
    return pd.DataFrame(rows)


def extremes(table: pd.DataFrame) -> dict[str, float | str | int]:
    """Return the taps of the smallest and the largest effective dimension of a `dimension_table`, without what is left out.

    Returns
    -------
    dict
        smallest, smallest_tap, largest, largest_tap; most_components, the largest number of components for 90 %.
    """
    order = table.sort_values("ratio_rest", kind="stable")
    ends = {"smallest": order.iloc[0], "largest": order.iloc[-1]}
    found = {}
    for name, row in ends.items():
        found |= {name: float(row["ratio_rest"]), f"{name}_tap": row["tap"]}
    return found | {"most_components": int(table["pc90_rest"].max())}
