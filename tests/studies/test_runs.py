from functools import partial

import numpy as np
import pytest

from dha_utils.core.errors import ParameterError
from dha_utils.core.tensor_files import load_tensors, save_tensors
from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import cross_validate_many
from dha_utils.studies import runs
from dha_utils.studies.runs import kept_runs

SELECTORS = {"all": None, "few": partial(select, keep=0.1)}


def evaluations(monkeypatch):
    """Record the names of the runs that are evaluated."""
    asked = []

    def evaluate(responses, selectors, **options):
        asked.extend(selectors)
        return cross_validate_many(responses, selectors, **options)

    monkeypatch.setattr(runs, "cross_validate_many", evaluate)
    return asked


def test_what_is_kept_says_what_was_evaluated(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    asked = evaluations(monkeypatch)
    expected = cross_validate_many(responses, SELECTORS, classifier="least_squares")
    kept_runs(responses, SELECTORS, "least_squares", tmp_path)
    again = kept_runs(responses, SELECTORS, "least_squares", tmp_path)
    assert asked == ["all", "few"]
    for name, run in expected.items():
        assert again[name].tap_accuracies() == run.tap_accuracies()
        assert again[name].not_converged == run.not_converged
        assert again[name].ignored == run.ignored
        np.testing.assert_array_equal(again[name].predictions(), run.predictions())
    with pytest.raises(ParameterError, match=r"the sum of relu7, relu6 was not kept with this run"):
        again["all"].predictions(["relu7", "relu6"])


def test_runs_of_other_labels_masks_and_classifiers_are_not_taken(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    asked = evaluations(monkeypatch)
    kept_runs(responses, {"a": None}, "least_squares", tmp_path)
    kept_runs(responses.shuffle_labels(0), {"labels": None}, "least_squares", tmp_path)
    kept_runs(responses, {"classifier": None}, "linear_least_squares", tmp_path)
    kept_runs(responses, {"masks": partial(select, keep=0.5)}, "least_squares", tmp_path)
    kept_runs(responses.take(responses.folds != 1), {"clips": None}, "least_squares", tmp_path)
    assert asked == ["a", "labels", "classifier", "masks", "clips"]


def test_a_damaged_run_is_made_anew(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    kept_runs(responses, {"a": None}, "least_squares", tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    asked = evaluations(monkeypatch)
    kept_runs(responses, {"a": None}, "least_squares", tmp_path)
    assert asked == ["a"]


def test_what_was_damaged_is_made_anew(make_responses, tmp_path):
    responses = make_responses()
    kept_runs(responses, {"all": None}, "least_squares", tmp_path)
    (path,) = tmp_path.glob("run_*")
    whole = path.read_bytes()
    header, arrays = load_tensors(path, "a run", "")
    del arrays["0/converged"]
    save_tensors(path, arrays, header)
    kept_runs(responses, {"all": None}, "least_squares", tmp_path)
    assert path.read_bytes() == whole
