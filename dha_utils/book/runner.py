"""The notebooks in order through papermill, each kept only if every cell of it completed.

A failed or half-run notebook renders without any warning, so this module is the gate: a notebook is executed
in ``book/executed/DATASET/.failed/`` and moves one folder up once it has proved complete. With it go a
fingerprint of all it depends on and the hashes of the results it wrote; while both hold, it is not run again.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path

import papermill

from dha_utils.book.forked import forked_kernels
from dha_utils.book.kernels import as_written, at_once
from dha_utils.book.lines import Lines, WholeLines
from dha_utils.book.order import Agenda, subject
from dha_utils.book.parameters import check_value, in_book
from dha_utils.book.plan import Plan, alone
from dha_utils.core.errors import DataError, DhaError, ParameterError, choose
from dha_utils.core.paths import out_dir, repository
from dha_utils.criteria.released import NEIGHBOURS
from dha_utils.datasets.clips import Clips, check_folds, test_folds
from dha_utils.datasets.given import clips_at_hand, name_of
from dha_utils.networks.registry import is_code, load_network

SCORED = ("criteria", "curves")
"""Notebooks that score maps by all criteria, one of which looks at a clip's tenth neighbour."""

SIDE_BY_SIDE = 2
"""Notebooks that are run at a time, each on its share of the cores."""

# papermill logs what the errors below say; without a handler Python would print it on stderr as well.
logging.getLogger("papermill").addHandler(logging.NullHandler())


def run_notebooks(
    parameters: dict,
    *,
    datasets: Sequence[str] = (),
    only: Sequence[str] = (),
    force: bool = False,
    thorough: bool = False,
    executed: Path | None = None,
) -> list[Path]:
    """Run ``notebooks/NN_*.ipynb`` in order, those that are out of date, and print one line for each.

    Parameters
    ----------
    parameters : dict
        Parameter name -> value; each notebook gets those that it declares in its parameters cell.
    datasets : sequence of str
        Those to run the notebooks on, where `parameters` name none; by default those of the book. All are worked on at once where
        they start from what is bundled.
    only : sequence of str
        Numbers ("02") or names ("02_ensemble") of the notebooks to run; empty: all. The first one, from which all others
        start, is run as well if it is out of date.
    force : bool
        Run also what is up to date.
    thorough : bool
        Give sounds of one's own what the notebooks declare, which takes hours, not minutes (`dha_utils.book.given`).
    executed : Path, optional
        Folder with one folder of executed notebooks per data set; default ``book/executed``, see `dha_utils.core.paths.out_dir`.

    Returns
    -------
    list of Path
        The executed notebooks, in order, data set by data set.

    Raises
    ------
    ParameterError
        If no notebook to be run takes a parameter, or a value is wrong; nothing has run then.
    DataError
        If the sounds cannot be used, as far as a look at their names tells; nothing has run then.
    DhaError
        If a notebook fails. It stays in ``executed/DATASET/.failed`` and the ones after it are not run.
    """
    folder = repository() / "notebooks"
    sources = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not sources:
        raise DhaError(f"no notebooks NN_*.ipynb in {folder}: install from a clone with `pip install -e .`")
    chosen = _choose(sources, only)
    takes = {source: papermill.inspect_notebook(as_written(source)) for source in sources}
    for name, value in parameters.items():
        if name != "network":  # which the first notebook takes, and hands on with its responses
            _check_taken(name, chosen, takes)
        check_value(name, value)
    executed = executed or out_dir() / "book" / "executed"
    if parameters.get("network"):
        parameters, executed = _with_network(parameters, executed)
    datasets = [parameters["dataset"]] if "dataset" in parameters else datasets or in_book()
    scored = any(subject(source) in SCORED for source in chosen)
    clips = {
        name: _check_clips(name, parameters, scored) for name in datasets if "dataset" in takes[sources[0]]
    }
    lone = one_by_one(parameters)
    how = {
        "chosen": chosen, "takes": takes, "force": force, "thorough": thorough,
        "side_by_side": 1 if lone else SIDE_BY_SIDE,
    }  # fmt: skip
    # What computes from audio has all cores; what starts from what is bundled leaves some idle.
    together = len(datasets) > 1 and not lone and not any(clips.values())
    paths: list[Path] = []
    with Lines.bars() if len(datasets) == 1 else nullcontext():
        for group in [datasets] if together else [[dataset] for dataset in datasets]:
            with ExitStack() as held:
                plans = []
                for dataset in group:
                    label = "" if len(datasets) == 1 else f"{dataset:<{max(map(len, datasets))}}  "
                    to = executed / name_of(dataset)
                    held.enter_context(alone(to))
                    own = {**parameters, "dataset": dataset}
                    plans.append(Plan(own, to, Lines(label), clips=clips.get(dataset), **how))
                beside = together or (plans[0].is_own and not lone and len(plans[0].due) > SIDE_BY_SIDE)
                paths += _run(plans, beside)
    return paths


def _with_network(parameters: dict, executed: Path) -> tuple[dict, Path]:
    """Return parameters, and the folder of executed notebooks, for a network of one's own: apart from SoundNet's results."""
    network = load_network(parameters["network"])
    if network.rate is None:
        raise ParameterError(
            f"network {network.name} takes arrays, not sounds: give Network.wrap a rate, or use dha.responses_of"
        )
    own = Path(
        "networks", Path(network.name.rpartition(":")[0]).stem if is_code(network.name) else network.name
    )
    usual = {"rate": network.rate, "rates": [network.rate], "results": str(out_dir() / "results" / own)}
    return {**usual, **parameters, "network": network.name}, executed / own


def _check_clips(dataset: str, parameters: dict, scored: bool) -> Clips | None:
    """Return the clips if there is audio; raise where it cannot be used, or is too little to be `scored` by all criteria."""
    clips = clips_at_hand(dataset, parameters.get("root"), allow_missing=parameters.get("skip_bad", False))
    if clips is not None:
        check_folds(clips.table["label"], clips.folds)
        for fold in test_folds(clips.folds) if scored else ():
            if (learned := int((clips.folds != fold).sum())) <= NEIGHBOURS:
                raise DataError(
                    f"{clips.name}: {learned} clips outside fold {fold} are too few for the notebooks, which need more than "
                    f"{NEIGHBOURS}: add clips"
                )
    return clips


def _run(plans: Sequence[Plan], beside: bool) -> list[Path]:
    """Run the notebooks of some data sets, in order or two at a time; return them, executed."""
    if beside:
        # What starts from audio has all cores for its first notebook, which all others wait for.
        alone_first = {(plan, plan.first) for plan in plans if plan.is_own and plan.first in plan.chosen}
        with forked_kernels():
            for plan, source in alone_first:
                plan.run(source, plan.lines)
        agenda = Agenda(
            {
                (plan, source): {(plan, other) for other in earlier} - alone_first
                for plan in plans
                for source, earlier in plan.waits.items()
                if (plan, source) not in alone_first
            },
            {(plan, source): seconds for plan in plans for source, seconds in plan.expected.items()},
        )

        def run(item: tuple[Plan, Path]) -> None:
            plan, source = item
            plan.run(source, WholeLines(plan.lines.label), beside=True)

        at_once([partial(agenda.work, run)] * SIDE_BY_SIDE)
    else:
        with forked_kernels():
            for plan in plans:
                for source in plan.chosen:
                    plan.run(source, plan.lines)
    return [path for plan in plans for path in plan.end()]


def one_by_one(parameters: Mapping) -> bool:
    """Return whether notebooks are not run side by side: there is one core, or it was said who does the work."""
    return len(os.sched_getaffinity(0)) < 2 or bool({"workers", "scheduler"} & parameters.keys())


def _choose(sources: list[Path], only: Sequence[str]) -> list[Path]:
    chosen = set()
    for wanted in only:
        found = [source for source in sources if wanted == source.stem or wanted.zfill(2) == source.stem[:2]]
        if not found:
            raise DhaError(f"no notebook {wanted!r}; there are: {', '.join(path.stem for path in sources)}")
        chosen.update(found)
    return [source for source in sources if source in chosen or not only]


def _check_taken(name: str, chosen: list[Path], takes: dict[Path, dict]) -> None:
    """Raise unless one of the chosen notebooks takes a parameter."""
    choose("parameter", name, dict.fromkeys(known for names in takes.values() for known in names))
    if not any(name in takes[source] for source in chosen):
        these = ", ".join(source.stem for source in chosen)
        takers = ", ".join(source.stem for source, names in takes.items() if name in names)
        raise ParameterError(f"parameter {name} is not taken by {these}; taken by {takers}")
