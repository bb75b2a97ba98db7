"""A drawing as small as it can be without looking different: what Matplotlib writes as SVG, in fewer bytes.

A drawing is shown point for pixel, so coordinates need no more than hundredths.
"""

import base64
import io
import re
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

INHERITED = (
    "fill", "fill-opacity", "fill-rule", "stroke", "stroke-opacity", "stroke-width", "stroke-linecap", "stroke-linejoin",
)  # fmt: skip
"""Properties that marks take from the group around them."""

COLOURS = 256
"""That an image with a palette can have; one that was drawn with a colour map has no more."""


def compact(svg: str) -> str:
    """Return an SVG of Matplotlib's in fewer bytes: it looks the same.

    Coordinates are rounded to hundredths; an image of up to `COLOURS` colours gets a palette; what the marks of a curve or the
    texts of a drawing have in common is said once; names that nothing refers to, remarks and metadata go.
    """
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>", "", svg, flags=re.S)
    named = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = _in_attributes(svg, "id", lambda name: name if name in named else None)
    svg = _in_attributes(svg, "(?:xlink:)?href", lambda link: _with_palette(link) if link[0] == "d" else link)
    svg = _in_attributes(svg, "x|y|width|height", _rounded)
    svg = _in_attributes(svg, "d", lambda path: re.sub(r"\s*([A-Za-z])\s*", r"\1", _rounded(path)).strip())
    svg = _in_attributes(svg, "transform", _moved)
    svg = re.sub(r"<g( [^<>]*)?>((?:\s*<use [^<>]*/>)+)\s*</g>", _share_style, svg)
    svg = _share_font(svg)
    return re.sub(r">\s*\n\s*<", ">\n<", svg).strip() + "\n"


def _in_attributes(svg: str, name: str, change: Callable[[str], str | None]) -> str:
    """Change all attributes of a name; None takes one away."""

    def changed(match: re.Match) -> str:
        value = change(match["value"])
        return "" if value is None else f' {match["name"]}="{value}"'

    return re.sub(rf'(?<=[\w"])\s+(?P<name>{name})="(?P<value>[^"]*)"', changed, svg)


def _rounded(text: str) -> str:
    def hundredths(match: re.Match) -> str:
        return np.format_float_positional(round(float(match[0]), 2) + 0.0, trim="-")

    return re.sub(r"-?\d+\.\d+(?:e-?\d+)?", hundredths, text)


def _moved(transform: str) -> str | None:
    """Round where something is moved or turned around; leave scales, whose digits count, and say nothing of no turn."""
    if re.fullmatch(r"rotate\(-?0 [^)]*\)", transform):
        return None
    return re.sub(r"(?:translate|rotate)\([^)]*\)", lambda match: _rounded(match[0]), transform)


def _with_palette(link: str) -> str:
    """Return an embedded PNG with a palette in the order of the colour map, so that neighbours differ by small numbers."""
    kind, _, data = link.partition("base64,")
    drawn = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
    colours, which = np.unique(np.frombuffer(drawn.tobytes(), np.uint32), return_inverse=True)
    if len(colours) > COLOURS:
        return link
    colours = colours.view(np.uint8).reshape(-1, 4)
    red, green, blue = colours[:, :3].astype(int).T
    tried = [_png(colours, which, drawn.size, along) for along in (2 * red + 4 * green + blue, red - blue)]
    return f"{kind}base64,{base64.b64encode(min(tried, key=len)).decode()}"


def _png(colours: np.ndarray, which: np.ndarray, size: tuple[int, int], along: np.ndarray) -> bytes:
    """Write a PNG whose palette is sorted; Pillow filters rows only of grey images, so this is one that gets a palette."""
    order = np.argsort(along, kind="stable")
    grey = np.argsort(order).astype(np.uint8)[which]
    Image.frombytes("L", size, grey.tobytes()).save(file := io.BytesIO(), "PNG", optimize=True)
    written = file.getvalue()
    header = written[16:25] + b"\x03" + written[26:29]  # colour type: palette
    chunks = _chunk(b"IHDR", header) + _chunk(b"PLTE", colours[order, :3].tobytes())
    if (colours[:, 3] < 255).any():
        chunks += _chunk(b"tRNS", colours[order, 3].tobytes())
    return written[:8] + chunks + written[33:]


def _chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4) + name + content + zlib.crc32(name + content).to_bytes(4)


def _share_style(group: re.Match) -> str:
    """Give a group the style that all marks in it have, if it is one that they would inherit."""
    attributes, marks = group[1] or "", group[2]
    styles = re.findall(r' style="([^"]*)"', marks)
    names = {part.partition(":")[0].strip() for part in styles[0].split(";")} if styles else {""}
    if (
        len(styles) != marks.count("<use")
        or len({*styles}) > 1
        or "style=" in attributes
        or not names <= {*INHERITED}
    ):
        return group[0]
    marks = marks.replace(f' style="{styles[0]}"', "")
    return f'<g{attributes} style="{styles[0]}">{marks}\n</g>'


def _share_font(svg: str) -> str:
    """Say once in which font a drawing is written, if it is in one."""
    fonts = {*re.findall(r"font-family: ([^;\"]+)", svg)}
    if len(fonts) != 1:
        return svg
    (font,) = fonts
    svg = re.sub(r"font-family: [^;\"]+(?:; )?", "", svg)
    return svg.replace("<svg", f'<svg font-family="{font}"', 1)
