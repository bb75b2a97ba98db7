"""The ``dha`` command.

Exit code 0 means done; an error is one line on stderr (code 1; 2 for a wrong command line, 130 for Ctrl-C).
Modules that take long to import are imported by the command that needs them.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from dha_utils.errors import DhaError, FetchError, ParameterError
from dha_utils.parameters import PARAMETERS, check_value


class OneLineErrors(TyperGroup):
    """Print what is meant for the user without a traceback; let everything else through."""

    def invoke(self, ctx):
        """Run the command."""
        try:
            return super().invoke(ctx)
        except DhaError as error:
            typer.echo(f"dha: {error}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("\ndha: interrupted", err=True)  # ends the progress line that was interrupted
            raise typer.Exit(130) from error


class PairedParameters(TyperCommand):
    """Accept papermill's ``-p NAME VALUE``; Typer has no repeatable option with two values."""

    def parse_args(self, ctx, args):
        """Join every ``-p NAME VALUE`` to ``-p NAME=VALUE``."""
        joined = []
        rest = iter(args)
        for arg in rest:
            joined.append(arg)
            if arg == "-p":
                pair = [next(rest, None), next(rest, None)]
                if None in pair:
                    raise typer.BadParameter("-p needs a name and a value: -p keep 0.11", ctx)
                joined.append("=".join(pair))
        return super().parse_args(ctx, joined)


app = typer.Typer(
    cls=OneLineErrors,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Companion to Deep Hidden Analysis: which feature maps of SoundNet are redundant?",
)
fetch = typer.Typer(no_args_is_help=True, help="Download what the notebooks need.")
app.add_typer(fetch, name="fetch")

Dataset = Annotated[str | None, typer.Option(help=PARAMETERS["dataset"].help + ".")]
Pairs = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="NAME VALUE", help=f"Set a notebook parameter: {', '.join(PARAMETERS)}."),
]
Workers = Annotated[int | None, typer.Option(help=PARAMETERS["workers"].help + ".")]
Force = Annotated[bool, typer.Option("--force", help="Run also what is up to date.")]


@fetch.command()
def weights() -> None:
    """Download SoundNet-8, check and convert it.

    Does nothing if it is there already.
    """
    from dha_utils.weights import fetch_weights

    typer.echo(str(fetch_weights()))


@app.command()
def extract(
    dataset: Annotated[str, typer.Argument(help="'esc10', or a folder with one subfolder per class.")],
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="File to write (safetensors), or, ending in /, a folder: a store of blocks.",
        ),
    ],
    root: Annotated[str | None, typer.Option(help="Folder that holds the audio; default $DHA_DATA.")] = None,
    rate: Annotated[int, typer.Option(help="Sampling rate in Hz.")] = 22050,
    duration: Annotated[
        str,
        typer.Option(help="Seconds that every clip is padded or cut to; 'whole' for each one's own length."),
    ] = "5",
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per forward pass; changes no result.")] = 4,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; default one per core.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
) -> None:
    """Compute the pooled responses to all clips.

    For all 15 taps of SoundNet-8. A run that was killed goes on where it stopped. Long recordings take no
    more memory than short ones.
    """
    check_value("rate", rate)
    seconds = parse_duration(duration)
    import dha_utils

    clips = dha_utils.load_clips(dataset, root)
    options = {
        "rate": rate, "duration": seconds, "batch_size": batch_size, "workers": workers, "device": device,
        "precision": precision,
    }  # fmt: skip
    if output.endswith("/") or Path(output).is_dir():
        dha_utils.extract_to_store(clips, output, **options)
    else:
        dha_utils.extract_responses(clips, out=output, **options)
    typer.echo(f"{len(clips)} clips: {output}")


@app.command()
def bundle(
    dataset: Annotated[str, typer.Argument(help="'esc10', or a folder with one subfolder per class.")],
    root: Annotated[str | None, typer.Option(help="Folder that holds the audio; default $DHA_DATA.")] = None,
) -> None:
    """Compute the artifacts under data/ from audio.

    The book is built from them where there is no audio.
    """
    from dha_utils.datasets import load_clips
    from dha_utils.inputs import BUNDLED_RATES, compute_inputs, provenance_json
    from dha_utils.paper import KEEP
    from dha_utils.paths import atomic_write, bundled
    from dha_utils.scores import bundle_scores
    from dha_utils.soundnet import NATIVE_RATE

    clips = load_clips(dataset, root)
    inputs = compute_inputs(clips, BUNDLED_RATES, duration=5.0)
    folder = bundled(clips.name)
    inputs.save(folder)
    bundle_scores(clips, folder, rate=NATIVE_RATE, duration=5.0, keep=KEEP)
    with atomic_write(folder / "provenance.json") as temporary:
        temporary.write_text(provenance_json(inputs), encoding="utf-8")
    typer.echo(f"{len(clips)} clips: {folder}")


@app.command(cls=PairedParameters)
def run(
    dataset: Dataset = None,
    pairs: Pairs = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NN", help="Run only this one; repeatable.")
    ] = None,
    workers: Workers = None,
    full: Annotated[bool, typer.Option("--full", help=PARAMETERS["full"].help + ".")] = False,
    force: Force = False,
) -> None:
    """Run the notebooks that are out of date.

    In order, through papermill, into book/executed; they write to results.
    """
    from dha_utils.runner import run_notebooks

    given = collect_parameters(pairs, dataset=dataset, workers=workers, full=full or None)
    provide_weights(given)
    run_notebooks(given, only=only or (), force=force)


@app.command(cls=PairedParameters)
def book(dataset: Dataset = None, pairs: Pairs = None, workers: Workers = None, force: Force = False) -> None:
    """Run the notebooks and build the book.

    Does again only what is out of date.
    """
    from dha_utils.book import build_book
    from dha_utils.runner import run_notebooks

    given = collect_parameters(pairs, dataset=dataset, workers=workers)
    provide_weights(given)
    run_notebooks(given, force=force)
    build_book(force=force)


@app.command()
def check(
    write_reference: Annotated[
        bool, typer.Option("--write-reference", help="Make this run's numbers the reference.")
    ] = False,
) -> None:
    """Compare the headline numbers to the reference.

    Runs all notebooks afresh from the bundled artifacts, in a temporary folder. Exit code 1 and a table if
    a number has moved by more than its tolerance.
    """
    from dha_utils.check import check as compare_with_reference

    if not compare_with_reference(write_reference=write_reference):
        raise typer.Exit(1)


def parse_duration(text: str) -> float | None:
    """Return seconds, or None for ``whole``; raise a ParameterError for anything else.

    >>> parse_duration("2.5"), parse_duration("whole")
    (2.5, None)
    """
    if text.lower() == "whole":
        return None
    value = parse_value(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(f"duration is {text!r}, expected seconds, such as 5, or 'whole'")
    return check_value("duration", value)


def provide_weights(parameters: dict[str, object]) -> None:
    """Fetch the weights before the notebooks run, where their pages would show the download.

    Without audio the bundled artifacts do without weights, so a failure is then only mentioned.
    """
    from dha_utils.paths import data_dir
    from dha_utils.weights import fetch_weights

    try:
        fetch_weights()
    except FetchError as error:
        if parameters.get("root") or data_dir():
            raise
        typer.echo(f"dha: {error}\ndha: going on with the bundled artifacts, which need no weights", err=True)


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
