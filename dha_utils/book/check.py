"""Do the numbers still come out? The notebooks, run on the bundled artifacts, against a committed reference.

Long sweeps, and runs that several notebooks compare with, are read from bundled files; a sample of them is computed anew.

Results are JSON files of the notebooks; a number is named by its file, relative to ``results``, and a
dotted key into it (``taps.pool5.accuracy``, see `dha_utils.core.formats`). Tolerances are absolute, in the number's
own unit.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dha_utils.book.given import given
from dha_utils.book.headlines import POINT, STOPPED_POINTS, Headline, headlines_of
from dha_utils.book.parameters import BOOK
from dha_utils.book.runner import run_notebooks
from dha_utils.core.errors import DataError, choose
from dha_utils.core.formats import ResultError, lookup
from dha_utils.core.paths import STORE, atomic_write, bundled, repository
from dha_utils.datasets import default_rates
from dha_utils.findings.answers import answer_table
from dha_utils.responses.table import Responses
from dha_utils.studies import crepe_responses
from dha_utils.studies.book_runs import asked_runs, evaluate_runs
from dha_utils.studies.inputs import responses_file
from dha_utils.studies.runs import load_run, runs_file
from dha_utils.studies.scores import load_fold_scores
from dha_utils.studies.sweep_store import load_results
from dha_utils.studies.sweeps import Cell, sample_cells, sweep


@dataclass(frozen=True)
class Comparison:
    """A headline number, or an outcome, in the reference and now; None where it is missing."""

    headline: Headline
    reference: float | str | None
    now: float | str | None

    @property
    def holds(self) -> bool:
        """Whether both are there and no further apart than the tolerance (NaN never holds); an outcome must be the same."""
        if self.reference is None or self.now is None:
            return False
        if isinstance(self.reference, str) or isinstance(self.now, str):
            return self.reference == self.now
        return abs(self.now - self.reference) <= self.headline.tolerance + 1e-12  # 0.0325 - 0.0225 > 0.01


def check(dataset: str = "", write_reference: bool = False) -> bool:
    """Run all notebooks afresh from the bundled artifacts, compare the headline numbers, print what moved.

    Parameters
    ----------
    dataset : str
        A data set of the book; empty: all of them.
    write_reference : bool
        Make this run the reference instead of comparing with it.

    Returns
    -------
    bool
        Whether every number is there and within its tolerance.

    Raises
    ------
    DataError
        If a data set has no reference, or nothing to keep.
    DhaError
        If a notebook fails.
    ParameterError
        If the data set is none of the book.
    """
    names = [choose("data set of the book", dataset, BOOK)] if dataset else BOOK
    reference = repository() / "results" / "reference"
    absent = [name for name in names if not any((reference / name).glob("**/*.json"))]
    if absent and not write_reference:
        raise DataError(
            f"no reference numbers in {reference / absent[0]}: `dha check --write-reference {absent[0]}` makes them"
        )
    with tempfile.TemporaryDirectory(prefix="dha-check-") as folder, _without_audio():
        results = Path(folder, "results")
        run_notebooks({"results": str(results)}, datasets=names, executed=Path(folder, "executed"))
        if write_reference:
            for name in names:
                _copy(results / name, reference / name)
            quote_headline(repository() / "README.md", reference)
            return True
        comparisons = []
        for name in names:
            comparisons += compare(reference, results, headlines_of(name)) + recompute_cells(name)
            comparisons += recompute_runs(name) + compare_outcomes(reference, results, name)
    moved = [comparison for comparison in comparisons if not comparison.holds]
    print(format_table(moved) if moved else f"{len(comparisons)} numbers and outcomes as they were")
    return not moved


def compare_outcomes(reference: Path, now: Path, dataset: str) -> list[Comparison]:
    """Return the outcome of every part of every claim in two results folders; None where one is not there."""
    before, after = (_read_outcomes(folder / dataset) for folder in (reference, now))
    return [
        Comparison(Headline(f"{dataset}/outcomes.json", key, 0, "outcome"), before.get(key), after.get(key))
        for key in dict.fromkeys([*before, *after])
    ]


def _read_outcomes(folder: Path) -> dict[str, str]:
    try:
        rows = json.loads((folder / "outcomes.json").read_text("utf-8"))["parts"]
        return {f"{row['claim']}, {row['part']}": row["outcome"] for row in rows}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def read_number(folder: Path, file: str, key: str) -> float:
    """Return a number from a results file.

    Parameters
    ----------
    folder : Path
        The results folder of a data set, or the reference.
    file : str
        A JSON file in it.
    key : str
        Dotted path to the number.

    Raises
    ------
    DataError
        If the file or the key is missing, or what is there is not a number.
    """
    path = Path(folder, file)
    try:
        value = lookup(json.loads(path.read_text("utf-8")), key)
    except (OSError, ValueError, ResultError) as error:
        raise DataError(f"no number {key} in {path}: run the notebooks again with `dha run`") from error
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{key} in {path} is not a number but {value!r}")
    return float(value)


def quote_headline(readme: Path, reference: Path) -> None:
    """Write the claims with their outcomes, data set beside data set, between the ``headline`` marks of the README."""
    files = [reference / name / "outcomes.json" for name in BOOK]
    header, *rows = answer_table([json.loads(file.read_text("utf-8")) for file in files if file.is_file()])
    table = "".join(f"| {' | '.join(row)} |\n" for row in [header, ["---"] * len(header), *rows])
    before, start, rest = readme.read_text("utf-8").partition("<!-- headline -->\n")
    _, end, after = rest.partition("<!-- /headline -->\n")
    with atomic_write(readme) as part:
        part.write_text(f"{before}{start}{table}{end}{after}", encoding="utf-8")


def compare(reference: Path, now: Path, headlines: Sequence[Headline]) -> list[Comparison]:
    """Return every headline number of two results folders; one that cannot be read is None."""
    return [
        Comparison(headline, _number_or_none(reference, headline), _number_or_none(now, headline))
        for headline in headlines
    ]


FEW = 1000
"""Clips; where there are more, a classifier takes minutes, and fewer cells are computed anew."""

FAST = ("least_squares",)
"""Classifiers with which a cell takes seconds."""


def recompute_cells(dataset: str, seed: int = 0) -> list[Comparison]:
    """Compute a sample of the bundled sweep anew, about a minute's worth, and compare the accuracies.

    Parameters
    ----------
    dataset : str
    seed : int
        Of the draw of cells; see `dha_utils.studies.sweeps.sample_cells`. Of large data sets one cell of each kind with a fast
        classifier, and of the others the one that keeps the fewest maps.

    Returns
    -------
    list of Comparison
        Named by the sweep file and the cell; the reference is what the file holds. A sweep at a rate of which no responses are
        bundled is one of the second network.
    """
    folder = bundled(dataset)
    comparisons = []
    for file in sorted(folder.glob(f"sweep_*{STORE}")):
        own = responses_file(folder, int(file.stem.split("_")[1]))
        responses = Responses.load(own if own.exists() else folder / crepe_responses.FILE)
        stored = load_results(file, Cell, responses)
        cells = sample_cells(stored if len(responses) <= FEW else _quick(stored), seed)
        scores = load_fold_scores(responses, folder)[0] if own.exists() else None
        for cell, now in zip(cells, sweep(responses, cells, fold_scores=scores, full=True), strict=True):
            name = " ".join(filter(None, map(str, vars(cell).values())))
            tolerance = STOPPED_POINTS if cell.classifier.startswith("released") else POINT
            headline = Headline(f"{dataset}/{file.name}", name, tolerance, "accuracy")
            before, after = stored[cell]["accuracy"]["all"], now["accuracy"]["all"]
            comparisons.append(Comparison(headline, before, after))
    return comparisons


def recompute_runs(dataset: str, seed: int = 0) -> list[Comparison]:
    """Evaluate one of the bundled runs of every rate anew, and compare the accuracies.

    Parameters
    ----------
    dataset : str
    seed : int
        Of the draw.

    Returns
    -------
    list of Comparison
        Named by the file and the run; the reference is what the file holds.
    """
    folder, rng = bundled(dataset), np.random.default_rng(seed)
    classifier = given(dataset, "ensemble").get("classifier", "converging")
    comparisons = []
    for rate in default_rates(dataset):
        responses = Responses.load(responses_file(folder, rate))
        asked = asked_runs(responses, classifier, main=rate == default_rates(dataset)[0])
        single = [(part, name, select) for part, ways in asked for name, select in ways.items()]
        part, name, select = single[rng.integers(len(single))]
        ((key, now),) = evaluate_runs([(part, {name: select})], classifier)
        before = None
        with suppress(DataError):
            before = load_run(folder / runs_file(responses), part, key).accuracy()
        headline = Headline(f"{dataset}/{runs_file(responses)}", name, POINT, "accuracy")
        comparisons.append(Comparison(headline, before, now.accuracy()))
    return comparisons


def _quick(cells: Iterable[Cell]) -> list[Cell]:
    """Return the cells with a fast classifier, and the one of the others, with the book's own, that keeps the fewest maps."""
    fast = [cell for cell in cells if cell.classifier in FAST]
    slow = [cell for cell in cells if cell.classifier == "converging" and not cell.control]
    return [*fast, *sorted(slow, key=lambda cell: (cell.keep, cell.criterion, cell.seed))[:1]]


def format_table(comparisons: Sequence[Comparison]) -> str:
    """Return a text table: number, reference, now, difference, tolerance, unit."""
    rows = [("number", "reference", "now", "difference", "tolerance", "unit")]
    for comparison in comparisons:
        headline, before, now = comparison.headline, comparison.reference, comparison.now
        numbers = all(isinstance(value, int | float) for value in (before, now))
        moved = f"{now - before:+.3g}" if numbers else ""
        texts = ["missing" if value is None else _text(value) for value in (before, now)]
        name = f"{headline.file}:{headline.key}"
        rows.append((name, *texts, moved, f"{headline.tolerance:.3g}", headline.unit))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"


def _number_or_none(folder: Path, headline: Headline) -> float | None:
    try:
        return read_number(folder, headline.file, headline.key)
    except DataError:
        return None


def _copy(results: Path, reference: Path) -> None:
    """Replace the reference by the JSON files of a results folder."""
    files = {path.relative_to(results) for path in results.rglob("*.json")}
    if not files:
        raise DataError("the notebooks wrote no JSON file: there is nothing to keep as reference")
    for name in files:
        with atomic_write(reference / name) as part:
            part.write_bytes((results / name).read_bytes())
    for path in reference.rglob("*.json"):
        if path.relative_to(reference) not in files:
            path.unlink()
    print(f"{len(files)} files written to {reference}")


@contextmanager
def _without_audio() -> Iterator[None]:
    """Hide the user's audio from this process and the kernels it starts, which then use the artifacts."""
    audio = os.environ.get("DHA_DATA")
    os.environ["DHA_DATA"] = ""  # not unset: then what was fetched would be found
    try:
        yield
    finally:
        if audio is None:
            del os.environ["DHA_DATA"]
        else:
            os.environ["DHA_DATA"] = audio
