"""The method in pictures: what is drawn is the network's, and can be read on a telephone."""

import re
from xml.etree import ElementTree

import pytest
from torch import nn

from dha_utils.figures.method import folds_drawing, ignoring_drawing, network_drawing, taps_drawing
from dha_utils.figures.svg import PHONE
from dha_utils.networks.base import Network
from dha_utils.networks.registry import outline

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def toy():
    chain = {
        "first": nn.Conv1d(1, 4, 5, stride=2),
        "act": nn.ReLU(),
        "next": nn.Conv1d(4, 8, 3),
        "pool": nn.MaxPool1d(2),
    }
    return Network(chain, ["act", "next", "pool"], name="toy", rate=100, min_samples=50)


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def drawn(network):
    first = next(iter(network.layers))
    last = list(network.layers)[-1]
    return {
        "network": network_drawing(network, 2.0),
        "taps": taps_drawing(network, last),
        "folds": folds_drawing(5, 2000),
        "ignoring": ignoring_drawing(network, first),
    }


def test_the_network_is_drawn_as_it_is(toy):
    said = texts(network_drawing(toy, 2.0))
    assert said[0] == "a sound: 200 samples, 2 s"
    assert "first: 4 maps, 98 positions" in said
    assert "next: 8 maps, 48 positions" in said
    assert [tap for tap in said if tap in toy.taps] == list(toy.taps)
    wider, narrower = (
        float(box.get("width"))
        for box in ElementTree.fromstring(network_drawing(toy, 2.0)).iter(f"{SVG}rect")
    )
    assert wider > narrower


def test_every_tap_of_a_layer_has_a_classifier(toy):
    said = texts(taps_drawing(toy, "next"))
    assert said.count("classifier") == 2
    assert "one of 8 maps" in said
    assert texts(taps_drawing(toy, "first")).count("classifier") == 1


def test_every_fold_is_tested_once():
    said = texts(folds_drawing(4, 80))
    assert said.count("test") == 4
    assert said.count("learn") == 12


def test_ignored_maps_are_computed_and_removed_ones_are_not(toy):
    paths = list(ElementTree.fromstring(ignoring_drawing(toy, "first")).iter(f"{SVG}path"))
    solid = [path for path in paths if path.get("stroke-dasharray") == "none"]
    # five filters with all maps, five ignored of which three are read, three left
    assert len(solid) == (5 + 5) + (5 + 3) + (3 + 3)
    assert len(paths) - len(solid) == 2
    assert texts(ignoring_drawing(toy, "first")).count("next") == 3


@pytest.mark.parametrize("name", ["network", "taps", "folds", "ignoring"])
@pytest.mark.parametrize("network", ["toy", "soundnet"])
def test_can_be_read_on_a_telephone_in_the_dark_and_by_ear(name, network, toy):
    svg = drawn(toy if network == "toy" else outline())[name]
    root = ElementTree.fromstring(svg)
    assert float(root.get("viewBox").split()[2]) == PHONE
    assert len(root.get("aria-label")) > 80
    for element in root.iter(f"{SVG}text"):
        assert element.get("fill") == "currentColor"
        assert float(element.get("font-size")) >= 11
        assert float(element.get("x")) <= PHONE
    ends = [
        float(end) for path in root.iter(f"{SVG}path") for end in re.findall(r"[ML]([\d.]+) ", path.get("d"))
    ]
    assert 0 <= min(ends, default=0) <= max(ends, default=0) <= PHONE
