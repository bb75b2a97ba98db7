import pandas as pd

from dha_utils.book import names
from dha_utils.book.names import named
from dha_utils.book.shown import show
from dha_utils.criteria import CRITERIA
from dha_utils.evaluation.ensemble import CLASSIFIERS


def test_columns_have_headers_and_formats_of_their_own_or_the_usual_ones():
    table = pd.DataFrame({"criterion": ["anova"], "change": [-0.0123], "low": [float("nan")], "n": [3]})
    text = show(table, "criterion change low n", n="maps").to_string(delimiter="|")
    name = '<a href="../book/criteria.md#criterion-anova"><data value="anova">ANOVA</data></a>'
    assert text.splitlines() == ["criterion|change|from|maps", f"{name}|−1.23|–|3"]


def test_names_are_read_as_words_and_whole_numbers_stay_whole():
    table = pd.DataFrame({"not_converged": [3], "of_defined": [0.5]})
    assert show(table, every=".1%").to_string(delimiter="|").splitlines() == [
        "not converged|of defined", "3|50.0\u202f%"
    ]  # fmt: skip


def test_an_index_of_its_own_is_shown_and_one_format_does_for_all():
    table = pd.DataFrame({"removed": [0.5], "refitted": [None]}, index=["l1"], dtype=object)
    lines = show(table, every=".1%").to_string(delimiter="|").splitlines()
    assert lines == ["|removed|refitted", '<data value="l1">norm of the filter (L1)</data>|50.0\u202f%|–']


def test_things_have_the_names_of_people_and_keep_those_of_the_program():
    table = pd.DataFrame(
        {
            "classifier": ["released_probability"],
            "methods": ["anova_time, rank_full"],
            "clip": ["a_1.wav"],
            "n_maps": [3],
        }
    )
    assert show(table).to_string(delimiter="|").splitlines() == [
        "classifier|methods|clip|n maps",
        '<data value="released_probability">SVM, the released call</data>|'
        '<data value="anova_time, rank_full">ANOVA over time, full rank</data>|a_1.wav|3',
    ]


def test_what_a_name_has_in_it_is_text_and_the_name_of_a_page_leads_there():
    table = pd.DataFrame({"label": ["a<b & c"], "evidence": ["02_ensemble"]})
    assert show(table).to_string(delimiter="|").splitlines()[1] == (
        'a&lt;b &amp; c|<a href="02_ensemble.ipynb">ensemble</a>'
    )


def test_every_criterion_and_classifier_has_a_name_that_people_use():
    assert not [name for name in CRITERIA if "_" in named(name, "criterion")]
    assert {*names.CLASSIFIERS} == {*CLASSIFIERS}


def test_text_is_flush_left_and_long_text_has_room():
    page = show(pd.DataFrame({"n": [1], "said": ["x " * 40]})).to_html()
    assert ".col1 {\n  text-align: left;\n  min-width: 12em;" in page
    assert ".col0" not in page.partition("</style>")[0]
