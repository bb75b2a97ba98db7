import json
import re

import pytest

from dha_utils.book import parameters
from dha_utils.book.parameters import PARAMETERS, check_parameters, check_value
from dha_utils.core.errors import ParameterError
from dha_utils.evaluation.ensemble import CLASSIFIERS

GOOD = {
    "dataset": ["esc10", "/some/folder"],
    "root": [None, "/some/folder"],
    "network": [None, "crepe", "my_network.py:build"],
    "rate": [8000, 22050, 192_000],
    "rates": [[22050], [22050, 44100]],
    "full": [True, False],
    "classifier": list(CLASSIFIERS),
    "others": [[], ["released", "logistic"]],
    "only_claims": [True, False],
    "only_bundled": [True, False],
    "fractions": [[0.1], [0.1, 1]],
    "criteria_at": [[], [0.1, 1]],
    "budgets": [[0.35], [0.1, 1]],
    "duration": [None, 0.1, 5, 3600.0],
    "channel": ["mean", "left", "right"],
    "skip_bad": [True, False],
    "keep": [0.11, 1e-9, 1, 1.0],
    "alpha": [0.05, 0.999],
    "seeds": [2, 20],
    "other_seeds": [None, 2, 20],
    "workers": [None, 1, 64],
    "scheduler": [None, "local", "tcp://node1:8786"],
    "results": [None, "out"],
}
BAD = {
    "dataset": [None, "", "  ", 10, ["esc10"]],
    "root": ["", 0, False],
    "network": ["", " ", 1, False],
    "rate": [7999, 192_001, 22050.0, "22050", True, None, float("nan")],
    "full": [1, "True", None],
    "classifier": ["", "svm", None, 1],
    "others": ["released", ["svm"], [1], None],
    "only_claims": [1, "True", None],
    "only_bundled": [0, "False", None],
    "fractions": [[], 0.1, [0.0], [True], ["0.1"]],
    "criteria_at": [0.1, [0.0], [True], ["0.1"]],
    "budgets": [[], 0.1, [1.5], [True], ["0.1"]],
    "rates": [[], 22050, [22050, True], [22050, 7999], [22050.0], "22050"],
    "channel": ["", "both", None, 0],
    "skip_bad": [0, "true", None],
    "duration": [0, -1, 3601, float("nan"), float("inf"), "5", True],
    "keep": [0, 1.01, -0.1, float("nan"), "0.1", True, None, [0.1]],
    "alpha": [0, 1, 0.0, 1.0, "0.05", False],
    "seeds": [0, -1, 1, 1.0, True, "20", None],
    "other_seeds": [0, -1, 1, 1.0, True, "20"],
    "workers": [0, 1.0, True, "2"],
    "scheduler": ["", " ", 8786],
    "results": ["", 1],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in GOOD for value in GOOD[name]])
def test_accepts_what_is_within_the_limits(name, value):
    assert check_value(name, value) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_refuses_wrong_types_and_values_in_one_line(name, value):
    expected = f"parameter {name}: expected {PARAMETERS[name].expected}, got "
    with pytest.raises(ParameterError, match=re.escape(expected)) as error:
        check_value(name, value)
    assert "\n" not in str(error.value)
    assert f"({type(value).__name__})" in str(error.value)


def test_classifiers_are_those_of_the_ensemble():
    assert list(parameters.CLASSIFIERS) == list(CLASSIFIERS)


def test_every_parameter_is_tested():
    assert GOOD.keys() == BAD.keys() == PARAMETERS.keys()


def test_whole_numbers_become_float_where_the_parameter_is_real():
    p = check_parameters({"keep": 1, "duration": 5, "seeds": 20}, ["keep", "duration", "seeds"])
    assert (type(p.keep), type(p.duration), type(p.seeds)) == (float, float, int)


def test_number_that_arrived_as_text_says_how_to_write_it():
    with pytest.raises(ParameterError, match=r"\(0, 1\], got '1e-3' \(str\): write 0\.001$"):
        check_value("keep", "1e-3")
    with pytest.raises(ParameterError, match=r"got '1e999999' \(str\)$"):
        check_value("keep", "1e999999")
    with pytest.raises(ParameterError, match=r"got 'much' \(str\)$"):
        check_value("keep", "much")
    with pytest.raises(ParameterError, match=r"got '0,35' \(str\): write 0\.35$"):
        check_value("keep", "0,35")


def test_unknown_name_with_and_without_near_miss():
    names = ["dataset", "keep"]
    with pytest.raises(
        ParameterError,
        match=r"^unknown parameter 'kep' \(did you mean 'keep'\?\); there are: dataset, keep$",
    ):
        check_parameters({"dataset": "esc10", "keep": 0.1, "kep": 0.2}, names)
    with pytest.raises(ParameterError, match=r"^unknown parameter 'zzz'; there are: dataset, keep$"):
        check_parameters({"dataset": "esc10", "keep": 0.1, "zzz": None}, names)
    with pytest.raises(
        ParameterError, match=r"^unknown parameter 'kepp' \(did you mean 'keep'\?\); there are: dat"
    ):
        check_value("kepp", 0.1)


def test_what_a_fresh_notebook_holds_besides_its_parameters_is_no_parameter():
    fresh = {"In": [""], "Out": {}, "_": "", "_ih": [], "__name__": "__main__", "json": json, "open": open}
    assert vars(check_parameters({**fresh, "seeds": 20}, ["seeds"])) == {"seeds": 20}


def test_cell_can_be_run_again_when_the_notebook_has_its_own_variables():
    namespace = {"keep": 0.1}
    namespace["p"] = check_parameters(namespace, ["keep"])
    namespace["accuracy"] = 0.9
    namespace["keep"] = 0.2
    assert check_parameters(namespace, ["keep"]).keep == 0.2
    namespace["keep"] = 2
    with pytest.raises(ParameterError, match="parameter keep"):
        check_parameters(namespace, ["keep"])


def test_missing_parameter():
    with pytest.raises(
        ParameterError, match="parameter keep is missing: set it in the cell tagged 'parameters'"
    ):
        check_parameters({}, ["keep"])
