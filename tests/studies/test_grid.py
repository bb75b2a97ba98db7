import re

import numpy as np
import pandas as pd
import pytest
from miniatures import make_sounds
from typer.testing import CliRunner

from dha_utils.cli.main import app
from dha_utils.core.errors import ParameterError
from dha_utils.core.work import on_cluster, workers
from dha_utils.criteria.selection import select
from dha_utils.evaluation import crossvalidation as evaluation
from dha_utils.responses.table import Responses
from dha_utils.studies import grid
from dha_utils.studies.grid import grid_cells, run_grid
from dha_utils.studies.sweep_store import kept_file
from dha_utils.studies.sweeps import Cell


def test_cells():
    cells = grid_cells(["anova", "random"], [0.1, 0.5], 3)
    assert cells == [Cell("anova", 0.1), Cell("anova", 0.5)] + [
        Cell("random", keep, seed) for keep in (0.1, 0.5) for seed in range(3)
    ]
    assert len(grid_cells(["anova"], [0.1], 3, ["", "shuffled", "ignored", "perturbed"])) == 1 + 3 + 1 + 3


@pytest.mark.parametrize(
    ("criterion", "control", "message"),
    [
        ("anovva", "", "unknown criterion 'anovva'"),
        ("anova", "shufled", "unknown control 'shufled'"),
        ("l1", "leaky", "criterion 'l1' looks at no labelled responses: no control 'leaky'"),
    ],
)
def test_cells_that_do_not_exist(criterion, control, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        grid_cells([criterion], [0.1], 1, [control])


@pytest.fixture
def own_sounds(tmp_path):
    return make_sounds(tmp_path / "mine", seconds=0.5)


def test_two_data_sets_from_nothing_and_again(own_sounds, tmp_path, monkeypatch):
    cells = grid_cells(["anova", "random"], [0.11], 2)
    monkeypatch.setenv("DHA_DATA", "")
    datasets = ["esc10", str(own_sounds)]  # the first is bundled, responses and cells
    how = {"rate": 22_050, "results": tmp_path / "results"}
    with workers(n=1):
        table = run_grid(dict.fromkeys(datasets, cells), **how)
    assert table["dataset"].tolist() == [datasets[0]] * 2 + [datasets[1]] * 2
    assert table["cells"].tolist() == [1, 2, 1, 2]
    responses = Responses.load(tmp_path / "results" / "mine" / "responses_22050.safetensors")
    expected = evaluation.cross_validate(responses, lambda part: select(part, "anova", keep=0.11))
    assert table["mean"][2] == expected.accuracy()
    stored = kept_file("sweep", responses, tmp_path / "results" / "mine").read_text()
    monkeypatch.setattr(grid, "load_inputs", None)  # nothing is extracted or evaluated twice
    monkeypatch.setattr(grid, "compute_inputs", None)
    assert run_grid(dict.fromkeys(datasets, cells), **how).equals(table)
    assert kept_file("sweep", responses, tmp_path / "results" / "mine").read_text() == stored


def test_data_sets_of_the_same_name(own_sounds, tmp_path, make_responses):
    other = tmp_path / "other" / "mine"
    how = {"rate": 22_050, "results": tmp_path / "results"}
    with pytest.raises(ParameterError, match="would share the results folder"):
        run_grid({str(own_sounds): [], str(other): []}, **how)
    # What another data set of this name has left is made anew.
    (tmp_path / "results" / "mine").mkdir(parents=True)
    left = tmp_path / "results" / "mine" / "responses_22050.safetensors"
    make_responses().save(left)
    cells = {str(own_sounds): [Cell("anova", 0.11)]}
    run_grid(cells, **how)
    assert Responses.load(left).table["clip"][0] == "dog/dog0.wav"
    run_grid(cells, duration=0.5, **how)  # another duration than what is kept
    assert Responses.load(left).provenance["parameters"]["duration"] == 0.5


def test_command(monkeypatch, own_sounds):
    calls = []

    def run(cells, **options):
        kinds = {name: (len(of), of[0].classifier) for name, of in cells.items()}
        calls.append((kinds, on_cluster(), options["duration"], options["full"]))
        return pd.DataFrame({"dataset": [*cells], "mean": 0.5})

    monkeypatch.setattr(grid, "run_grid", run)
    runner, mine = CliRunner(), str(own_sounds)

    def invoke(*options):
        return runner.invoke(app, ["grid", "esc10", "--criterion", "random", "--workers", "1", *options])

    result = invoke("--seeds", "3", "--keep", "0.5", "--duration", "2.5")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "grid: 3 cells on esc10, converging; those that are kept or bundled are not"
    )
    assert calls.pop() == ({"esc10": (3, "converging")}, True, 2.5, False)

    # Sounds of one's own: quickly, unless one asks for more.
    result = invoke(mine, "--duration", "0.5")
    assert calls.pop()[0] == {"esc10": (20, "converging"), mine: (10, "least_squares")}
    assert f"grid: 10 cells on {mine}, least_squares; about " in result.stdout
    assert "--thorough takes the protocol's classifier and 20 seeds" in result.stdout
    invoke(mine, "--duration", "0.5", "--thorough")
    assert calls.pop()[0][mine] == (20, "converging")
    invoke(mine, "--duration", "0.5", "--classifier", "logistic")
    assert calls.pop()[0][mine] == (10, "logistic")

    result = runner.invoke(app, ["grid", "esc10", "--keep", "2"])
    assert (result.exit_code, result.stderr) == (
        1,
        "dha: parameter keep: expected a number in (0, 1], got 2.0 (float)\n",
    )
    assert not calls


def test_a_grid_that_was_killed_is_completed(own_sounds, tmp_path):
    folder = tmp_path / "results" / "mine"
    cells = {str(own_sounds): [Cell("anova", 0.11, classifier="least_squares")]}
    how = {"rate": 22_050, "results": tmp_path / "results", "duration": 0.5}
    run_grid(cells, **how)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for left in ("mfcc.safetensors", "spectrograms.safetensors"):
        (folder / left).unlink()
        run_grid(cells, **how)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    """A table of two classes, and its labels, folds or sounds as somebody corrects them later."""
    folder = make_sounds(tmp_path_factory.mktemp("corrected"), seconds=0.5)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.wav"))
    table = pd.DataFrame(
        {"path": files, "label": [name[:3] for name in files], "fold": [i % 3 + 1 for i in range(12)]}
    )

    def write(what=""):
        at_random = np.random.default_rng(5).permutation(12)
        own = table.copy()
        if what in ("label", "fold"):
            own[what] = own[what].to_numpy()[at_random]
        if what == "sound":
            content = [(folder / name).read_bytes() for name in files]
            for name, i in zip(files, at_random, strict=True):
                (folder / name).write_bytes(content[i])
        own.to_csv(folder / "mine.csv", index=False)
        return str(folder / "mine.csv")

    return write


@pytest.mark.parametrize("what", ["label", "fold", "sound"])
def test_what_is_corrected_is_computed_anew(corrected, tmp_path, what):
    cells = [Cell("anova", 0.25, classifier="least_squares")]
    how = {"rate": 22_050, "duration": 0.5}
    before = run_grid({corrected(): cells}, results=tmp_path / "results", **how)
    assert before["mean"].item() == 1.0
    table = corrected(what)
    again = run_grid({table: cells}, results=tmp_path / "results", **how)
    afresh = run_grid({table: cells}, results=tmp_path / "afresh", **how)
    assert again.equals(afresh)
    assert (again["mean"].item() < 0.9) == (what != "fold")
    for name in ("responses_22050.safetensors", "mfcc.safetensors"):
        one, two = (tmp_path / place / "mine" / name for place in ("results", "afresh"))
        assert one.read_bytes() == two.read_bytes()
