"""Pictures that a page holds as they are: SVG written by hand, whose text takes the page's colour, in light and in dark.

They are read point for pixel on a telephone, where a page is 340 px wide, and larger elsewhere; so no text is smaller than 11.
"""

from html import escape

BLUE, GREY, ORANGE = "#1c7fc4", "#808080", "#cf6a00"
"""At least 3:1 on white and on the page's dark."""

PHONE = 340
"""px; the width of a page on a telephone."""


def text(x: float, y: float, said: str, anchor: str = "start", weight: str = "normal", size: int = 11) -> str:
    """Return a line of text at a place; `anchor` is the end of it that is there."""
    return (
        f'<text x="{x:g}" y="{y:g}" fill="currentColor" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(said)}</text>'
    )


def box(x: float, y: float, width: float, height: float, colour: str = GREY, filled: float = 0.2) -> str:
    """Return a rectangle with a line around it; `filled` is how much of its colour is in it."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="2" fill="{colour}" fill-opacity="{filled:g}" '
        f'stroke="{colour}" stroke-width="1.2"/>'
    )


def line(path: str, colour: str = "currentColor", width: float = 1.2, dash: str = "none") -> str:
    """Return a line, its path as SVG writes it."""
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-dasharray="{dash}"/>'
    )


def arrow(x: float, y: float, to_x: float, to_y: float, colour: str = "currentColor") -> str:
    """Return an arrow that points right or down."""
    head = "l-4 -3m4 3l-4 3" if to_x > x else "l-3 -4m3 4l3 -4"
    return line(f"M{x:g} {y:g}L{to_x:g} {to_y:g}{head}", colour)


def dot(x: float, y: float, colour: str = ORANGE, radius: float = 4) -> str:
    """Return a filled circle."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}"/>'


def picture(parts: list[str], height: float, label: str, kind: str, width: float = PHONE) -> str:
    """Return the whole; `label` says what is seen to those who do not see it, `kind` is its class on the page."""
    return (
        f'<svg class="{kind}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(label)}" font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )
