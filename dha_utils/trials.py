"""Trials: the ways to make the network smaller that the book compares, and the table of what came of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from dha_utils.compensation import COMPENSATIONS
from dha_utils.criteria.filters import psnet_kept_filters
from dha_utils.errors import ParameterError
from dha_utils.evaluation import CrossValidation, fusions
from dha_utils.inference import Interval, paired_random, simultaneous_random
from dha_utils.network_base import Network
from dha_utils.networks import outline
from dha_utils.outcomes import random_outcome
from dha_utils.sweeps import unpack_correct

PSNET_SIZE = "-".join(str(len(kept)) for kept in psnet_kept_filters().values())
"""p-Snet's numbers of maps, conv1 to conv7."""


@dataclass(frozen=True)
class Trial:
    """One way to make the network smaller.

    Attributes
    ----------
    criterion : str
        What orders the filters, see `dha_utils.selection.order_filters`.
    size : str
        How many maps each layer keeps: a budget of multiply-accumulates as a fraction of the full network's ("0.4"), or seven
        numbers ("16-32-41-56-88-235-59").
    compensation : str
        One of `dha_utils.compensation.COMPENSATIONS`.
    seed : int
        Of criteria that draw, and of fine-tuning.
    epochs : int
        Of fine-tuning, which uses labels and gradients; 0 means none.
    widths : str
        What divides a budget among the layers (`dha_utils.allocation`): ``own``, how much a layer loses of what the criterion
        itself measures, or another criterion by name, to compare selections at the same numbers of maps.
    classifier : str
        What is trained on the small network's responses, see `dha_utils.cross_validate`.
    """

    criterion: str
    size: str
    compensation: str = "refitted"
    seed: int = 0
    epochs: int = 0
    widths: str = "own"
    classifier: str = "converging"


def parse_size(size: str, network: Network | None = None) -> float | dict[str, int]:
    """Return a budget, or the number of maps of every layer of a network, by default SoundNet-8.

    Raises
    ------
    ParameterError
        If it is neither.

    Examples
    --------
    >>> parse_size("0.4"), list(parse_size("8-24-48-96-128-256-256").values())[:2]
    (0.4, [8, 24])
    """
    widths = (network or outline()).widths
    try:
        if "-" not in size:
            budget = float(size)
            if 0 < budget <= 1:
                return budget
        else:
            counts = [int(part) for part in size.split("-")]
            if all(1 <= count <= full for count, full in zip(counts, widths.values(), strict=True)):
                return dict(zip(widths, counts, strict=True))
    except ValueError:
        pass
    full = "-".join(map(str, widths.values()))
    raise ParameterError(
        f"size is {size!r}, expected a fraction of the computation in (0, 1], such as 0.4, or the maps of the "
        f"{len(widths)} layers, at most {full}"
    )


SELECTIONS = ("explained_variance", "next_layer", "pivoted_qr_unpooled", "anova", "l1")
"""Criteria that are compared: three of unpooled activations, the best known class-wise one, the best known of weights."""

BUDGETS = (0.9, 0.83, 0.75, 0.6, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1)
"""Fractions of the full network's multiply-accumulates on the frontier; 0.83 is about p-Snet's."""

PAPER = "0.82"
"""The budget of the paper: 18 % less computation."""

SMALL = "0.35"
"""The budget at which compensations are compared beside p-Snet's numbers of maps: the largest on the frontier at which filters
by explained variance leave 85 % fewer parameters. It was found on the test clips' frontier, not fixed before."""

FEW = 2
"""Random selections where nothing is decided by them."""


def compensation_trials(seeds: int) -> list[Trial]:
    """Return the trials of the page on compensation: selection x compensation at two sizes.

    Random maps stand beside them in the same numbers per layer, at `SMALL` those of explained variance: `seeds` selections
    where they are compared clip by clip, refitted and (p-Snet's numbers) removed, and `FEW` elsewhere.
    """
    ways = [(size, method) for size in (PSNET_SIZE, SMALL) for method in COMPENSATIONS]
    chosen = [Trial(criterion, *way) for way in ways for criterion in SELECTIONS]
    published = [Trial("psnet", PSNET_SIZE, method) for method in COMPENSATIONS]
    random = []
    for size, method in ways:
        decides = method == "refitted" or (size == PSNET_SIZE and method == "removed")
        random += [random_trial(size, method, seed) for seed in range(seeds if decides else min(FEW, seeds))]
    return chosen + published + random


def random_trial(size: str, compensation: str, seed: int, widths: str = "explained_variance") -> Trial:
    """Return a trial of random maps, in the numbers that another criterion gives the layers."""
    return Trial("random", size, compensation, seed, widths="own" if "-" in size else widths)


CLAIM = {
    "anova_removed": ("ANOVA's filters, removed", Trial("anova", PAPER, "removed")),
    "anova_refitted": ("ANOVA's filters, refitted", Trial("anova", PAPER)),
    "anova_psnet_removed": (
        "ANOVA's filters in p-Snet's numbers, removed",
        Trial("anova", PSNET_SIZE, "removed"),
    ),
    "anova_psnet_refitted": ("ANOVA's filters in p-Snet's numbers, refitted", Trial("anova", PSNET_SIZE)),
    "psnet_removed": ("p-Snet's filters, removed", Trial("psnet", PSNET_SIZE, "removed")),
    "psnet_refitted": ("p-Snet's filters, refitted", Trial("psnet", PSNET_SIZE)),
    "anova_small": ("ANOVA's filters at a third of the computation, refitted", Trial("anova", SMALL)),
    "explained_variance_small": (
        "filters by explained variance at a third of the computation, refitted",
        Trial("explained_variance", SMALL),
    ),
}
"""Networks that the claim "CNNs can be pruned by redundant maps only" is asked of, by name: at its saving, then beyond."""


def paper_trials() -> list[Trial]:
    """Return the trials at the paper's saving, with widths of their own, and ANOVA's with those of explained variance."""
    ways = [("anova", "own"), ("anova", "explained_variance"), ("explained_variance", "own")]
    return [
        Trial(criterion, PAPER, method, widths=widths)
        for method in ("removed", "refitted")
        for criterion, widths in ways
    ]


def widths_trials(seeds: int) -> list[Trial]:
    """Return what tells, beside `compensation_trials`, what dividing the budget is worth; all at `SMALL`, refitted.

    Selections with the widths of explained variance instead of their own; random maps with the widths of ANOVA (`seeds` of them),
    and, `FEW`, with those of a criterion that measures nothing.
    """
    others = [criterion for criterion in SELECTIONS if criterion != "explained_variance"]
    chosen = [Trial(criterion, SMALL, widths="explained_variance") for criterion in others]
    random = [random_trial(SMALL, "refitted", seed, "anova") for seed in range(seeds)]
    return chosen + random + [Trial("random", SMALL, seed=seed) for seed in range(min(FEW, seeds))]


def tuned_trials(epochs: int) -> list[Trial]:
    """Return some trials as they are, and each fine-tuned with labels."""
    chosen = [
        Trial("psnet", PSNET_SIZE, "removed"),
        Trial("explained_variance", SMALL),
        Trial("explained_variance", "0.2"),
    ]
    return [tried for trial in chosen for tried in (trial, replace(trial, epochs=epochs))]


FRONTIER = ("explained_variance", "next_layer", "anova")
"""Selections of the frontier: the two best without labels, and the paper's."""


def frontier_trials(seeds: int, budgets: Iterable[float] = BUDGETS) -> list[Trial]:
    """Return the trials of the frontier: three selections, and random maps at every other budget, refitted.

    The random ones are as many per layer as those of explained variance.
    """
    sizes = [f"{budget:g}" for budget in budgets]
    chosen = [Trial(criterion, size) for criterion in FRONTIER for size in sizes]
    return chosen + [random_trial(size, "refitted", seed) for seed in range(seeds) for size in sizes[::2]]


def simultaneous_changes(
    results: Iterable[Mapping], full: CrossValidation, fusion: str = "all"
) -> list[Interval]:
    """Return the change of every trial against the full network, with intervals that hold for all of them together.

    So they hold as well for one that is picked because it looks good. Arguments as in `dha_utils.results_table`; max-T, as in
    `dha_utils.inference.simultaneous_random`, the full network in the place of random maps.
    """
    correct = np.stack([unpack_correct(result, fusion) for result in results])
    whole = full.correct(fusions(full.taps, single=False)[fusion])
    return simultaneous_random(correct, whole[None], full.recordings)


LEAST_DRAWS = 10
"""With fewer random selections nothing is compared."""


def random_table(results: Iterable[Mapping], recordings: np.ndarray, fusion: str = "all") -> pd.DataFrame:
    """Return how selections compare with random maps in the same numbers per layer, mended in the same way.

    Parameters
    ----------
    results : iterable of dict
        What `dha_utils.compression.run_trials` returns, random trials included; selections that have fewer than `LEAST_DRAWS`
        of them to stand beside are left out, and so are fine-tuned ones.
    recordings : ndarray, shape (clips,)
    fusion : str
        The sum of taps that is compared.

    Returns
    -------
    DataFrame
        Columns criterion, size, compensation, widths, draws (how many), accuracy, random (mean accuracy of the draws),
        difference, low, high (clip by clip, over recordings and draws), all_low, all_high (the interval that holds for all
        selections of the same place together) and outcome (of that one); fractions.
    """
    places: dict[tuple, tuple[list, list]] = {}
    for result in results:
        if not result["epochs"]:
            place = (result["compensation"], str(result["layer_maps"]))
            places.setdefault(place, ([], []))[result["criterion"] == "random"].append(result)
    what = ("criterion", "size", "compensation", "widths")
    columns = (
        *what,
        "draws",
        "accuracy",
        "random",
        "difference",
        "low",
        "high",
        "all_low",
        "all_high",
        "outcome",
    )
    rows = []
    for chosen, random in places.values():
        if len(random) < LEAST_DRAWS or not chosen:
            continue
        draws = np.stack([unpack_correct(result, fusion) for result in random])
        correct = np.stack([unpack_correct(result, fusion) for result in chosen])
        together = simultaneous_random(correct, draws, recordings)
        for result, right, interval in zip(chosen, correct, together, strict=True):
            alone = paired_random(right, draws, recordings)
            rows.append(
                {column: result[column] for column in what}
                | {"draws": len(draws), "accuracy": right.mean(), "random": draws.mean()}
                | {"difference": alone.estimate, "low": alone.low, "high": alone.high}
                | {"all_low": interval.low, "all_high": interval.high, "outcome": random_outcome(interval)}
            )
    return pd.DataFrame(rows, columns=columns)


def compensation_table(trials: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return accuracies by selection (rows) and compensation (columns) at a size; random maps are averaged over seeds."""
    rows = trials[(trials["size"] == size) & (trials["epochs"] == 0)]
    table = rows.groupby(["criterion", "compensation"], sort=False)["accuracy"].mean().unstack()
    return table[list(COMPENSATIONS)].sort_values("refitted", ascending=False)


def widths_table(trials: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return refitted accuracies at a size by selection (rows) and by what divided the budget (columns).

    Random maps are averaged over seeds; NaN where a pair was not tried.
    """
    chosen = trials[(trials["size"] == size) & (trials["epochs"] == 0)]
    rows = chosen[chosen["compensation"] == "refitted"].copy()
    # Its own division and that of explained variance are the same thing for explained variance.
    own = (rows["criterion"] == "explained_variance") & (rows["widths"] == "own")
    both = rows[own].assign(widths="explained_variance")
    rows = pd.concat([rows, both])
    table = rows.groupby(["criterion", "widths"], sort=False)["accuracy"].mean().unstack()
    return table.sort_values("own", ascending=False)


def smallest_within(trials: pd.DataFrame, margin: float, column: str = "change") -> dict | None:
    """Return the row of the fewest multiply-accumulates whose `column` is above -`margin`; None if there is none.

    With ``change`` it is picked by its accuracy on the test clips, so that its accuracy is an optimistic estimate. With the lower
    end of `simultaneous_changes` it may be picked: the interval allows for that.
    """
    within = trials[column] >= -margin - 1e-12
    rows = trials[within & (trials["criterion"] != "random")]
    return rows.loc[rows["macs"].idxmin()].to_dict() if len(rows) else None
