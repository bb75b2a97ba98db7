"""Tables of smaller networks: what trials come to, beside the full network and beside random filters."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dha_utils.criteria.base import CRITERIA
from dha_utils.criteria.described import needs_of
from dha_utils.evaluation.crossvalidation import CrossValidation, fusions
from dha_utils.evaluation.inference import Interval, paired_random, simultaneous_random
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.findings.outcomes import loss_outcome, random_outcome
from dha_utils.networks.registry import outline
from dha_utils.pruning.compensation import COMPENSATIONS
from dha_utils.pruning.compressor import MARK, PSNET_SIZE
from dha_utils.studies.trials import CLAIM, SMALL


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
    """Return how many maps each layer keeps in the first fold, by criterion at every size that all have.

    Returns
    -------
    DataFrame
        Columns criterion, size and the layers.
    """
    own = {(result["criterion"], result["size"]): result["layer_maps"][0] for result in results}
    sizes = sorted(set.intersection(*({size for of, size in own if of == name} for name in criteria)))
    rows = [[name, size, *own[name, size]] for name in criteria for size in sizes]
    return pd.DataFrame(rows, columns=["criterion", "size", *outline().widths])


def simultaneous_changes(
    results: Iterable[Mapping], full: CrossValidation, fusion: str = "all"
) -> list[Interval]:
    """Return the change of every trial against the full network, with intervals that hold for all of them together.

    So they hold as well for one that is picked because it looks good. Arguments as in `dha_utils.results_table`; max-T, as in
    `dha_utils.evaluation.inference.simultaneous_random`, the full network in the place of random maps.
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
        What `dha_utils.studies.trials.run_trials` returns, random trials included; selections that have fewer than `LEAST_DRAWS`
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
        *what, "draws", "accuracy", "random", "difference", "low", "high", "all_low", "all_high", "outcome", "place",
    )  # fmt: skip
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
                | alone.columns("difference")
                | {"all_low": interval.low, "all_high": interval.high, "outcome": random_outcome(interval)}
                | {"place": _place(result)}
            )
    return pd.DataFrame(rows, columns=columns)


def equal_table(results: Sequence[Mapping], recordings: np.ndarray) -> pd.DataFrame:
    """Return how ways to choose filters compare at the same numbers of maps per layer, and so at equal cost.

    Parameters
    ----------
    results : sequence of dict
        Of `dha_utils.studies.trials.equal_trials`; none, where they are not bundled, make an empty table.
    recordings : ndarray, shape (clips,)

    Returns
    -------
    DataFrame
        Columns criterion, needs (labels, data or nothing), a column of accuracies per size, named by the multiply-accumulates
        that are left ("35 %"), largest first; at `SMALL` also difference, all_low, all_high and outcome, as in `random_table`.
        The best at `SMALL` first; then the mark of principal components, and random maps, the mean of the draws.
    """
    sizes = {
        size: f"{100 * float(size):g} %" for size in sorted({r["size"] for r in results}, key=float)[::-1]
    }
    columns = ["criterion", "needs", *sizes.values(), "difference", "all_low", "all_high", "outcome"]
    if not results:
        return pd.DataFrame(columns=columns)
    rows = [
        {
            "criterion": MARK if r["compensation"] == MARK else r["criterion"],
            "size": sizes[r["size"]],
            "is": r["accuracy"]["all"],
        }
        for r in results
    ]
    table = pd.DataFrame(rows).pivot_table("is", "criterion", "size").reset_index()
    compared = random_table([r for r in results if r["size"] == SMALL], recordings)
    table = table.merge(compared[["criterion", *columns[-4:]]], on="criterion", how="left")
    table["needs"] = ["data" if name == MARK else needs_of(CRITERIA[name]) for name in table["criterion"]]
    table["last"] = table["criterion"].map({MARK: 1, "random": 2}).fillna(0)
    return table.sort_values(["last", sizes[SMALL]], ascending=[True, False])[columns].reset_index(drop=True)


def timed(table: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a `frontier_table` whose widths were timed, those of explained variance, with their time."""
    rows = table[table["criterion"].isin(["explained_variance", "random"])]
    return rows.merge(times[["size", "time"]], on="size")


def tuned_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `dha_utils.results_table` of fine-tuned networks with their name, sizes in words."""
    epochs = table["epochs"].astype(str)
    named = table.assign(name=table["criterion"] + ", " + epochs + " epochs")
    return named.replace({"size": {PSNET_SIZE: "p-Snet's"}})


def _place(result: Mapping) -> str:
    if result["size"] == PSNET_SIZE:
        return "p-Snet's numbers"
    return f"a third, widths: {result['widths'].replace('_', ' ')}"


def by_place(table: pd.DataFrame) -> pd.DataFrame:
    """Return a `random_table` for a results file: under ``psnet`` or ``small_WIDTHS``, compensation and criterion."""
    places = np.where(table["size"] == PSNET_SIZE, "psnet", "small_" + table["widths"])
    return table.set_index([pd.Index(places), "compensation", "criterion"], drop=False)


def compensation_table(trials: pd.DataFrame, size: str) -> pd.DataFrame:
    """Return accuracies by selection (rows) and compensation tried (columns) at a size; random maps are averaged over seeds."""
    rows = trials[(trials["size"] == size) & (trials["epochs"] == 0)]
    table = rows.groupby(["criterion", "compensation"], sort=False)["accuracy"].mean().unstack()
    tried = [method for method in COMPENSATIONS if method in table]
    return _unnamed(table[tried].sort_values("refitted", ascending=False))


def _unnamed(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename_axis(index=None, columns=None)


def random_accuracy(trials: pd.DataFrame, size: str) -> float | None:
    """Return the mean accuracy of random maps at a size, refitted; None where none were tried."""
    refitted = trials[(trials["size"] == size) & (trials["compensation"] == "refitted")]
    tried = refitted.loc[refitted["criterion"] == "random", "accuracy"]
    return tried.mean() if len(tried) else None


def gains(table: pd.DataFrame) -> dict[str, dict | float]:
    """Return what compensations bring, and choices, by a `compensation_table`, random maps left out.

    Returns
    -------
    dict
        Compensation -> low, high: by how much it is better than ``removed``, over selections; choice: between the best selection
        and the worst, both refitted.
    """
    chosen = table.drop(index="random", errors="ignore")
    removed = chosen.get("removed")  # where that was tried
    brought = {} if removed is None else chosen.drop(columns="removed").sub(removed, axis=0)
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
    unpruned = {"criterion": "full network", "macs": 1.0, "parameters": 1.0}
    unpruned |= Interval(0.0, 0.0, 0.0).columns("change") | {"accuracy": full}
    candidates = pd.concat([trials[[*unpruned]], pd.DataFrame([unpruned])], ignore_index=True)
    return pd.DataFrame(
        {"margin": str(margin), "by": name} | smallest_within(candidates, margin / 100, column)
        for margin in margins
        for name, column in (("estimate", "change"), ("shown", "low"))
    )
