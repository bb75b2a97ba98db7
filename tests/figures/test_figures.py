import io
from html import escape
from itertools import combinations
from unittest.mock import patch

import librosa
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from dha_utils import figures
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.described import TITLES
from dha_utils.figures.style import TEXT, WIDTH, title


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        figures.set_style()
        yield


def test_a_style_of_the_users_own_takes_no_part():
    usual = mpl.rcParams.copy()
    mpl.rcParams.update({"text.usetex": True, "axes.facecolor": "red", "savefig.transparent": True})
    figures.set_style()
    assert {name for name in usual if mpl.rcParams[name] != usual[name]} <= {
        "backend"
    }  # which is found when asked


def texts(figure):
    """Return what is written in a figure, after a look at it: everything can be read, and it fits on a page."""
    found, plain = [], Text.draw

    def draw(text, renderer):
        if text.get_visible() and text.get_text().strip():
            found.append((text, Text.get_window_extent(text, renderer)))
        plain(text, renderer)

    with patch.object(Text, "draw", draw):
        figure.draw_without_rendering()
    assert figure.get_size_inches()[0] <= WIDTH
    assert [text.get_text() for text, _ in found if text.get_fontsize() < TEXT] == []
    boxes = [(text.get_text(), box.padded(-1.5)) for text, box in found]
    beyond = [text for text, box in boxes if box.x0 < -3 or box.x1 > figure.bbox.width + 3]
    assert beyond == []
    on_one_another = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]
    assert on_one_another == []
    return {text for text, _ in boxes}


def test_spectrograms():
    examples = {f"class_{i}": np.full((64, 40), -60.0 - i, np.float16) for i in range(7)}
    figure = figures.spectrograms(examples, 22_050)
    assert {"class 0", "class 6", "time (s)", "frequency (kHz)"} <= texts(figure)
    assert sum(axis.get_visible() for axis in figure.axes) == 8  # seven classes and the colour bar


def test_frequencies_stand_at_their_bands():
    centres = librosa.mel_frequencies(n_mels=66, fmax=11_025)[1:-1]
    figure = figures.spectrograms({"a": np.zeros((64, 40))}, 22_050)
    at = np.interp([500, 1000, 2000, 4000, 8000], centres, np.arange(64) + 0.5)
    assert figure.axes[0].get_yticks() == pytest.approx(at, abs=0.02)


def test_class_means_puts_maps_beside_their_class(make_responses):
    figure = figures.class_means(make_responses({"relu7": 20}, n_good=20), "relu7")
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (4, 20)
    assert (np.diff(image.argmax(axis=0)) >= 0).all()
    assert "20 maps of relu7, by the class they answer to most" in texts(figure)
    some = figures.class_means(make_responses({"relu7": 20}, n_good=20), "relu7", np.array([3, 5]))
    assert some.axes[0].images[0].get_array().shape == (4, 2)
    fixed = figures.class_means(make_responses({"relu7": 20}), "relu7", limit=2.0)
    assert fixed.axes[0].images[0].get_clim() == (-2, 2)


def test_example_maps():
    rng = np.random.default_rng(0)
    labels = [f"class_{i}" for i in range(7)]
    maps = {label: rng.random((12, 20)).astype(np.float16) for label in labels}
    spectrograms = {label: np.full((64, 40), -60.0, np.float16) for label in labels}
    groups = {"kept": np.array([3, 1]), "ignored": np.array([0, 5])}
    figure = figures.example_maps(maps, spectrograms, groups, 5.0)
    assert {"class 0", "class 6", "sound", "kept", "ignored", "time (s)"} <= texts(figure)
    kept = figure.axes[1].images[0].get_array()  # below the spectrogram of the first class
    peak = max(values[3].max() for values in maps.values())
    np.testing.assert_allclose(kept[0], maps["class_0"][3].astype(float) / float(peak), rtol=1e-3)
    assert sum(axis.get_visible() for axis in figure.axes) == 7 * 3 + 1


def test_effect_sizes():
    table = pd.DataFrame({"tap": ["a", "a", "b", "b"], "eta2": [0.1, 0.2, 0.3, 0.4]})
    assert {"a", "b"} <= texts(figures.effect_sizes(table))
    taps = [f"features.{i}.conv" for i in range(20)]
    table = pd.DataFrame({"tap": taps * 2, "eta2": [0.1] * 20 + [0.2] * 20})
    assert {*taps} <= texts(figures.effect_sizes(table))


def test_margin_curves():
    rows = [
        {"form": form, "margin": margin, "raw": margin / 2, "adjusted": margin / 3}
        for form in ("welch", "pooled")
        for margin in (0.1, 0.25, 2.0)
    ]
    figure = figures.margin_curves(pd.DataFrame(rows), 0.25, 0.89)
    assert {"welch", "pooled", "raw p", "89 % of the maps", "f = 0.25"} <= texts(figure)
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0.1, 0.05], [0.25, 0.125], [2, 1]]


def test_without_each_recording():
    table = pd.DataFrame(
        {"recording": ["r1", "r2", "r3"], "label": ["sea_waves", "dog", "dog"], "all": [0.1, 0.25, 0.26]}
    )
    figure = figures.without_each_recording(table, 0.26, named=1)
    assert {"without r1 (sea waves): 10.0%", "all recordings: 26.0%"} <= texts(figure)
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[1, 0.1], [2, 0.25], [3, 0.26]]


def test_carried_variance():
    table = pd.DataFrame({"tap": ["a", "a", "b", "b"], "share": [0.9, 0.1, 0.5, 0.5]})
    figure = figures.carried_variance(table)
    assert {"a", "b", "share of the tap's variance"} <= texts(figure)
    heights = sorted(y for dots in figure.axes[0].collections for _, y in dots.get_offsets())
    assert heights == pytest.approx([0.1, 0.5, 0.9])  # two dots of b lie on one another


def test_tap_accuracies():
    table = pd.DataFrame(
        [
            {"tap": t, "series": s, "accuracy": 0.8, "low": 0.7, "high": 0.9}
            for s in ("22 kHz", "44 kHz")
            for t in "ab"
        ]
    )
    figure = figures.tap_accuracies(table, {"baseline": 0.5})
    assert {"a", "b", "22 kHz", "44 kHz", "baseline", "accuracy"} <= texts(figure)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert len(figure.axes[0].lines) >= 3


def test_cost_of_ignoring():
    selected = pd.DataFrame(
        {"selection": ["ANOVA"], "accuracy": [0.89], "change": [-0.01], "low": [-0.03], "high": [0.02]}
    )
    figure = figures.cost_of_ignoring(0.9, selected, np.array([0.88, 0.88, 0.9]))
    assert {"ANOVA", "random maps,\n3 draws", "all maps", "3 points less"} <= texts(figure)
    (interval,) = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert interval[:, 0].tolist() == pytest.approx([0.87, 0.92])


def sweep_rows(names, keeps=(0.05, 0.25), seeds=3):
    rows = [
        {"criterion": name, "keep": keep, "accuracy": 0.8, "change": -0.1, "low": -0.12, "high": -0.08}
        for name in names
        for keep in keeps
    ]
    rows += [
        {
            "criterion": "random",
            "keep": keep,
            "accuracy": 0.7 + seed / 100,
            "change": -0.2,
            "low": -0.3,
            "high": -0.1,
        }
        for keep in keeps
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_criteria_against_random_maps():
    rows = [("anova", 0.02, 0.01, 0.03), ("bn_scale", -0.01, -0.02, 0.0)]
    table = pd.DataFrame(rows, columns=["criterion", "difference", "low", "high"])
    figure = figures.against_random(table)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["batch-norm scale", "ANOVA"]
    assert axis.containers[0].lines[0].get_xdata().tolist() == [-1, 2]  # points, the best on top


def test_taps_against_random_maps():
    rows = [("relu7", 0.01, 0.07, 0.02, 0.12, "better"), ("relu7", 0.5, 0.0, -0.02, 0.02, "undecided")]
    table = pd.DataFrame(rows, columns=["tap", "keep", "difference", "low", "high", "outcome"])
    figure = figures.tap_differences(table)
    assert {"relu7", "maps kept, %"} <= texts(figure)
    drawn = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in drawn] == ["relu7"]
    assert [float(line.get_ydata()[0]) for line in drawn[0].lines[2::2]] == pytest.approx([7, 0])


def test_forest_shows_what_has_an_interval():
    part = {"estimate": -0.01, "low": -0.02, "high": 0.0, "outcome": "holds"}
    rows = [part | {"part": "in points"}, part | {"part": "a count", "low": None, "high": None}]
    figure = figures.forest(rows, 0.03)
    assert {"in points", "holds"} <= texts(figure)
    assert "a count" not in texts(figure)


def test_forest_wraps_long_names():
    row = {"estimate": -0.01, "low": -0.02, "high": 0.0, "outcome": "not testable here"}
    part = "filters by a criterion number {} at a third of the computation, refitted"
    assert "not testable here" in texts(
        figures.forest([row | {"part": part.format(i)} for i in (1, 2)], 0.03)
    )


def test_overlap_of_many_criteria_fits():
    names = [name for name in TITLES if name != "random"][:27]
    assert {title(name) for name in names} <= texts(figures.overlap(np.eye(len(names)), names))


def test_overlap_puts_like_beside_like():
    matrix = np.array([[1, 0, 0.9], [0, 1, 0], [0.9, 0, 1]])
    figure = figures.overlap(matrix, ["a", "b", "c"])
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert abs(labels.index("a") - labels.index("c")) == 1
    assert "overlap (Jaccard)" in texts(figure)


def test_curves():
    figure = figures.curves(sweep_rows(["anova", "l1"]), 0.9)
    families = {CRITERIA[name].family for name in ("anova", "l1")}
    assert {*families, "ANOVA", "norm of the filter (L1)", "maps kept per tap", "100%"} <= texts(figure)
    curve = figure.axes[0].lines[1].get_xydata()
    assert curve.tolist() == [[0.05, 0.8], [0.25, 0.8], [1, 0.9]]
    band = figure.axes[0].collections[0].get_paths()[0].vertices
    assert band[:, 0].max() == 1


def test_every_criterion_has_a_panel_of_its_own_and_a_name_for_people():
    names = [name for name in CRITERIA if name != "random"]
    figure = figures.curves(sweep_rows(names), 0.9)
    assert len(figure.axes) == len(names)
    assert {title(name) for name in names} <= texts(figure)
    assert {*TITLES} == {*CRITERIA}
    assert len({*TITLES.values()}) == len(TITLES)


def test_ticks_keep_apart():
    keeps = [0.01, 0.02, 0.05, 0.11, 0.25, 0.5, 0.75]
    figure = Figure()
    axis = figure.subplots()
    figures.percent_axis(axis, keeps, most=4)
    ticks = axis.get_xticks()
    assert ticks.max() == 1
    assert len(ticks) >= 3
    assert set(ticks) <= {*keeps, 1.0}
    assert np.diff(np.log(np.sort(ticks))).min() >= np.log(100) / 4


def test_tap_curves():
    table = pd.DataFrame(
        [
            {"tap": f"t{i}", "criterion": c, "keep": k, "accuracy": 0.5}
            for i in range(15)
            for c in ("anova", "random")
            for k in (0.1, 0.5)
        ]
    )
    few = figures.tap_curves(table, {"t0": 0.6, "t1": 0.7})
    assert [axis.get_visible() for axis in few.axes] == [True, True, False, False, False]
    figure = figures.tap_curves(table, {f"t{i}": 0.6 for i in range(15)})
    assert {"t0", "t14", "ANOVA", "random maps", "all maps"} <= texts(figure)


def test_labels_with_dollar_signs_are_no_formulas():
    labels = ["coin: $5 & $6_x^", r"$\frac{1}$ 100%", "$", r"\$5"]
    drawn = figures.spectrograms({label: np.zeros((64, 10)) for label in labels}, 22_050)
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg")
    for label in labels:
        assert escape(label.replace("_", " ")) in buffer.getvalue()
