"""Numbers as prose shows them."""

import pytest

from dha_utils.core.formats import ResultError, format_value, lookup


@pytest.mark.parametrize(
    ("value", "spec", "shown"),
    [
        (0.9225, ".2%", "92.25\u202f%"),
        (0.0291, ".1p", "2.9"),
        (-0.0125, "+.2p", "−1.25"),
        (0.0125, "+.2p", "+1.25"),
        (-0.00001, "+.1p", "0.0"),
        (4336, ",", "4\u202f336"),
        (1234567, "d", "1234567"),
        (1234567.5, ",.1f", "1\u202f234\u202f567.5"),
        (400, "", "400"),
        (-3, "", "−3"),
        (0.5, ".3f", "0.500"),
        (3.14e-7, ".1e", "3.1\u202f×\u202f10⁻⁷"),
        (3.14e12, ".3g", "3.14\u202f×\u202f10¹²"),
        (0.0314, ".2g", "0.031"),
        ("pool5, not -relu-", "", "pool5, not -relu-"),
    ],
)
def test_format_value(value, spec, shown):
    assert format_value(value, spec) == shown


@pytest.mark.parametrize(
    ("value", "spec", "message"),
    [
        (0.1234567, "", "the float 0.1234567; give it a format"),
        (0.1234567, ",", "give it a format"),
        (0.5, ".1", "unknown format '.1'"),
        (0.5, "percent", "unknown format 'percent'"),
        (0.5, "d", "does not fit the value 0.5"),
        ("pool5", ".1f", 'the value is "pool5"'),
        (True, "", "the value is true"),
        (None, ".1f", "the value is null"),
        ([1, 2], "", r"the value is \[1, 2\]"),
        (float("nan"), ".1f", "not a finite number"),
        (float("inf"), ".1e", "not a finite number"),
    ],
)
def test_format_value_refuses(value, spec, message):
    with pytest.raises(ResultError, match=message):
        format_value(value, spec)


DOCUMENT = {
    "sum15": {"accuracy": 0.925},
    "folds": [{"fold": 1}, {"fold": 2}],
    "cost": [{"name": "anova"}, {"name": "l1", "change": 0.5}, {"name": "twice"}, {"name": "twice"}],
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sum15.accuracy", 0.925),
        ("folds.1.fold", 2),
        ("cost.l1.change", 0.5),
        ("folds", DOCUMENT["folds"]),
        ("", DOCUMENT),
    ],
)
def test_lookup(key, value):
    assert lookup(DOCUMENT, key) == value


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("sum10.accuracy", r"no 'sum10'; there is \['cost', 'folds', 'sum15'\]"),
        ("folds.2.fold", "no '2'; there is a list of 2"),
        ("cost.twice.name", "no 'twice'; there is a list of 4"),
        ("folds.first", "no 'first'; there is a list of 2"),
        ("sum15.accuracy.low", "no 'low'; there is float"),
    ],
)
def test_lookup_names_the_step_that_fails(key, message):
    with pytest.raises(ResultError, match=message):
        lookup(DOCUMENT, key)
