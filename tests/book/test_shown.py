import pandas as pd

from dha_utils.book.shown import show


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
