"""The method in pictures: the network, its taps, the folds, and what ignoring and removing a map are.

What is drawn is asked of the network (`dha_utils.networks.base`) and of the data; how, is in `dha_utils.figures.svg`. Blue is
what is computed, orange where maps are read or a fold is tested, grey and dashed what is gone.
"""

import numpy as np

from dha_utils.core.formats import format_value
from dha_utils.figures.svg import BLUE, GREY, ORANGE, PHONE, arrow, box, dot, line, picture, text
from dha_utils.networks.base import NORMS, Network


def network_drawing(network: Network, seconds: float) -> str:
    """Draw the layers, one below the other: as wide as they have positions and as high as they have maps, and their taps.

    Parameters
    ----------
    network : Network
        Of sounds; its weights are not looked at.
    seconds : float
        How long the clip is.

    Examples
    --------
    >>> from dha_utils.networks.registry import outline
    >>> "conv7: 1\u202f024 maps, 4 positions" in network_drawing(outline(), 5.0)
    True
    """
    samples = round(seconds * network.rate)
    shapes = network.shapes(samples)
    widest = np.log2(samples)
    parts = [text(0, 12, f"a sound: {number(samples)} samples, {seconds:g} s", weight="bold")]
    parts.append(line(f"M1 34 {wave(1, 140, 34, 9, 28)}", BLUE))
    level, described = 56, []
    for name, layer in network.layers.items():
        maps, *positions = shapes[layer.stages[-1]]
        width, height = 140 * np.log2(np.prod(positions) + 1) / widest, 3 * np.log2(maps)
        taps = [tap for tap in network.taps if tap in layer.stages]
        middle = level + height / 2
        parts.append(arrow(8, level - 9, 8, level - 1))
        parts.append(box(1, level, max(width, 14), height, BLUE))
        parts.append(text(156, middle - 2 if taps else middle + 4, _layer(name, maps, positions)))
        for place, tap in enumerate(taps):
            parts += [dot(160 + 58 * place, middle + 10), text(168 + 58 * place, middle + 14, tap)]
        described.append(f"{_layer(name, maps, positions)}, taps: {', '.join(taps) or 'none'}")
        level += max(height, 26) + 16
    label = f"The layers of {network.name} from the input down. " + "; ".join(described) + "."
    return picture(parts, level - 8, label, "drawing")


def taps_drawing(network: Network, layer: str) -> str:
    """Draw what happens at the taps of a layer: a map over time, its average, a classifier per tap, and the sum of their scores.

    Parameters
    ----------
    network : Network
    layer : str
        One of its layers, one with several taps.
    """
    rng = np.random.default_rng(0)
    stages = network.layers[layer].stages
    maps = network.widths[layer]
    read = [stage for stage in stages if stage in network.taps]
    kinds = {stage: _kind(network, stage) for stage in stages}
    parts = [text(0, 12, "layer", weight="bold"), text(96, 12, f"one of {number(maps)} maps", weight="bold")]
    parts += [text(214, 12, "per tap", weight="bold"), text(PHONE, 12, "ensemble", "end", "bold")]
    last = 32 + 58 * (len(stages) - 1)
    middle = np.mean([50 + 58 * stages.index(stage) for stage in read]) if read else 50
    for place, stage in enumerate(stages):
        top = 32 + 58 * place
        parts.append(box(1, top, 73, 36, BLUE))
        parts += [text(37, top + 15, stage, "middle"), text(37, top + 29, kinds[stage], "middle")]
        if place:
            parts.append(arrow(37, top - 22, 37, top))
        if stage not in read:
            continue
        parts += [dot(74, top + 18), arrow(80, top + 18, 94, top + 18)]
        values = rng.gamma(1.2, 1.0, 12)
        heights = top + 34 - 26 * values / values.max()
        steps = " ".join(f"L{96 + 8 * step:g} {height:.1f}" for step, height in enumerate(heights))
        parts.append(line(f"M96 {heights[0]:.1f} {steps}", BLUE, 1.6))
        mean = f"{heights.mean():.1f}"
        parts += [line(f"M96 {mean}H186", ORANGE, 2, "4 3"), arrow(190, top + 18, 210, top + 18)]
        parts += [box(212, top, 66, 36), text(245, top + 22, "classifier", "middle")]
        parts.append(line(f"M278 {top + 18}L304 {middle:g}"))
    parts += [
        f'<circle cx="312" cy="{middle:g}" r="10" fill="none" stroke="currentColor" stroke-width="1.2"/>'
    ]
    parts.append(text(312, middle + 5, "+", "middle", "bold", 15))
    parts.append(arrow(322, middle, PHONE - 2, middle))
    below = last + 58
    parts += [
        line(f"M0 {below - 4}h20", ORANGE, 2, "4 3"),
        text(26, below, "its average over time: the response"),
    ]
    parts += [dot(10, below + 14), text(26, below + 18, "tap: here maps are read")]
    passed = ", then ".join(f"{stage} ({kind})" for stage, kind in kinds.items())
    label = (
        f"Layer {layer}: {passed}. Maps are read at {', '.join(read)}; each is averaged over time to one number, its response. "
        "One classifier per tap reads the responses of all its maps; their scores are added up, and the largest sum wins."
    )
    return picture(parts, below + 26, label, "drawing")


def folds_drawing(folds: int, clips: int) -> str:
    """Draw the rounds of the cross-validation: in each, one fold is tested and all is decided on the others.

    Parameters
    ----------
    folds : int
    clips : int
        In all folds together.
    """
    width = (PHONE - 70) / folds
    parts = [text(70 + width * (fold + 0.5), 12, f"fold {fold + 1}", "middle") for fold in range(folds)]
    for turn in range(folds):
        top = 20 + 28 * turn
        parts.append(text(0, top + 16, f"round {turn + 1}"))
        for fold in range(folds):
            tested = fold == turn
            parts.append(
                box(
                    70 + width * fold + 2,
                    top,
                    width - 4,
                    22,
                    ORANGE if tested else BLUE,
                    0.35 if tested else 0.15,
                )
            )
            parts.append(text(70 + width * (fold + 0.5), top + 15, "test" if tested else "learn", "middle"))
    top = 34 + 28 * folds
    parts += [box(1, top - 9, 12, 12, BLUE, 0.15), text(18, top + 1, "maps are selected, classifiers fitted")]
    parts += [
        box(1, top + 9, 12, 12, ORANGE, 0.35),
        text(18, top + 19, "nothing is decided here, only tested"),
    ]
    label = (
        f"{folds} rounds. In round 1 maps are selected and classifiers fitted on folds 2 to {folds}, and fold 1 is tested; "
        f"in each round another fold is. Together all {number(clips)} clips are tested once."
    )
    return picture(parts, top + 26, label, "drawing")


def ignoring_drawing(network: Network, layer: str) -> str:
    """Draw one layer and the next: with all maps, with maps that are ignored, and with the same maps' filters removed.

    Parameters
    ----------
    network : Network
    layer : str
        One that has a next.
    """
    names = list(network.layers)
    following = names[names.index(layer) + 1]
    kept, column = (0, 2, 3), (PHONE - 4) / 3
    parts = [text(2, 30, f"filters of {layer}")]
    ways = {"all maps": (True, True), "ignored": (True, False), "removed": (False, False)}
    for place, (way, (computed, read)) in enumerate(ways.items()):
        left = 2 + column * place
        parts.append(text(left + column / 2 - 4, 12, way, "middle", "bold"))
        for row in range(5):
            y, stays = 49 + 26 * row, row in kept
            if stays or computed:
                parts.append(box(left, y - 9, 30, 18, BLUE, 0.3 if stays or read else 0.08))
                parts.append(line(f"M{left + 30:g} {y}L{left + 68:g} 66", BLUE, 1))
            else:
                parts.append(line(f"M{left:g} {y - 9}h30v18h-30z", GREY, 1, "2 3"))
            if stays or read:
                parts.append(line(f"M{left + 30:g} {y}L{left + 68:g} 134", ORANGE, 1))
        parts += [box(left + 68, 54, 36, 24, BLUE), text(left + 86, 70, following, "middle")]
        parts += [box(left + 68, 122, 36, 24, ORANGE), text(left + 86, 138, "class", "middle")]
    below = (
        ("all are computed", "and read by both"),
        ("still computed,", "next layer reads it"),
        ("not computed,", "read by nobody"),
    )
    for place, lines in enumerate(below):
        middle = 2 + column * place + column / 2 - 4
        parts += [text(middle, 184 + 14 * row, said, "middle") for row, said in enumerate(lines)]
    label = (
        f"Filters of {layer}, the next layer {following} and the classifier. With all maps both read every map. Ignored: the "
        f"classifier does not read some maps; they are computed still, and {following} reads them. Removed: their filters are "
        f"gone, and neither {following} nor the classifier has anything to read of them."
    )
    return picture(parts, 206, label, "drawing")


def number(n: int) -> str:
    """Return a count as prose shows it."""
    return format_value(int(n), ",d")


def wave(x: float, width: float, middle: float, height: float, steps: int) -> str:
    """Return the path of a sound that dies away."""
    places = np.linspace(0, 1, steps)
    values = middle + height * np.exp(-2 * places) * (-1) ** np.arange(steps)
    return " ".join(
        f"L{x + width * place:.1f} {value:.1f}" for place, value in zip(places, values, strict=True)
    )


def _layer(name: str, maps: int, positions: list[int]) -> str:
    return f"{name}: {number(maps)} maps, {' × '.join(map(number, positions))} positions"


def _kind(network: Network, stage: str) -> str:
    """Return what a module does, in a word."""
    module = network.get_submodule(stage)
    known = {
        "ReLU": "ReLU",
        "MaxPool1d": "pooling",
        "MaxPool2d": "pooling",
        "Conv1d": "filters",
        "Conv2d": "filters",
    }
    return (
        "batch norm" if isinstance(module, NORMS) else known.get(type(module).__name__, type(module).__name__)
    )
