"""How much of the variance of the maps a single clip carries.

Conventions: responses ``x`` are (n clips, C maps); shares are fractions of the variance of one map, or of all maps of a tap.
"""

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from dha_utils.criteria.groups import is_constant
from dha_utils.responses.table import Responses


def variance_shares(x: np.ndarray) -> np.ndarray:
    """Return how much of the variance of each map every clip carries, shape (n, C); columns sum to 1, or are 0 if constant.

    Parameters
    ----------
    x : ndarray, shape (n, C)

    Examples
    --------
    >>> variance_shares(np.array([[0.0], [0.0], [3.0]])).ravel().round(3).tolist()
    [0.167, 0.167, 0.667]
    """
    x = np.asarray(x, dtype=np.float64)
    squares = (x - x.mean(axis=0)) ** 2
    return squares / np.where(is_constant(x), np.inf, squares.sum(axis=0))


def carried_variance(responses: Responses) -> pd.DataFrame:
    """Return how much of the variance of a tap, summed over its maps, every clip carries.

    Returns
    -------
    DataFrame
        Columns tap, clip, label, share; one row per tap and clip.
    """
    tables = []
    for tap in responses.taps:
        x = responses[tap].astype(np.float64)
        squares = ((x - x.mean(axis=0)) ** 2).sum(axis=1)
        tables.append(responses.table[["clip", "label"]].assign(tap=tap, share=squares / squares.sum()))
    return pd.concat(tables, ignore_index=True)[["tap", "clip", "label", "share"]]


def dominance_table(responses: Responses) -> pd.DataFrame:
    """Return the clip that carries most of the variance of each tap, and what it does to the maps.

    Returns
    -------
    DataFrame
        One row per tap: tap, maps, clip, label; share of the tap's variance that the clip carries; component, the share of the
        tap's variance in its first principal component, and of_component, the clip's share of that; dominated, the number of maps
        more than half of whose variance the clip carries; distance of the clip from the mean in standard deviations of a map
        (median over maps that vary).
    """
    rows = []
    for tap in responses.taps:
        x = responses[tap].astype(np.float64)
        varying = ~is_constant(x)
        squares = (x - x.mean(axis=0)) ** 2
        clip = int(squares.sum(axis=1).argmax())
        pca = PCA(1, svd_solver="arpack", random_state=0)
        component = pca.fit_transform(x)[:, 0] ** 2
        distance = np.sqrt(squares[clip, varying] / squares[:, varying].mean(axis=0))
        rows.append(
            {
                "tap": tap,
                "maps": x.shape[1],
                "clip": responses.table["clip"].iloc[clip],
                "label": responses.table["label"].iloc[clip],
                "share": squares[clip].sum() / squares.sum(),
                "component": pca.explained_variance_ratio_[0],
                "of_component": component[clip] / component.sum(),
                "dominated": int((variance_shares(x)[clip] > 0.5).sum()),
                "distance": np.median(distance),
            }
        )
    return pd.DataFrame(rows)


def dominating_clips(responses: Responses, tap: str, maps: np.ndarray) -> pd.DataFrame:
    """Return the clip that carries most of the variance of each of some maps of a tap.

    Parameters
    ----------
    responses : Responses
    tap : str
    maps : ndarray of int
        Channels; those that are constant are left out.

    Returns
    -------
    DataFrame
        Columns map, clip, recording, share; the largest share first.
    """
    maps = maps[~is_constant(responses[tap][:, maps])]
    shares = variance_shares(responses[tap][:, maps])
    clips = responses.table.iloc[shares.argmax(axis=0)][["clip", "recording"]].reset_index(drop=True)
    table = clips.assign(map=maps, share=shares.max(axis=0))[["map", "clip", "recording", "share"]]
    return table.sort_values("share", ascending=False, ignore_index=True)


def carried_by_one(table: pd.DataFrame) -> dict[str, str | int | float | None]:
    """Return the clip that comes first for most maps of a table of `dominating_clips`, and what it carries of them.

    Returns
    -------
    dict
        clip, recording; dominated, the number of maps more than half of whose variance it carries; share_least and share_most
        of those maps for which it comes first; all None but dominated (0) where the table is empty.
    """
    if table.empty:
        empty = dict.fromkeys(("clip", "recording", "share_least", "share_most"))
        return {"dominated": 0} | empty
    rows = table[table["clip"] == table["clip"].mode()[0]]
    return {
        "clip": rows["clip"].iloc[0],
        "recording": rows["recording"].iloc[0],
        "dominated": int((rows["share"] > 0.5).sum()),
        "share_least": float(rows["share"].min()),
        "share_most": float(rows["share"].max()),
    }
