"""Trials: the ways to make the network smaller that the book compares, and the table of what came of them."""

from collections.abc import Iterable, Mapping, Sequence
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
from dha_utils.outcomes import loss_outcome, random_outcome
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


def claim_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `dha_utils.results_table` of the networks of `CLAIM`, with name, what they are, outcome, and loss."""
    changes = table[["change", "low", "high"]].itertuples(index=False)
    return table.assign(
        name=list(CLAIM),
        what=[what for what, _ in CLAIM.values()],
        outcome=[loss_outcome(Interval(*change)) for change in changes],
        loss=-table["change"],
    )


def frontier_table(table: pd.DataFrame, results: Sequence[Mapping], full: CrossValidation) -> pd.DataFrame:
    """Return a `dha_utils.results_table` with `simultaneous_changes` as intervals, but for random maps."""
    chosen = table["criterion"] != "random"
    together = simultaneous_changes([results[row] for row in np.flatnonzero(chosen)], full)
    table = table.copy()
    table.loc[chosen, ["low", "high"]] = [change[1:] for change in together]
    return table


def layer_widths(results: Iterable[Mapping], criteria: Sequence[str]) -> pd.DataFrame:
    """Return how many maps each layer keeps in the first fold: a row per size, a column per criterion and layer."""
    rows = {
        (result["criterion"], result["size"]): result["layer_maps"][0]
        for result in results
        if result["criterion"] in criteria
    }
    return pd.DataFrame(rows, index=list(outline().widths)).T.unstack(0).swaplevel(axis=1)[list(criteria)]


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
        selections of the same place together), outcome (of that one) and place (size and widths in words); fractions.
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
        "place",
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
                | {"place": _place(result)}
            )
    return pd.DataFrame(rows, columns=columns)


def _place(result: Mapping) -> str:
    if result["size"] == PSNET_SIZE:
        return "p-Snet's numbers"
    return f"a third, widths: {result['widths'].replace('_', ' ')}"


def by_place(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `random_table` for a results file: under ``psnet`` or ``small_WIDTHS``, compensation and criterion."""
    places = np.where(table["size"] == PSNET_SIZE, "psnet", "small_" + table["widths"])
    return table.set_index([pd.Index(places), "compensation", "criterion"], drop=False)


def compensation_table(trials: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return accuracies by selection (rows) and compensation (columns) at a size; random maps are averaged over seeds."""
    rows = trials[(trials["size"] == size) & (trials["epochs"] == 0)]
    table = rows.groupby(["criterion", "compensation"], sort=False)["accuracy"].mean().unstack()
    return _unnamed(table[list(COMPENSATIONS)].sort_values("refitted", ascending=False))


def _unnamed(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename_axis(index=None, columns=None)


def random_accuracy(trials: pd.DataFrame, size: str) -> float:
    """Return the mean accuracy of random maps at a size, refitted."""
    refitted = trials[(trials["size"] == size) & (trials["compensation"] == "refitted")]
    return refitted.loc[refitted["criterion"] == "random", "accuracy"].mean()


def gains(table: pd.DataFrame) -> dict[str, dict | float]:
    """Return what compensations bring, and choices, by a `compensation_table`, random maps left out.

    Returns
    -------
    dict
        Compensation -> low, high: by how much it is better than ``removed``, over selections; choice: between the best selection
        and the worst, both refitted.
    """
    chosen = table.drop(index="random")
    brought = chosen.drop(columns="removed").sub(chosen["removed"], axis=0)
    ranges = {method: {"low": column.min(), "high": column.max()} for method, column in brought.items()}
    return ranges | {"choice": chosen["refitted"].max() - chosen["refitted"].min()}


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
    return _unnamed(table.sort_values("own", ascending=False))


def smallest_within(trials: pd.DataFrame, margin: float, column: str = "change") -> dict | None:
    """Return the row of the fewest multiply-accumulates whose `column` is above -`margin`; None if there is none.

    With ``change`` it is picked by its accuracy on the test clips, so that its accuracy is an optimistic estimate. With the lower
    end of `simultaneous_changes` it may be picked: the interval allows for that.
    """
    within = trials[column] >= -margin - 1e-12
    rows = trials[within & (trials["criterion"] != "random")]
    return rows.loc[rows["macs"].idxmin()].to_dict() if len(rows) else None


def operating_point(trials: pd.DataFrame) -> pd.Series:
    """Return the row of a `frontier_table` at which compensations are compared: explained variance, the size nearest `SMALL`."""
    rows = trials[trials["criterion"] == "explained_variance"]
    return rows.loc[(rows["size"].astype(float) - float(SMALL)).abs().idxmin()]


def smallest_table(trials: pd.DataFrame, full: float, margins: Iterable[int] = (1, 3)) -> pd.DataFrame:
    """Return the smallest network of a `frontier_table` that loses less than a margin, by the estimate and as shown.

    Parameters
    ----------
    trials : DataFrame
    full : float
        Accuracy of the full network, which is one of those to be picked.
    margins : iterable of int
        Points of accuracy.

    Returns
    -------
    DataFrame
        Columns margin (str), by ("estimate": the change is within the margin; "shown": its whole interval is), criterion,
        macs, parameters, change, low, high, accuracy.
    """
    unpruned = {
        "criterion": "full network",
        "macs": 1.0,
        "parameters": 1.0,
        "change": 0.0,
        "low": 0.0,
        "high": 0.0,
    }
    unpruned["accuracy"] = full
    candidates = pd.concat([trials[[*unpruned]], pd.DataFrame([unpruned])], ignore_index=True)
    return pd.DataFrame(
        {"margin": str(margin), "by": name} | smallest_within(candidates, margin / 100, column)
        for margin in margins
        for name, column in (("estimate", "change"), ("shown", "low"))
    )
