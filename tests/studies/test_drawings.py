import base64
import io
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from dha_utils.studies.drawings import compact


def drawn(draw):
    figure = Figure()
    draw(figure.subplots())
    figure.savefig(file := io.StringIO(), format="svg")
    return file.getvalue()


@pytest.fixture(autouse=True)
def text_is_text():
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "dha"}):
        yield


def pixels(svg):
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))
        for data in re.findall(r'base64,\s*([^"]+)"', svg)
    ]


def parts(svg):
    """Return what each element that is seen is, in turn, and all their numbers; a turn by nothing is none."""
    kinds, numbers = [], []
    for element in ET.fromstring(svg).iter():
        if re.search(r"\}(path|use|text|image)$", element.tag):
            kinds.append((element.tag, element.text and element.text.strip()))
            for name in ("d", "x", "y", "width", "height", "transform"):
                value = re.sub(r"rotate\(-?0 [^)]*\)", "", element.get(name, ""))
                numbers += [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", value)]
    return kinds, numbers


def test_marks_lines_and_texts_stay_where_they_are_in_half_the_bytes():
    rng = np.random.default_rng(0)

    def draw(axis):
        axis.plot(*rng.normal(size=(2, 300)), "o", alpha=0.5, label="a mark < 3")
        axis.plot([0, 1e-3], [0, 1])
        axis.legend()

    svg = drawn(draw)
    small = compact(svg)
    (kinds, numbers), (small_kinds, small_numbers) = parts(svg), parts(small)
    assert small_kinds == kinds
    np.testing.assert_allclose(small_numbers, numbers, atol=0.00501)
    assert len(small) < 0.55 * len(svg)
    assert "a mark &lt; 3" in small
    assert compact(small) == small


def test_images_keep_every_pixel():
    def draw(axis):
        axis.imshow(np.random.default_rng(0).normal(size=(20, 30)), cmap="RdBu", interpolation="nearest")

    svg = drawn(draw)
    small = compact(svg)
    for before, after in zip(pixels(svg), pixels(small), strict=True):
        np.testing.assert_array_equal(after, before)
    assert len(small) < 0.7 * len(svg)


def test_images_of_many_colours_and_transparent_ones_keep_every_pixel():
    rng = np.random.default_rng(0)
    for image in (
        rng.random((30, 40, 3)),
        np.where(rng.random((9, 9, 1)) < 0.5, [1, 0, 0, 0.5], [0, 0, 1, 1]),
    ):
        svg = drawn(lambda axis, image=image: axis.imshow(image, interpolation="nearest"))
        np.testing.assert_array_equal(pixels(compact(svg))[0], pixels(svg)[0])


def test_a_style_that_is_not_inherited_stays_with_the_marks():
    svg = '<svg><g><use href="#b" x="1.23456" style="{0}"/></g><path id="b" d="{1}"/></svg>'
    path, short = "M 0 1 \nL 2 3 ", "M0 1L2 3"
    assert (
        compact(svg.format("opacity: 0.5", path))
        == svg.format("opacity: 0.5", short).replace("456", "") + "\n"
    )
