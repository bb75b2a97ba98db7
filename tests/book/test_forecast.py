import papermill
import pytest
from miniatures import make_sounds

from dha_utils.book.forecast import (
    Forecast,
    Machine,
    Sounds,
    declared,
    grid_seconds,
    look_ahead,
    measure,
    seconds,
)
from dha_utils.book.given import given
from dha_utils.core.paths import repository
from dha_utils.datasets import load_clips
from dha_utils.studies.sweeps import cells

NOTEBOOKS = sorted((repository() / "notebooks").glob("[0-9][0-9]_*.ipynb"))
MACHINE = Machine(imports=4.0, clip=0.05, fold=0.25)


def told(source, dataset="path/to/sounds", **explicit):
    values = declared(papermill.inspect_notebook(str(source)))
    return values | {"dataset": dataset} | given(dataset, source.stem.partition("_")[2]) | explicit


def run_seconds(sounds, **explicit):
    return sum(seconds(source.stem, told(source, **explicit), sounds, MACHINE) for source in NOTEBOOKS)


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_takes_its_start_and_more_on_more_sounds(source):
    few = seconds(source.stem, told(source), Sounds(48, 4, 5), MACHINE)
    many = seconds(source.stem, told(source), Sounds(400, 10, 5), MACHINE)
    assert 0 < few <= many


def test_a_run_takes_longer_the_more_is_asked_for():
    usual = run_seconds(Sounds(400, 10, 5))
    assert run_seconds(Sounds(400, 10, 5), seeds=50) > usual
    assert run_seconds(Sounds(400, 10, 5), budgets=[0.8, 0.5, 0.2]) > usual
    assert run_seconds(Sounds(400, 10, 5), only_claims=False) > 1.5 * usual
    assert run_seconds(Sounds(400, 10, 10)) > usual


def test_side_by_side_half_is_left():
    expected = {"01": 50.0, "02": 50.0}
    assert Forecast(expected, side_by_side=2).left() == Forecast(expected).left() / 2 == 50


def test_parameters_that_notebooks_declare():
    values = declared(papermill.inspect_notebook(str(NOTEBOOKS[0])))
    assert values["dataset"] == "esc10"
    assert values["root"] is None
    assert values["rates"] == [22_050, 44_100]


def test_what_is_left_follows_the_pace_of_what_has_ended():
    forecast = Forecast({"01": 50.0, "02": 50.0, "03": 100.0})
    assert forecast.left() == 200
    assert forecast.ended("01", 50.0) == 150
    assert 150 < forecast.ended("02", 200.0) < 250  # not yet all that was seen: 250 s instead of 100
    assert forecast.ended("03", 250.0) == 0


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return load_clips(str(make_sounds(tmp_path_factory.mktemp("own") / "mine", seconds=0.5)))


def test_a_machine_is_measured_and_a_run_and_a_grid_are_forecast(clips):
    parameters = {"dataset": "mine", "duration": 0.5, "workers": 1, "classifier": "least_squares"}
    machine = measure(Sounds(12, 2, 1), parameters)
    assert all(value > 0 for value in machine)
    forecast = look_ahead({"01_responses": parameters | {"rates": [22_050]}, "06_redundancy": {}}, clips)
    assert forecast.expected["01_responses"] > forecast.expected["06_redundancy"] > 0
    few, many = (grid_seconds(cells("random", 0.11, seeds=n), clips, parameters) for n in (1, 2000))
    assert few < many
