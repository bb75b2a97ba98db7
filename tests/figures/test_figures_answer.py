"""The figure of the first page: every number is there twice, and the marks are where the numbers say."""

import re
from xml.etree import ElementTree

import pytest

from dha_utils.figures.answer import BOTTOM, LEFT, RIGHT, TOP, answer_figure

SVG = "{http://www.w3.org/2000/svg}"
FULL = 0.65


def make_row(keep, accuracy, random, outcome="undecided"):
    row = {"keep": keep, "accuracy": accuracy, "random": random, "lowest": random - 0.01}
    row |= {"highest": random + 0.01, "difference": accuracy - random, "draws": 8, "outcome": outcome}
    return row | {"low": accuracy - random - 0.02, "high": accuracy - random + 0.02}


ROWS = [
    make_row(0.01, 0.465, 0.421, "better"),
    make_row(0.11, 0.603, 0.632),
    make_row(0.5, 0.64, 0.646, "worse"),
]


@pytest.fixture(scope="module")
def root():
    return ElementTree.fromstring(answer_figure("A & B", ROWS, FULL, 0.03, 0.11))


def test_numbers_stand_under_the_axis_and_under_the_pointer(root):
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"46.5", "60.3", "64.0", "42.1", "63.2", "64.6", "+4.4", "−2.9", "−0.6", "65.0"} <= {*texts}
    assert [text for text in texts if text in ("▲", "▼")] == ["▲", "▼"]
    titles = " ".join(title.text for title in root.iter(f"{SVG}title"))
    for row in ROWS:
        assert re.search(
            f"{100 * row['keep']:g} % of the maps kept: ANOVA {100 * row['accuracy']:.2f}", titles
        )
    assert root.get("role") == "img"
    assert "A & B" in root.get("aria-label")


def test_marks_are_where_the_numbers_say(root):
    circles = [circle for circle in root.iter(f"{SVG}circle")][: len(ROWS)]
    places = [(float(circle.get("cx")), float(circle.get("cy"))) for circle in circles]
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in places)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    # Pixels per unit of accuracy are the same between all marks.
    scale = [(a[1] - b[1]) / (q["accuracy"] - p["accuracy"]) for a, b, p, q in
             zip(places, places[1:], ROWS, ROWS[1:], strict=False)]  # fmt: skip
    assert scale[0] == pytest.approx(scale[1], rel=0.02)


def test_the_allowed_loss_is_the_margin_below_all_maps(root):
    (line,) = [path for path in root.iter(f"{SVG}path") if path.get("stroke") == "currentColor"]
    level = float(re.match(r"M\d+ ([\d.]+)H", line.get("d"))[1])
    floor, _ = [path for path in root.iter(f"{SVG}path") if "m-" in path.get("d")]
    x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)m", floor.get("d")).groups())
    circles = [circle for circle in root.iter(f"{SVG}circle")]
    assert x == float(circles[1].get("cx"))
    scale = (float(circles[0].get("cy")) - float(circles[2].get("cy"))) / (0.64 - 0.465)
    assert (y - level) / scale == pytest.approx(0.03, abs=0.001)
