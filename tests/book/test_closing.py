from dha_utils.book.closing import closing_words
from dha_utils.studies.results import Results


def test_says_what_came_out_and_where_it_stands(tmp_path):
    claim = {
        "text": "Ignoring costs less.",
        "outcome": "undecided on mine",
        "measured": "it changes by −2 points",
    }
    results = Results("mine", tmp_path)
    results.write("outcomes", {"on": "mine", "table": [claim]})
    assert closing_words(results.folder, tmp_path / "17_outcomes.ipynb", "my sounds").splitlines() == [
        "What came out on mine:",
        "  Ignoring costs less. Undecided on mine:",
        "    it changes by −2 points",
        f"The page, a notebook: {tmp_path / '17_outcomes.ipynb'}",
        "All as web pages: dha book --dataset 'my sounds'",
    ]
