"""The grid: data sets x criteria x fractions x seeds, evaluated cell by cell on a Dask cluster.

Results lie where the notebooks look for them, ``results/DATASET/``: what the grid has computed, they read. Responses are kept
block by block and cells one by one, so a grid that was killed goes on where it stopped; both are known by the clips that they
belong to (`dha_utils.core.artifacts`), and made anew where these have changed.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path

import pandas as pd

from dha_utils.audio.inspection import usable_clips
from dha_utils.core.artifacts import hash_rows, make_key
from dha_utils.core.errors import DataError, ParameterError, choose
from dha_utils.criteria.selection import find_criterion
from dha_utils.datasets import default_duration
from dha_utils.datasets.clips import Clips
from dha_utils.datasets.given import clips_at_hand
from dha_utils.networks.registry import load_network
from dha_utils.responses.provenance import extraction_provenance, key_of
from dha_utils.responses.table import Responses
from dha_utils.studies.inputs import Inputs, compute_inputs, load_inputs, responses_file
from dha_utils.studies.results import Results
from dha_utils.studies.scores import load_fold_scores
from dha_utils.studies.sweeps import CONTROLS, Cell, sweep


def grid_cells(
    criteria: Sequence[str],
    fractions: Sequence[float],
    seeds: int,
    controls: Sequence[str] = ("",),
    classifier: str = "converging",
) -> list[Cell]:
    """Return the cells of a grid: every seed where something is drawn (random maps, shuffled labels, perturbations), else one.

    Parameters
    ----------
    criteria : sequence of str
        Names in `dha_utils.CRITERIA`.
    fractions : sequence of float
        Of the maps kept per tap.
    seeds : int
    controls : sequence of str
        Of `dha_utils.studies.sweeps.CONTROLS`.
    classifier : str
        Of each tap.

    Raises
    ------
    ParameterError
        If a criterion or a control is unknown, or the two do not go together.

    Examples
    --------
    >>> len(grid_cells(["anova", "random"], [0.11, 0.25], seeds=20))
    42
    """
    cells = []
    for criterion, control, fraction in product(criteria, controls, fractions):
        choose("control", control, CONTROLS)
        if find_criterion(criterion).needs != "responses" and control in ("shuffled", "leaky"):
            raise ParameterError(
                f"criterion {criterion!r} looks at no labelled responses: no control {control!r}"
            )
        drawn = criterion == "random" or control in ("shuffled", "perturbed")
        draws = range(seeds if drawn else 1)
        cells += [Cell(criterion, fraction, seed, control, classifier) for seed in draws]
    return cells


def run_grid(
    cells: Mapping[str, Sequence[Cell]],
    *,
    root: str | Path | None = None,
    rate: int,
    duration: float | None = None,
    results: str | Path | None = None,
    skip_bad: bool = False,
    full: bool = False,
) -> pd.DataFrame:
    """Evaluate every cell of every data set, and return what came out.

    Parameters
    ----------
    cells : dict of str to sequence of Cell
        Data set (a name, folder or table, as for `dha_utils.load_clips`) -> its cells.
    root : path, optional
        Folder of the audio; by default ``$DHA_DATA``.
    rate : int
        Hz.
    duration : float, optional
        Seconds that every clip is padded or cut to; by default those of what was left, else those of the data set.
    results : path, optional
        Folder above those of the data sets; by default the repository's ``results/``.
    skip_bad : bool
        Leave out clips that cannot be used, instead of stopping.
    full : bool
        Compute also what is bundled.

    Returns
    -------
    DataFrame
        One row per data set, criterion, fraction, control and classifier: number of cells, mean, lowest and highest accuracy
        of the sum over all taps.

    Raises
    ------
    DhaError
        As `load_inputs` and `dha_utils.sweep`.
    """
    places = {dataset: Results(dataset, results) for dataset in cells}
    for one, other in combinations(places, 2):
        if places[one].folder == places[other].folder:
            raise ParameterError(
                f"{one} and {other} would share the results folder {places[one].folder}; rename one"
            )
    rows = []
    for dataset, place in places.items():
        responses = _responses(place, rate, duration, dataset=dataset, root=root, skip_bad=skip_bad)
        scores = None
        if not all(find_criterion(cell.criterion).needs == "responses" for cell in cells[dataset]):
            print(
                f"{dataset}: scores that need the audio, computed where none are kept (minutes)",
                flush=True,
            )
            scores, _, _ = load_fold_scores(responses, place.folder, dataset=dataset, root=root)
        done = sweep(responses, cells[dataset], fold_scores=scores, full=full, store=place.folder)
        rows += [
            vars(cell) | {"dataset": dataset, "accuracy": result["accuracy"]["all"]}
            for cell, result in zip(cells[dataset], done, strict=True)
        ]
    what = ["dataset", "criterion", "keep", "control", "classifier"]
    groups = pd.DataFrame(rows).groupby(what, sort=False)["accuracy"]
    return groups.agg(cells="size", mean="mean", lowest="min", highest="max").reset_index()


def _responses(
    place: Results,
    rate: int,
    seconds: float | None,
    *,
    dataset: str,
    root: str | Path | None,
    skip_bad: bool,
) -> Responses:
    """Return the responses that notebook 01 or an earlier grid has left, if they are those of the clips at hand.

    Otherwise they are made as notebook 01 makes them, with the channel of those that were left, and their duration if no other
    is asked for. Where there is no
    audio, what was left is all there is.
    """
    try:
        held = Responses.load(responses_file(place.folder, rate))
        parameters = held.provenance["parameters"]
        duration, channel = parameters["duration"], parameters.get("channel", "mean")
        skip_bad = skip_bad or "left_out" in held.provenance
    except DataError:  # not there, or damaged
        held, duration, channel = None, default_duration(dataset), "mean"
    if seconds not in (None, duration):
        held, duration = None, seconds
    clips = clips_at_hand(dataset, root, allow_missing=skip_bad)
    if clips is None:
        inputs = None if held else load_inputs(dataset, rates=[rate], duration=duration)
    else:
        clips = usable_clips(clips, skip_bad=skip_bad)
        inputs = None
        if held is None or not _is_of(held, clips) or not _has_all(place.folder, rate, held):
            inputs = compute_inputs(clips, [rate], duration, channel, folder=place.folder)
    source = f"as what is kept in {place.folder}" if held else "as asked for" if seconds else "the default"
    print(f"{dataset}: clips of {duration:g} s, {source}", flush=True)
    if inputs is None:
        return held
    inputs.save(place.folder)
    return inputs.responses[rate]


def _has_all(folder: Path, rate: int, responses: Responses) -> bool:
    """Return whether what belongs to responses lies beside them, of the same clips: an earlier grid may have been killed."""
    try:
        mfcc = Inputs.load(folder, [rate], "").mfcc
    except DataError:
        return False
    rows, own = (hash_rows(one.table, one.provenance.get("cut")) for one in (mfcc, responses))
    return rows == own


def _is_of(responses: Responses, clips: Clips) -> bool:
    """Return whether responses are those that the pretrained network gives to these clips."""
    provenance = extraction_provenance(clips, responses.provenance["parameters"], load_network())
    return key_of("responses", responses) == make_key("responses", clips.table, provenance)
