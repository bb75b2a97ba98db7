import numpy as np
import pytest

from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.responses.table import Responses
from dha_utils.studies import book_runs, runs
from dha_utils.studies.book_runs import asked_runs, evaluate_runs
from dha_utils.studies.runs import choose_masks, kept_runs, load_run, runs_file, save_runs


def test_several_runs_in_one_file_are_told_apart(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    part = responses.take(responses.folds != 1)
    asked = [(responses, {"all maps": None}), (part, {"without": None})]
    save_runs(tmp_path / runs_file(responses), evaluate_runs(asked, "least_squares"))
    monkeypatch.setattr(runs, "bundled", lambda dataset: tmp_path)
    monkeypatch.setattr(runs, "cross_validate_many", lambda responses, missing, **how: dict(missing))  # none
    for of, ways in asked:
        (run,) = kept_runs(of, ways, "least_squares", tmp_path / "own").values()
        expected = cross_validate(of, classifier="least_squares")
        np.testing.assert_array_equal(run.predictions(), expected.predictions())
        assert run.tap_accuracies() == expected.tap_accuracies()
    (key,) = choose_masks(responses, {"": None}, "converging")[1].values()
    with pytest.raises(DataError, match=r"runs_22050\.safetensors: holds no run with this key"):
        load_run(tmp_path / runs_file(responses), responses, key)


@pytest.mark.parametrize(("dataset", "classifier"), [("esc10", "converging"), ("esc50", "least_squares")])
def test_what_the_pages_ask_for_is_bundled(dataset, classifier):
    responses = Responses.load(bundled(dataset) / "responses_22050.safetensors")
    asked = asked_runs(responses, classifier)
    assert [name for _, ways in asked for name in ways] == [
        *("all maps", "ANOVA by rank", "ANOVA by significance", "ANOVA beyond silence"),
        *(f"all maps without fold {fold}" for fold in responses.test_folds),
    ]
    for part, ways in asked:
        if dataset == "esc50":  # to choose maps of so many clips takes a while
            ways = {name: select for name, select in ways.items() if select is None}
        for key in choose_masks(part, ways, classifier)[1].values():
            run = load_run(bundled(dataset) / runs_file(responses), part, key)
            assert len(run.predictions()) == len(part)


def test_at_other_rates_all_maps_are_enough(make_responses, monkeypatch):
    monkeypatch.setattr(book_runs, "load_silence", None)
    ((_, ways),) = asked_runs(make_responses(), "least_squares", main=False)
    assert ways == {"all maps": None}
