import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled, repository
from dha_utils.responses.table import Responses
from dha_utils.studies.inputs import responses_file
from dha_utils.studies.results import Results


def test_written_and_read(tmp_path):
    results = Results("some/where/sounds", tmp_path)
    results.write("numbers", {"a": np.float64(0.5), "b": np.arange(3), "c": "é"})
    assert results.folder == tmp_path / "sounds"
    assert results.read("numbers") == {"a": 0.5, "b": [0, 1, 2], "c": "é"}
    assert Results("esc10").folder == repository() / "results" / "esc10"


def test_own_folder_cannot_take_the_place_of_a_published_data_set():
    assert Results("sounds/esc10").folder == repository() / "results" / "esc10-own"


def test_refuses_what_json_does_not_know(tmp_path):
    results = Results("x", tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        results.write("numbers", {"a": float("nan")})
    with pytest.raises(TypeError, match="set does not go into a results file"):
        results.write("numbers", {"a": {1}})
    assert not list(tmp_path.rglob("*.json"))


def test_missing_results(tmp_path):
    with pytest.raises(DataError, match=r"ensemble\.json: no such results yet; run the earlier notebooks"):
        Results("x", tmp_path).read("ensemble")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "ensemble.json").write_text('{"rate": 2')
    with pytest.raises(DataError, match=r"ensemble\.json: is damaged .*; run the earlier notebooks again"):
        Results("x", tmp_path).read("ensemble")


def test_the_reference_stands_in_where_it_belongs_to_what_is_at_hand(tmp_path, capsys):
    results = Results("esc10", tmp_path)
    assert results.read("predictions", rate=22_050, keep=0.11)["clips"]
    assert capsys.readouterr().out.startswith("predictions.json: from results/reference/esc10; ")
    with pytest.raises(DataError, match=r"reference are for keep 0\.11; run .*`dha run -p keep 0\.25`"):
        results.read("predictions", rate=22_050, keep=0.25)
    file = responses_file(results.folder, 22_050)
    responses = Responses.load(bundled("esc10") / file.name)
    responses.save(file)
    assert results.read("predictions")["clips"]
    responses.take(slice(0, 390)).save(file)  # other clips
    with pytest.raises(DataError, match=r"predictions\.json: no such results yet"):
        results.read("predictions")
    results.write("predictions", {"clips": 390})
    assert results.read("predictions", keep=0.25) == {"clips": 390}


def test_figures_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        figure = Figure()
        figure.subplots().plot([1, 2, 3], label="line")
        html = Results("x", tmp_path).save_figure(name, figure, "a line")
    assert html.data.startswith('<figure><svg role="img" aria-label="a line" style="width: ')
    assert html.data.endswith("</svg>\n<figcaption>a line</figcaption></figure>")
    figure.set_label("Bars: <95 %>.")
    labelled = Results("x", tmp_path).save_figure("a", figure, "a line").data
    assert labelled.endswith("<figcaption>a line. Bars: &lt;95 %&gt;.</figcaption></figure>")
    width, least = (int(re.search(rf"{which}width: (\d+)px", html.data)[1]) for which in ("", "min-"))
    assert width >= float(re.search(r'viewBox="0 0 ([\d.]+)', html.data)[1]) > width - 1  # a point is a pixel
    assert least >= 9 / 11 * width > least - 1
    assert (tmp_path / "x" / "a.svg").read_bytes() == (tmp_path / "x" / "b.svg").read_bytes()
