"""The same two claims under other choices: pooling, classifier, sum of taps, and what ANOVA looks at.

Conventions: a *specification* is one way to analyse the same sounds. Its cells here say which maps the ensemble sees, under which
pooling and classifier; the sums of taps are two readings of one result, and the rate is that of the responses. Random maps are
drawn anew in every fold, as for `dha_utils.studies.sweeps`.

Source: Simonsohn, Simmons, Nelson, "Specification curve analysis", Nature Human Behaviour 4 (2020).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path

from sklearn.preprocessing import normalize

from dha_utils.criteria.selection import Selection, select
from dha_utils.datasets.given import clips_at_hand
from dha_utils.evaluation.crossvalidation import CrossValidation, Selector, cross_validate_many, fusions
from dha_utils.evaluation.packing import pack_run
from dha_utils.networks.registry import load_behind
from dha_utils.paper import KEEP
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.pooling import POOLINGS
from dha_utils.responses.provenance import clips_of
from dha_utils.responses.table import Responses
from dha_utils.studies.sweep_store import committed_file, evaluate, kept_file, load_results

CHOICES = {
    "pooling": {"mean": "mean", "max": "largest value", "mean_max": "both"},
    "classifier": {
        "converging": "SVM (primary)",
        "least_squares": "least squares",
        "linear_least_squares": "linear least sq.",
        "logistic": "logistic",
    },
    "taps": {"all": "all 15", "released": "released 10"},
    "statistic": {"raw": "as they are", "unit": "unit length"},
    "rate": {22_050: "22 050 Hz", 44_100: "44 100 Hz"},
}
"""What is chosen -> its options, and what people call them; the first of each makes the primary specification."""

PRIMARY = {choice: next(iter(options)) for choice, options in CHOICES.items()}
"""What the primary specification chooses."""

CLASSIFIERS = tuple(CHOICES["classifier"])
"""Those that are compared, the primary one first."""

QUICK = ("least_squares", "linear_least_squares")
"""Those that take a tenth of the time."""

CHUNK = 2
"""Selections that are evaluated together, with all classifiers: few, so that little is lost to a kill."""


@dataclass(frozen=True)
class Specification:
    """One run of the ensemble.

    Attributes
    ----------
    pooling : str
        One of `dha_utils.responses.pooling.POOLINGS`.
    classifier : str
        One of `dha_utils.evaluation.ensemble.CLASSIFIERS`.
    maps : str
        Which maps it sees: ``all``; the paper's fraction by ANOVA, of responses as they are (``raw``) or of unit length per clip
        and tap (``unit``); or as many at ``random``.
    seed : int
        Of random maps.
    """

    pooling: str
    classifier: str
    maps: str
    seed: int = 0


def specifications(draws: Mapping[str, int]) -> list[Specification]:
    """Return the runs that are needed, those of one pooling after the other, and of one selection side by side.

    Parameters
    ----------
    draws : dict of str to int
        Classifier -> how many draws of random maps.

    >>> [(s.maps, s.classifier) for s in specifications({"converging": 0, "logistic": 1})[4:7]]
    [('unit', 'converging'), ('unit', 'logistic'), ('random', 'logistic')]
    """
    most = max(draws.values())
    selections = [("all", 0), ("raw", 0), ("unit", 0), *(("random", seed) for seed in range(most))]
    return [
        Specification(pooling, classifier, maps, seed)
        for pooling in POOLINGS
        for maps, seed in selections
        for classifier, drawn in draws.items()
        if maps != "random" or seed < drawn
    ]


def unit_length(responses: Responses) -> Responses:
    """Return responses whose columns of a tap are of unit length for every clip: what the classifiers see."""
    return replace(responses, arrays={tap: normalize(x) for tap, x in responses.arrays.items()})


def selector(maps: str, seed: int, responses: Responses) -> Selector | None:
    """Return what decides the keep masks of a specification from the responses of a training fold; None keeps all."""
    if maps == "all":
        return None

    def choose_maps(training: Responses) -> Selection:
        if maps == "random":
            (fold,) = {*responses.test_folds} - {*training.test_folds}
            return select(training, "random", keep=KEEP, seed=(seed, fold))
        return select(unit_length(training) if maps == "unit" else training, "anova", keep=KEEP)

    return choose_maps


def pooled_otherwise(
    responses: Responses, dataset: str, root: str | Path | None, out: Path | None
) -> dict[str, Responses]:
    """Return responses under every pooling, those that are not averages from the audio.

    Parameters
    ----------
    responses : Responses
        The averages.
    dataset, root
        Where the audio is, as in `dha_utils.load_clips`.
    out : Path, optional
        Where averages and largest values are kept, side by side.
    """
    parameters = responses.provenance["parameters"]
    how = {name: parameters[name] for name in ("rate", "duration", "channel")}
    both = extract_responses(
        clips_of(responses, dataset, root),
        load_behind(responses.provenance),
        pooling="mean_max",
        out=out,
        **how,
    )
    largest = {tap: x[:, responses[tap].shape[1] :] for tap, x in both.arrays.items()}
    provenance = {**both.provenance, "parameters": both.provenance["parameters"] | {"pooling": "max"}}
    return {
        "mean": responses,
        "max": replace(both, arrays=largest, provenance=provenance),
        "mean_max": both,
    }


def evaluate_specifications(
    pooled: Callable[[], Mapping[str, Responses]], cells: Iterable[Specification]
) -> Iterator[tuple[Specification, dict]]:
    """Yield every cell with its result, as they are done; classifiers share masks and kernels.

    Parameters
    ----------
    pooled : callable
        Returns pooling -> responses; called only where another pooling than the average is needed.
    cells : iterable of Specification
        Those of one pooling and selection side by side.
    """
    for pooling, own in groupby(cells, lambda cell: cell.pooling):
        by_maps = [list(part) for _, part in groupby(own, lambda cell: (cell.maps, cell.seed))]
        responses = pooled()[pooling]
        for start in range(0, len(by_maps), CHUNK):
            chunk = [cell for part in by_maps[start : start + CHUNK] for cell in part]
            runs = cross_validate_many(
                responses,
                {cell: selector(cell.maps, cell.seed, responses) for cell in chunk},
                classifier={cell: cell.classifier for cell in chunk},
            )
            yield from ((cell, asdict(cell) | _pack_sums(run)) for cell, run in runs.items())


def _pack_sums(run: CrossValidation) -> dict:
    """Return a packed run without its single taps."""
    packed, sums = pack_run(run), fusions(run.taps, single=False)
    return packed | {what: {name: packed[what][name] for name in sums} for what in ("accuracy", "correct")}


def compared(classifier: str, seeds: int) -> dict[str, int]:
    """Return the classifiers that are compared, each with its number of draws of random maps.

    All of `CLASSIFIERS`, unless one of them was asked for that is quicker than the primary one: then the quick ones, `QUICK`.
    """
    return dict.fromkeys(QUICK if classifier in QUICK else CLASSIFIERS, seeds)


def load_specifications(
    responses: Mapping[int, Responses],
    folder: Path,
    *,
    draws: Mapping[str, int],
    dataset: str,
    root: str | Path | None = None,
    full: bool = False,
) -> dict[int, list[dict]]:
    """Return the results of specifications: all that are committed, else those that are needed, kept or from the audio.

    Parameters
    ----------
    responses : dict of int to Responses
        Rate in Hz -> responses that are averages.
    folder : Path
        Where what is computed is kept.
    draws : dict of str to int
        As in `specifications`.
    dataset, root
        As in `dha_utils.load_clips`.
    full : bool
        Compute what is needed also where there are committed results.

    Returns
    -------
    dict of int to list of dict
        Rate -> results, as `evaluate_specifications` gives them; none, and a sentence on stdout, where they need audio that is
        not there.
    """
    given = {"draws": draws, "dataset": dataset, "root": root, "full": full}
    return {rate: _load_rate(own, folder, **given) for rate, own in responses.items()}


def _load_rate(
    responses: Responses,
    folder: Path,
    draws: Mapping[str, int],
    dataset: str,
    root: str | Path | None,
    full: bool,
) -> list[dict]:
    rate, committed = responses.provenance["parameters"]["rate"], committed_file("specifications", responses)
    # Not all classifiers had time for as many draws: what is committed is taken as it is.
    if not full and (there := load_results(committed, Specification, responses, strict=False)):
        return list(there.values())
    kept = kept_file("specifications", responses, folder)
    if not kept.is_file() and clips_at_hand(dataset, root, allow_missing=True) is None:
        print(f"Other poolings at {rate:,} Hz are not bundled and need the audio: give its folder as root.")
        return []

    @cache
    def pooled() -> Mapping[str, Responses]:
        return pooled_otherwise(responses, dataset, root, folder / f"mean_max_{rate}.safetensors")

    return evaluate(
        specifications(draws),
        lambda missing: evaluate_specifications(pooled, missing),
        responses,
        committed=committed,
        full=full,
        store=folder,
    )
