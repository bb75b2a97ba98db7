import json

import pandas as pd
import pytest

from dha_utils.book.shown import quote, show
from dha_utils.core.formats import ResultError


def test_columns_have_headers_and_formats_of_their_own_or_the_usual_ones():
    table = pd.DataFrame({"criterion": ["anova"], "change": [-0.0123], "low": [float("nan")], "n": [3]})
    text = show(table, "criterion change low n", n="maps").to_string(delimiter="|")
    assert text.splitlines() == ["criterion|change|from|maps", "anova|−1.23|–|3"]


def test_names_are_read_as_words_and_whole_numbers_stay_whole():
    table = pd.DataFrame({"not_converged": [3], "of_defined": [0.5]})
    assert show(table, every=".1%").to_string(delimiter="|").splitlines() == [
        "not converged|of defined", "3|50.0\u202f%"
    ]  # fmt: skip


def test_an_index_of_its_own_is_shown_and_one_format_does_for_all():
    table = pd.DataFrame({"removed": [0.5], "refitted": [None]}, index=["l1"], dtype=object)
    lines = show(table, every=".1%").to_string(delimiter="|").splitlines()
    assert lines == ["|removed|refitted", "l1|50.0\u202f%|–"]


def test_numbers_in_prose_come_from_the_first_folder_that_has_the_file(tmp_path):
    for name, value in (("first", 0.5), ("second", 0.25)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.json").write_text(json.dumps({"x": [{"y": value}]}))
    text = quote("It is {result}`a.json:x.0.y:.0%`.", [tmp_path / "first", tmp_path / "second"])
    assert text == "It is 50\u202f%."


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("b.json:x:.1%", "no such file"),
        ("a.json:y:.1%", "there is no 'y'"),
        ("a.json:x", "give it a format"),
        ("nothing", "write FILE.json:KEY"),
    ],
)
def test_what_cannot_be_quoted_is_said(tmp_path, reference, message):
    (tmp_path / "a.json").write_text('{"x": 0.5}')
    with pytest.raises(ResultError, match=message):
        quote(f"It is {{result}}`{reference}`.", [tmp_path])
