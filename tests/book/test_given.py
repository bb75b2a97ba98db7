import pytest

from dha_utils.book.given import GIVEN, given, in_words, is_own
from dha_utils.book.parameters import check_value


@pytest.mark.parametrize("dataset", GIVEN)
def test_what_data_sets_are_given_is_within_the_limits(dataset):
    for parameters in GIVEN[dataset].values():
        for name, value in parameters.items():
            assert check_value(name, value) == value


def test_sounds_of_ones_own_are_given_what_takes_minutes_unless_the_run_is_thorough():
    assert [is_own(name) for name in ("esc10", "dcase2016", "path/to/sounds", "mine.csv")] == [
        False,
        *[True] * 3,
    ]
    quick = given("path/to/sounds", "curves")
    assert quick["classifier"] == "least_squares"
    assert given("mine.csv", "frontier") == given("mine.csv", "ensemble") | {"seeds": 2}
    assert given("path/to/sounds", "curves", thorough=True) == given("esc10", "curves") == {}
    assert given("esc50", "curves", thorough=True) == given("esc50", "curves")


def test_what_is_given_is_said_but_for_what_was_asked_for():
    assert "classifier least_squares" in in_words({}, thorough=False)
    said = in_words({"classifier": "logistic", "seeds": 50}, thorough=False)
    assert "classifier" not in said.partition("; --thorough")[0]
    assert "seeds" not in said
    assert "--thorough" in said
    assert "hours" in in_words({}, thorough=True)
