"""The ``dha`` command.

Exit code 0 means done; an error is one line on stderr (code 1; 2 for a wrong command line, 130 for Ctrl-C).
Modules that take long to import are imported by the command that needs them.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from dha_utils.cli_fetch import fetch
from dha_utils.cli_grid import grid
from dha_utils.cli_options import (
    Channel,
    DataArgument,
    Dataset,
    Force,
    Pairs,
    Root,
    Scheduler,
    SkipBad,
    Workers,
    collect_parameters,
    parse_duration,
)
from dha_utils.cli_prune import predict, prune
from dha_utils.errors import DataError, DhaError, FetchError
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
app.add_typer(fetch, name="fetch")
app.command()(grid)
app.command()(prune)
app.command()(predict)


@app.command()
def extract(
    dataset: DataArgument,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            help="File to write (safetensors), or, ending in /, a folder: a store of blocks.",
        ),
    ],
    root: Root = None,
    rate: Annotated[int, typer.Option(help="Sampling rate in Hz.")] = 22050,
    duration: Annotated[
        str | None,
        typer.Option(
            help="Seconds that every clip is padded or cut to, by default 30 for DCASE-16, else 5; 'whole' for each one's "
            "own length."
        ),
    ] = None,
    channel: Channel = "mean",
    skip_bad: SkipBad = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per forward pass; changes no result.")] = 8,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads, or local processes; default one per core.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of a Dask scheduler, or 'local': processes of this machine, the default for a folder; for a file the "
            "default is threads.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
) -> None:
    """Compute the pooled responses to all clips.

    For all 15 taps of SoundNet-8. A run that was killed goes on where it stopped. Long recordings take no
    more memory than short ones.
    """
    check_value("rate", rate)
    check_value("channel", channel)
    import dha_utils
    from dha_utils.cluster import connect
    from dha_utils.datasets import default_duration
    from dha_utils.hardware import choose_device, choose_precision
    from dha_utils.inspection import usable_clips

    seconds = default_duration(dataset) if duration is None else parse_duration(duration)
    place = choose_device(device)  # before all files are read
    choose_precision(precision)
    is_store = output.endswith("/") or Path(output).is_dir()
    if scheduler is None and is_store and place.type == "cpu":
        scheduler = "local"
    with connect(scheduler, workers) if scheduler else nullcontext() as client:
        scheduler = client and client.scheduler.address  # one cluster for both steps
        clips = usable_clips(
            dha_utils.load_clips(dataset, root, allow_missing=skip_bad),
            skip_bad=skip_bad,
            workers=workers,
            scheduler=scheduler,
        )
        options = {
            "rate": rate, "duration": seconds, "channel": channel, "batch_size": batch_size, "workers": workers,
            "scheduler": scheduler, "device": device, "precision": precision,
        }  # fmt: skip
        if is_store:
            dha_utils.extract_to_store(clips, output, **options)
        else:
            dha_utils.extract_responses(clips, out=output, **options)
    typer.echo(f"{len(clips)} clips: {output}")


@app.command()
def inspect(dataset: DataArgument, root: Root = None) -> None:
    """Say what is wrong with a set of clips.

    Missing and unreadable files, the same content twice, mixed rates, classes that are too small. Exit code 1 if clips cannot
    be used.
    """
    from dha_utils.datasets import load_clips
    from dha_utils.inspection import inspect_clips

    report = inspect_clips(load_clips(dataset, root, allow_missing=True))
    typer.echo("\n".join(report.lines()))
    if report.faults:
        raise DataError(
            f"{len(report.faults)} of the {len(report.clips)} clips of {report.clips.name} cannot be used"
        )


@app.command()
def bundle(
    dataset: DataArgument,
    root: Root = None,
) -> None:
    """Compute the artifacts under data/ from audio.

    The book is built from them where there is no audio.
    """
    from dha_utils.datasets import load_clips
    from dha_utils.examples import compute_examples
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
    examples = compute_examples(clips, rate=NATIVE_RATE, duration=5.0)
    examples.save(folder / f"examples_{NATIVE_RATE}.safetensors")
    with atomic_write(folder / "provenance.json") as temporary:
        temporary.write_text(provenance_json(inputs), encoding="utf-8")
    typer.echo(f"{len(clips)} clips: {folder}")


@app.command(cls=PairedParameters)
def run(
    dataset: Dataset = None,
    root: Root = None,
    skip_bad: SkipBad = False,
    pairs: Pairs = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NN", help="Run only this one; repeatable.")
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    full: Annotated[bool, typer.Option("--full", help=PARAMETERS["full"].help + ".")] = False,
    force: Force = False,
) -> None:
    """Run the notebooks that are out of date.

    In order, through papermill, into book/executed; they write to results.
    """
    from dha_utils.runner import run_notebooks

    given = collect_parameters(
        pairs,
        dataset=dataset,
        root=root,
        skip_bad=skip_bad or None,
        workers=workers,
        scheduler=scheduler,
        full=full or None,
    )
    provide_weights(given)
    run_notebooks(given, only=only or (), force=force)


@app.command(cls=PairedParameters)
def book(
    dataset: Dataset = None,
    root: Root = None,
    skip_bad: SkipBad = False,
    pairs: Pairs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    force: Force = False,
) -> None:
    """Run the notebooks and build the book.

    Does again only what is out of date.
    """
    from dha_utils.book import build_book
    from dha_utils.runner import run_notebooks

    given = collect_parameters(
        pairs, dataset=dataset, root=root, skip_bad=skip_bad or None, workers=workers, scheduler=scheduler
    )
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

    Runs all notebooks afresh from the bundled artifacts, in a temporary folder, and computes a sample of the
    bundled sweep anew. Exit code 1 and a table if a number has moved by more than its tolerance.
    """
    from dha_utils.check import check as compare_with_reference

    if not compare_with_reference(write_reference=write_reference):
        raise typer.Exit(1)


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
