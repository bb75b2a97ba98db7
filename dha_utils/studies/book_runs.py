"""The runs of the ensemble that pages of the book compare with, evaluated once and bundled.

With all maps, also of what is left without each fold, by which the single best tap is chosen; with ANOVA's maps, by rank and by
significance; with those selected beyond silence.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import select
from dha_utils.datasets import default_rates
from dha_utils.datasets.clips import Clips
from dha_utils.evaluation.crossvalidation import CrossValidation, Selector, cross_validate_many
from dha_utils.paper import KEEP
from dha_utils.responses.table import Responses
from dha_utils.studies.inputs import responses_file
from dha_utils.studies.runs import choose_masks, runs_file, save_runs
from dha_utils.studies.silence import adjusted_selector, load_silence

ALPHA = 0.05
"""False discovery rate of the selection by significance."""

Asked = tuple[Responses, Mapping[str, Selector | None]]
"""Responses, and ways to select maps, by name."""


def asked_runs(responses: Responses, classifier: str, main: bool = True) -> list[Asked]:
    """Return what is evaluated on the bundled responses of a data set, those without a fold last.

    Parameters
    ----------
    responses : Responses
    classifier : str
        Of the bundled silence.
    main : bool
        Whether the responses are at the rate that the pages look at; at others all maps are enough.
    """
    selectors: dict[str, Selector | None] = {"all maps": None}
    if not main:
        return [(responses, selectors)]
    selectors["ANOVA by rank"] = partial(select, criterion="anova", keep=KEEP)
    selectors["ANOVA by significance"] = partial(select, criterion="anova", alpha=ALPHA)
    held, _ = load_silence(responses, bundled(responses.provenance["dataset"]), classifier=classifier)
    selectors["ANOVA beyond silence"] = adjusted_selector(responses, held.shares, KEEP)
    parts: list[Asked] = [
        (responses.take(responses.folds != fold), {f"all maps without fold {fold}": None})
        for fold in responses.test_folds
    ]
    return [(responses, selectors), *parts]


def evaluate_runs(asked: list[Asked], classifier: str) -> Iterator[tuple[dict, CrossValidation]]:
    """Yield the key and the run of everything that is asked."""
    for responses, selectors in asked:
        _, keys = choose_masks(responses, selectors, classifier)
        for name, run in cross_validate_many(responses, selectors, classifier=classifier).items():
            yield keys[name], run


def keep_runs(responses: Responses, clips: Clips, folder: Path, classifier: str = "converging") -> None:
    """Evaluate the runs of a data set at all its rates, and write a file for each rate.

    Parameters
    ----------
    responses : Responses
        At the rate that the pages look at.
    clips : Clips
        Those of the responses; only their name counts.
    folder : Path
        Holds the responses at other rates.
    classifier : str
    """
    save_runs(folder / runs_file(responses), evaluate_runs(asked_runs(responses, classifier), classifier))
    for rate in default_rates(clips.name)[1:]:
        other = Responses.load(responses_file(folder, rate))
        save_runs(
            folder / runs_file(other), evaluate_runs(asked_runs(other, classifier, main=False), classifier)
        )
