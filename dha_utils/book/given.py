"""What notebooks are given on a data set where nothing else is said: parameters that are not those that they declare."""

from collections.abc import Mapping

from dha_utils.core.paths import bundled
from dha_utils.datasets import DATASETS

OWN = ""
"""Stands in `GIVEN` for all sounds of which nothing is bundled."""

GIVEN: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "esc50": {
        "": {"rates": [22_050], "classifier": "least_squares", "others": []},
        "ensemble": {"others": ["converging"]},
        "tests": {"seeds": 4},
        "curves": {"others": ["converging"], "criteria_at": [0.01, 0.05, 0.11], "other_seeds": 20},
        "compensation": {"only_bundled": True},
        "frontier": {"only_bundled": True},
        "dimension": {"seeds": 11},
    },
    OWN: {
        "": {
            "rates": [22_050],
            "classifier": "least_squares",
            "others": [],
            "fractions": [0.02, 0.11, 0.5],
            "budgets": [0.35, 0.15],
            "seeds": 10,
            "only_claims": True,
        },
        "curves": {"criteria_at": [0.11]},
        "frontier": {"seeds": 2},
        "sensitivity": {"seeds": 2},
    },
}
"""Data set -> subject of a notebook, or nothing for all of them -> parameters that it is given where nothing else is said,
because those that it declares are not for this data set. On ESC-50 the protocol's classifier makes what the claims rest on, and
least squares, which takes a fraction of the time, the rest; the draws of random maps are the protocol's. Sounds of one's own are
to be done in minutes: least squares throughout, as few draws as anything is compared with, every other fraction of the protocol,
and smaller networks, beside those of the claim, at the size at which compensations are compared and at half of that."""


def given(
    dataset: str, notebook: str, thorough: bool = False, network: str | None = None
) -> dict[str, object]:
    """Return the parameters that a notebook, by its subject ("curves"), is given on a data set; some it may not take.

    Sounds of one's own, and others with a network of one's own, are given none if the run is to be thorough.
    """
    own = OWN if is_own(dataset, network) and not thorough else dataset
    of = GIVEN.get(own, {})
    return {**of.get("", {}), **of.get(notebook, {})}


def is_own(dataset: str, network: str | None = None) -> bool:
    """Return whether nothing is bundled of a data set, with a network, so that all is computed from its audio."""
    return bool(network) or not (dataset in DATASETS and bundled(dataset).is_dir())


def in_words(explicit: Mapping[str, object], thorough: bool) -> str:
    """Return what sounds of one's own are given, but for what was said explicitly, and how to get something else."""
    if thorough:
        return "what the notebooks declare: the protocol's classifier and all draws, which takes hours"
    values = {name: value for name, value in GIVEN[OWN][""].items() if name not in explicit}
    listed = ", ".join(f"{name} {value}" for name, value in values.items())
    return f"{listed}; --thorough: the protocol's classifier and all draws; -p NAME VALUE: what you say"
