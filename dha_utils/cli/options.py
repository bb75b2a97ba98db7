"""Options that several ``dha`` commands share, and what is read from the text of an option."""

import json
from typing import Annotated

import typer

from dha_utils.book.parameters import PARAMETERS, check_value
from dha_utils.core.errors import ParameterError, point_hint
from dha_utils.datasets import DATASETS

Dataset = Annotated[str | None, typer.Option(help=PARAMETERS["dataset"].help + ".")]
DataArgument = Annotated[
    str,
    typer.Argument(help=f"A name ({', '.join(DATASETS)}), a folder of classes, or a CSV/TSV table."),
]
Root = Annotated[str | None, typer.Option(help="Folder that holds the audio; default $DHA_DATA.")]
Rate = Annotated[int, typer.Option(help="Sampling rate in Hz.")]
Channel = Annotated[str, typer.Option(help=PARAMETERS["channel"].help + ": mean, left or right.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help=PARAMETERS["skip_bad"].help + ".")]
Pairs = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="NAME VALUE", help=f"Set a notebook parameter: {', '.join(PARAMETERS)}."),
]
Workers = Annotated[int | None, typer.Option(help=PARAMETERS["workers"].help + ".")]
OwnNetwork = Annotated[
    str | None,
    typer.Option("--network", metavar="NAME", help=PARAMETERS["network"].help + "."),
]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help=PARAMETERS["scheduler"].help + ".")]
Thorough = Annotated[
    bool,
    typer.Option(
        "--thorough",
        help="On sounds of your own: the protocol's classifier and all draws (hours); default: minutes.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run also what is up to date.")]


def parse_number(text: str) -> float:
    """Return the number that a text is; raise a line that says how to write it."""
    try:
        return float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no number, such as 0.35{point_hint(text)}") from error


def parse_duration(text: str) -> float | None:
    """Return seconds, or None for ``whole``; raise a ParameterError for anything else.

    >>> parse_duration("2.5"), parse_duration("whole")
    (2.5, None)
    """
    if text.lower() == "whole":
        return None
    value = parse_value(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(
            f"duration is {text!r}, expected seconds, such as 5, or 'whole'{point_hint(text)}"
        )
    return check_value("duration", value)


def collect_parameters(pairs: list[str] | None, **options: object) -> dict[str, object]:
    """Return notebook parameters by name from ``NAME=VALUE`` pairs and from options that are not None.

    Raises
    ------
    ParameterError
        If a name is given twice.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for pair in pairs or []:
        name, _, text = pair.partition("=")
        if name in given:
            raise ParameterError(f"parameter {name} is given twice: {given[name]!r} and {text!r}")
        given[name] = parse_value(text)
    return given


def parse_value(text: str) -> object:
    """Return a number, true, false, null or a JSON list for text that reads so, else the text itself.

    Examples
    --------
    >>> [parse_value(text) for text in ("22050", "1e-3", "True", "null", "[22050, 44100]", "esc10")]
    [22050, 0.001, True, None, [22050, 44100], 'esc10']
    """
    words = {"true": True, "false": False, "null": None, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for parse in (int, float, json.loads):
        try:
            return parse(text)
        except ValueError:
            pass
    return text
