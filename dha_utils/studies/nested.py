"""A size for the smaller network that is chosen inside the training folds, and what it comes to on clips that had no part in it.

Conventions: of every two folds a network of each size is made on the clips of the others, and says what it hears in both. So it
serves twice: for either fold as test fold, the other is one of those on which the size is chosen. Filters are chosen by
explained variance and refitted, as on the frontier.

The rule: the smallest network whose whole 95 % interval (over recordings, of the change against the full network on the same
clips) lies above a loss of three points; the full one where there is none.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from dha_utils.evaluation.crossvalidation import CrossValidation, cross_validate
from dha_utils.evaluation.inference import paired_difference
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.paper import MARGIN
from dha_utils.pruning.compressor import Compressor, Trial, network_responses
from dha_utils.responses.table import Responses
from dha_utils.studies.sweep_store import committed_file, evaluate, load_results
from dha_utils.studies.trials import BUDGETS, CompressionStudy

CRITERION = "explained_variance"

FULL = "1"
"""The size of the full network."""

SIZES = (FULL, *(f"{budget:g}" for budget in BUDGETS if budget <= 0.75))
"""The full network, and those of the frontier that save a quarter of its computation or more."""


@dataclass(frozen=True)
class Inner:
    """Networks of one size, each made on all folds but two.

    Attributes
    ----------
    size : str
        Fraction of the full network's multiply-accumulates.
    classifier : str
        As of a `dha_utils.pruning.compressor.Trial`.
    """

    size: str
    classifier: str = "converging"


def evaluate_inner(study: CompressionStudy, cells: Iterable[Inner]) -> Iterator[tuple[Inner, dict]]:
    """Yield every cell with its result: per test fold, which clips of the other folds are right, and how many."""
    responses = study.responses
    pairs = list(combinations(responses.test_folds, 2))

    @cache
    def compressor(pair: tuple[int, int]) -> Compressor:
        training = ~np.isin(responses.folds, pair)
        return Compressor(study.model, study.waveforms, responses, study.activations, training)

    for cell in cells:
        correct = {fold: np.zeros(len(responses), bool) for fold in responses.test_folds}
        for pair in pairs:
            said = responses
            if cell.size != FULL:
                small = compressor(pair).small_network(Trial(CRITERION, cell.size))
                said = network_responses(small, study.waveforms, responses)
            held = np.isin(responses.folds, pair)
            run = cross_validate(
                replace(said, table=said.table.assign(fold=held.astype(int))), classifier=cell.classifier
            )
            right = np.zeros(len(responses), bool)
            right[held] = run.correct()
            for tested, inner in (pair, pair[::-1]):
                correct[tested] |= right & (responses.folds == inner)
        yield (
            cell,
            asdict(cell)
            | {
                "accuracy": {
                    str(fold): float(right[responses.folds != fold].mean()) for fold, right in correct.items()
                },
                "correct": {str(fold): np.packbits(right).tobytes().hex() for fold, right in correct.items()},
                "clips": len(responses),
            },
        )


def load_inner(
    responses: Responses,
    study: Callable[[], CompressionStudy],
    folder: Path,
    *,
    classifier: str = "converging",
    full: bool = False,
) -> list[dict]:
    """Return the result of every size: what is bundled, none where nothing is; or computed now, from the audio.

    Parameters
    ----------
    responses : Responses
    study : callable
        Returns the study of the responses; asked only where something is computed.
    folder : Path
        Where what is computed is kept.
    classifier : str
        As of `Inner`.
    full : bool
        Compute also what is bundled: ten times as many networks as sizes, about half an hour on ESC-10.
    """
    cells = [Inner(size, classifier) for size in SIZES]
    committed = committed_file("nested", responses)
    if not full:
        there = load_results(committed, Inner, responses, strict=False)
        cells = cells if {*cells} <= {*there} else []
    return evaluate(
        cells,
        lambda missing: evaluate_inner(study(), missing),
        responses,
        committed=committed,
        full=full,
        store=folder,
    )


def choose_sizes(results: Iterable[Mapping], folds: np.ndarray, recordings: np.ndarray) -> dict[int, str]:
    """Return the size that the module's rule chooses for every test fold.

    Parameters
    ----------
    results : iterable of dict
        Of `evaluate_inner`.
    folds, recordings : ndarray, shape (clips,)
    """
    by_size = {result["size"]: result for result in results}
    chosen = {}
    for fold in np.unique(folds):
        rows = folds != fold
        right = {size: unpack_correct(result, str(fold))[rows] for size, result in by_size.items()}
        changes = {size: paired_difference(right[FULL], of, recordings[rows]) for size, of in right.items()}
        within = [size for size, change in changes.items() if size == FULL or change.low > -MARGIN]
        chosen[int(fold)] = min(within, key=float)
    return chosen


def operating_table(
    results: Sequence[Mapping], frontier: Iterable[Mapping], full: CrossValidation
) -> pd.DataFrame:
    """Return what the chosen sizes come to on the test folds.

    Parameters
    ----------
    results : sequence of dict
        Of `evaluate_inner`; none, where they are not bundled, make an empty table.
    frontier : iterable of dict
        Trials by explained variance of the same sizes.
    full : CrossValidation
        The full network.

    Returns
    -------
    DataFrame
        One row: sizes (of the folds, in their order), macs and parameters (means over folds, fractions of the full network's),
        accuracy, change, low, high.
    """
    columns = ["sizes", "macs", "parameters", "accuracy", "change", "low", "high"]
    if not results:
        return pd.DataFrame(columns=columns)
    sizes = choose_sizes(results, full.folds, full.recordings)
    by_size = {trial["size"]: trial for trial in frontier if trial["criterion"] == CRITERION}
    whole = full.correct()
    right = whole.copy()
    for fold, size in sizes.items():
        if size != FULL:
            right[full.folds == fold] = unpack_correct(by_size[size])[full.folds == fold]
    costs = {
        kind: float(np.mean([1.0 if size == FULL else by_size[size][kind] for size in sizes.values()]))
        for kind in ("macs", "parameters")
    }
    change = paired_difference(whole, right, full.recordings).columns("change")
    row = {"sizes": ", ".join(sizes.values())} | costs | {"accuracy": float(right.mean())} | change
    return pd.DataFrame([row])
