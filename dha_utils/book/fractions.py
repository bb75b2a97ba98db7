"""What the page `explore` looks up: the bundled sweeps of a data set, criterion by criterion and clip by clip, made small.

Conventions: clips are in the order of `dha_utils.responses.table.Responses.tested`; which of them are right is a hexadecimal
number, first clip first, as in the sweep.
"""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import find_criterion
from dha_utils.datasets import default_rates
from dha_utils.datasets.given import title_of
from dha_utils.evaluation.inference import Interval
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.responses.table import Responses
from dha_utils.studies.inputs import responses_file
from dha_utils.studies.sweep_store import committed_file, load_results
from dha_utils.studies.sweeps import Cell

CLASSIFIERS = {
    "converging": "support vector machines",
    "least_squares": "least squares, the same kernels",
    "released": "support vector machines as released",
}
"""Those that sweeps are made with -> what the page calls them, in its order."""

FIRST = "anova"
"""The criterion that the page begins with; at the fraction 1 it is all maps."""


def bundled_fractions(dataset: str) -> dict:
    """Return `fractions_content` of the bundled sweep of a data set.

    Raises
    ------
    DataError
        If nothing is bundled of it, or the sweep belongs to other responses.
    """
    responses = Responses.load(responses_file(bundled(dataset), default_rates(dataset)[0]))
    found = load_results(committed_file("sweep", responses), Cell, responses)
    return fractions_content(title_of(dataset), responses.tested(), found.values())


def fractions_content(title: str, tested: Responses, records: Iterable[dict]) -> dict:
    """Return what is known of every criterion at every fraction.

    Parameters
    ----------
    title : str
        What people call the data set.
    tested : Responses
        To the clips that are tested.
    records : iterable of dict
        Of a sweep (`dha_utils.sweep`); those with a control are left out.

    Returns
    -------
    dict
        title; classes (names); y (class of every clip); clips (names); runs, one for each of `CLASSIFIERS` that has all maps and
        several fractions: classifier, full (which clips are right with all maps), random (`_drawn` by fraction) and criteria, a
        list of name, family, summary and at, fraction -> right, change, low, high (accuracy minus that with all maps, with
        `clustered_interval`).
    """
    plain = [record for record in records if not record["control"]]
    runs = []
    for classifier, called in CLASSIFIERS.items():
        own = [record for record in plain if record["classifier"] == classifier]
        whole = [record for record in own if record["keep"] == 1]
        parts = sorted((record for record in own if record["keep"] < 1), key=lambda record: record["keep"])
        if whole and len({record["keep"] for record in parts if record["criterion"] == FIRST}) > 1:
            runs.append({"classifier": called} | _run(whole[0], parts, tested.recordings))
    return {
        "title": title,
        "classes": list(tested.classes),
        "y": tested.y.tolist(),
        "clips": tested.table["clip"].tolist(),
        "runs": runs,
    }


def _run(whole: dict, parts: list[dict], recordings: np.ndarray) -> dict:
    """Return what one classifier says with all maps and with parts of them, by increasing fraction."""
    full = unpack_correct(whole)
    at: dict[str, dict[str, dict]] = defaultdict(dict)
    draws: dict[str, list[np.ndarray]] = defaultdict(list)
    for record in parts:
        right, keep = unpack_correct(record), f"{record['keep']:g}"
        if record["criterion"] == "random":
            draws[keep].append(right)
            continue
        change = clustered_interval(right.astype(int) - full, recordings)
        numbers = {name: round(value, 5) for name, value in change.columns("change").items()}
        at[record["criterion"]][keep] = {"right": record["correct"]["all"], **numbers}
    criteria = [find_criterion(name) for name in at]
    criteria.sort(key=lambda criterion: (criterion.name != FIRST, criterion.family, criterion.name))
    return {
        "full": whole["correct"]["all"],
        "random": {keep: _drawn(np.stack(own)) for keep, own in draws.items()},
        "criteria": [
            {"name": one.name, "family": one.family, "summary": one.summary, "at": at[one.name]}
            for one in criteria
        ],
    }


def _drawn(right: np.ndarray) -> dict:
    """Return of random selections, (draws, clips), how many there are, their accuracies' ends, and how often clips are right."""
    accuracies = right.mean(axis=1)
    return {
        "draws": len(right),
        "lowest": float(accuracies.min()),
        "highest": float(accuracies.max()),
        "right": right.sum(axis=0).tolist(),
    }


def clustered_interval(values: np.ndarray, recordings: np.ndarray) -> Interval:
    r"""Return the mean of values over clips with its 95 % interval, normal, the clips of a recording together.

    A formula in place of the bootstrap of the other pages (`dha_utils.evaluation.inference.cluster_bootstrap`), since there are
    hundreds of them:

    .. math:: \bar v \pm 1.96 \, \frac{1}{n} \sqrt{\frac{R}{R - 1} \sum_r \Big(\sum_{i \in r} (v_i - \bar v)\Big)^2}

    Parameters
    ----------
    values : ndarray, shape (clips,)
    recordings : ndarray, shape (clips,)
        At least two different ones.
    """
    _, cluster = np.unique(recordings, return_inverse=True)
    mean = float(values.mean())
    sums = np.bincount(cluster, weights=values - mean)
    half = 1.96 * float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum())) / len(values)
    return Interval(mean, mean - half, mean + half)
