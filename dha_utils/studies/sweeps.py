"""Sweeps: the ensemble evaluated for many selections, each kept as one line of a file as soon as it is done.

A *cell* is one selection: a criterion, the fraction of maps kept, a seed, and a control; `dha_utils.studies.sweep_store`
keeps its result.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dha_utils.core.errors import DataError
from dha_utils.core.work import on_cluster, run_items
from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.selection import Selection, apply_rule, find_criterion, score_maps
from dha_utils.evaluation.crossvalidation import Selector, cross_validate_many
from dha_utils.evaluation.packing import pack_run
from dha_utils.networks.registry import DEFAULT, outline
from dha_utils.responses.table import Responses
from dha_utils.studies.scores import FoldScores
from dha_utils.studies.sweep_store import committed_file, evaluate

CONTROLS = ("", "shuffled", "leaky", "ignored", "perturbed", "permuted")
"""What may be done to a selection: nothing; labels shuffled before it; made on all clips, the test fold included;
its complement, the ignored maps alone; selected and evaluated on responses that are off by a millionth; or other maps in its
place, with its overlap between the taps of a layer (`Selection.permute_channels`)."""

CHUNK = 8
"""Cells that are computed together: enough to keep the cores busy, few enough to lose little to a kill."""


@dataclass(frozen=True)
class Cell:
    """One selection to evaluate.

    Attributes
    ----------
    criterion : str
        A name in `dha_utils.CRITERIA`.
    keep : float
        Fraction of maps kept per tap.
    seed : int
        Of the criterion's draws, of the shuffling of labels, of the perturbation and of the permutation.
    control : str
        One of `CONTROLS`.
    classifier : str
        One of `dha_utils.evaluation.ensemble.CLASSIFIERS`.
    """

    criterion: str
    keep: float
    seed: int = 0
    control: str = ""
    classifier: str = "converging"


def selector(
    cell: Cell,
    responses: Responses,
    fold_scores: FoldScores | None = None,
    scored: MutableMapping[tuple, Mapping[str, MapScores]] | None = None,
) -> Selector:
    """Return what decides the keep masks of a cell from the responses of a training fold.

    Parameters
    ----------
    cell : Cell
    responses : Responses
        Of all clips.
    fold_scores : FoldScores, optional
        Where the scores of criteria that need full maps or weights come from.
    scored : dict, optional
        Scores that cells of other fractions have made from the same responses; those made here are added.

    Raises
    ------
    DataError
        If such scores are needed and not given, or the control needs responses.
    """
    computed = find_criterion(cell.criterion).needs == "responses"
    if not computed and (fold_scores is None or cell.control in ("shuffled", "leaky")):
        raise DataError(
            f"criterion {cell.criterion!r} is not computed from responses: give fold scores, and no control "
            f"{cell.control!r}"
        )

    def select(training: Responses) -> Selection:
        (fold,) = {*responses.test_folds} - {*training.test_folds}
        if not computed:
            scores = fold_scores.get(cell.criterion, fold)
        elif cell.criterion == "random":  # drawn anew in every fold
            scores = score_maps(training, cell.criterion, seed=(cell.seed, fold))
        else:
            looks_at = cell.control if cell.control in ("shuffled", "leaky", "perturbed") else ""
            key = (cell.criterion, cell.seed, looks_at, fold)
            scores = (scored or {}).get(key)
            if scores is None:
                seen = responses if cell.control == "leaky" else training
                if cell.control == "shuffled":
                    seen = seen.shuffle_labels(cell.seed)
                scores = score_maps(seen, cell.criterion, seed=cell.seed)
            if scored is not None:
                scored[key] = scores
        selection = apply_rule(cell.criterion, scores, keep=cell.keep)
        if cell.control == "permuted":  # anew in every fold
            return selection.permute_channels((cell.seed, fold), layer_of(responses))
        return selection.complement() if cell.control == "ignored" else selection

    return select


def layer_of(responses: Responses) -> Callable[[str], str]:
    """Return the function that says which layer a tap of responses is of."""
    known = responses.provenance.get("layers")
    return known.__getitem__ if known else outline(responses.provenance.get("network", DEFAULT)).layer_of


def fold_selections(responses: Responses, cell: Cell) -> dict[int, Selection]:
    """Return the selection of every fold that is tested, decided on the others."""
    select = selector(cell, responses)
    return {fold: select(responses.take(responses.folds != fold)) for fold in responses.test_folds}


def sweep(
    responses: Responses,
    cells: Iterable[Cell],
    *,
    fold_scores: FoldScores | None = None,
    full: bool = False,
    store: Path | None = None,
) -> list[dict]:
    """Return the result of every cell: from the store, from the bundled sweep, or computed now.

    A cluster's workers (`dha_utils.workers`) evaluate one cell each; else the folds of several cells are divided among processes
    of this machine.

    Parameters
    ----------
    responses : Responses
    cells : iterable of Cell
    fold_scores : FoldScores, optional
        As in `selector`.
    full : bool
        Compute also what is bundled.
    store : Path, optional
        The folder in which what is computed is kept (`dha_utils.studies.sweep_store.kept_file`).

    Returns
    -------
    list of dict
        In the order of `cells`: its fields, and `dha_utils.evaluation.packing.pack_run`.

    Raises
    ------
    DataError
        If `store` is damaged.
    DhaError
        If a cluster's scheduler is lost, or work ends its workers.
    """
    scored: dict[tuple, Mapping[str, MapScores]] = {}

    def compute(missing: Sequence[Cell]) -> Iterator[tuple[Cell, dict]]:
        if on_cluster():
            for number, result in run_items(partial(_evaluate_cell, responses, fold_scores), missing):
                yield missing[number], result
            return
        for start in range(0, len(missing), CHUNK):
            part = missing[start : start + CHUNK]
            yield from zip(part, _evaluate_cells(responses, fold_scores, part, scored), strict=True)

    return evaluate(
        cells,
        compute,
        responses,
        committed=committed_file("sweep", responses),
        full=full,
        store=store,
    )


def _evaluate_cells(
    responses: Responses,
    fold_scores: FoldScores | None,
    cells: Sequence[Cell],
    scored: MutableMapping[tuple, Mapping[str, MapScores]] | None = None,
) -> list[dict]:
    results = {}
    for seed in dict.fromkeys(map(_perturbed, cells)):
        seen = responses if seed is None else responses.perturb(seed)
        own = [cell for cell in cells if _perturbed(cell) == seed]
        selectors = {cell: selector(cell, seen, fold_scores, scored) for cell in own}
        runs = cross_validate_many(seen, selectors, classifier={cell: cell.classifier for cell in own})
        results |= {cell: asdict(cell) | pack_run(run) for cell, run in runs.items()}
    return [results[cell] for cell in cells]


def _perturbed(cell: Cell) -> int | None:
    """Return what the responses that a cell sees are perturbed by: a seed, or None for nothing."""
    return cell.seed if cell.control == "perturbed" else None


def _evaluate_cell(responses: Responses, fold_scores: FoldScores | None, cell: Cell) -> dict:
    (result,) = _evaluate_cells(responses, fold_scores, [cell])
    return result


def sample_cells(cells: Iterable[Cell], seed: int) -> list[Cell]:
    """Draw one cell from each kind that there is: random maps, criteria on responses, others, and each control.

    Does not depend on the order of `cells`.

    >>> len(sample_cells([Cell("anova", 0.1), Cell("anova", 0.2), Cell("l1", 0.1), Cell("anova", 0.1, 0, "leaky")], 0))
    3
    """
    kinds: dict[tuple, list[Cell]] = {}
    for cell in sorted(cells, key=lambda cell: tuple(vars(cell).values())):
        by_responses = find_criterion(cell.criterion).needs == "responses"
        kinds.setdefault((cell.control, cell.criterion == "random", by_responses), []).append(cell)
    rng = np.random.default_rng(seed)
    return [kinds[kind][int(rng.integers(len(kinds[kind])))] for kind in sorted(kinds)]


def named_criteria() -> list[str]:
    """Return the criteria that cells can have, but for random maps: all that score taps."""
    return [name for name, known in CRITERIA.items() if name != "random" and known.scores_taps]


def cells(
    criteria: str | Iterable[str],
    keep: float | Iterable[float],
    *,
    seeds: int = 1,
    control: str = "",
    classifier: str = "converging",
) -> list[Cell]:
    """Return a cell for every fraction, criterion and seed, in this order.

    >>> [(cell.criterion, cell.keep, cell.seed) for cell in cells("random", [0.05, 0.11], seeds=2)]
    [('random', 0.05, 0), ('random', 0.05, 1), ('random', 0.11, 0), ('random', 0.11, 1)]
    """
    names = [criteria] if isinstance(criteria, str) else list(criteria)
    fractions = list(keep) if isinstance(keep, Iterable) else [keep]
    return [
        Cell(name, fraction, seed, control, classifier)
        for fraction in fractions
        for name in names
        for seed in range(seeds)
    ]
