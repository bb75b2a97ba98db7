"""The ``dha`` command.

Exit code 0 means done; an error is one line on stderr (code 1; 2 for a wrong command line, 130 for Ctrl-C and SIGTERM).
Modules that take long to import are imported by the command that needs them.
"""

import signal
from importlib.metadata import version
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from dha_utils.book.parameters import BOOK, PARAMETERS
from dha_utils.cli.grid import grid
from dha_utils.cli.options import (
    Dataset,
    Force,
    OwnNetwork,
    Pairs,
    Root,
    Scheduler,
    SkipBad,
    Thorough,
    Workers,
    collect_parameters,
)
from dha_utils.cli.prune import predict, prune
from dha_utils.cli.sounds import bundle, extract, fetch, inspect
from dha_utils.core.errors import DhaError, FetchError
from dha_utils.core.formats import printable
from dha_utils.core.surroundings import fault_of_machine

UsageError = typer.BadParameter.__base__
"""Of a wrong command line; Typer has no name for it."""


class OneLineErrors(TyperGroup):
    """Print what is meant for the user in one line, without a traceback; let everything else through."""

    def make_context(self, *args, **kwargs):
        """Read what stands before the command."""
        try:
            return super().make_context(*args, **kwargs)
        except UsageError as error:
            self.explain(error)

    def invoke(self, ctx):
        """Run the command; a request to end is taken as Ctrl-C is."""
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except UsageError as error:
            self.explain(error)
        except DhaError as error:
            typer.echo(f"dha: {printable(str(error))}", err=True)
            raise typer.Exit(1) from error
        except (OSError, ImportError) as error:
            if (said := fault_of_machine(error)) is None:
                raise
            typer.echo(f"dha: {printable(said)}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo("\ndha: interrupted", err=True)  # ends the progress line that was interrupted
            raise typer.Exit(130) from error
        finally:
            signal.signal(signal.SIGTERM, before)

    def explain(self, error):
        """End with one line on a wrong command line, or with the help where there was none."""
        if type(error).show is not UsageError.show:
            raise error
        message = error.format_message().rstrip(".")
        typer.echo(f"dha: {message}; see `{error.ctx.command_path} --help`", err=True)
        raise typer.Exit(2) from error


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
)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dha {version('dha-companion')}")
        raise typer.Exit


@app.callback()
def before(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_say_version, is_eager=True, help="Say which this is, and stop."),
    ] = False,
) -> None:
    """Companion to Deep Hidden Analysis: find feature maps that are redundant, and do without them."""


app.command(no_args_is_help=True)(fetch)
for command in (extract, inspect, bundle, grid, prune, predict):
    app.command()(command)


@app.command(cls=PairedParameters)
def run(
    dataset: Dataset = None,
    network: OwnNetwork = None,
    root: Root = None,
    skip_bad: SkipBad = False,
    pairs: Pairs = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NN", help="Run only this one; repeatable.")
    ] = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    full: Annotated[bool, typer.Option("--full", help=PARAMETERS["full"].help + ".")] = False,
    thorough: Thorough = False,
    force: Force = False,
) -> None:
    """Run the notebooks that are out of date.

    In order, through papermill, into book/executed/DATASET; they write to results. If no data set is named, on those of the
    book. With a network of your own those that can be asked of it, into networks/FILE of both folders.
    """
    from dha_utils.book.runner import run_notebooks

    given = collect_parameters(
        pairs,
        dataset=dataset,
        network=network,
        root=root,
        skip_bad=skip_bad or None,
        workers=workers,
        scheduler=scheduler,
        full=full or None,
    )
    if not given.get("network"):
        provide_weights(given)
    run_notebooks(given, only=only or (), force=force, thorough=thorough)


@app.command(cls=PairedParameters)
def book(
    dataset: Dataset = None,
    root: Root = None,
    skip_bad: SkipBad = False,
    pairs: Pairs = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    thorough: Thorough = False,
    force: Force = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also print it all into build/book.pdf, with Chromium.")
    ] = False,
) -> None:
    """Run the notebooks and build the book.

    Does again only what is out of date. With a data set, a book of that one, in build/books/DATASET.
    """
    from dha_utils.book import printed
    from dha_utils.book.build import build_book
    from dha_utils.book.runner import run_notebooks
    from dha_utils.core.paths import out_dir, require_writable

    require_writable(out_dir() / "build")
    if pdf:
        printed.find_chromium()
    given = collect_parameters(
        pairs, dataset=dataset, root=root, skip_bad=skip_bad or None, workers=workers, scheduler=scheduler
    )
    provide_weights(given)
    run_notebooks(given, force=force, thorough=thorough)
    index = build_book(given.get("dataset", ""), force=force)
    if pdf:
        typer.echo(printed.print_book(index))


@app.command()
def check(
    dataset: Annotated[str, typer.Argument(help=f"{' or '.join(BOOK)}; default all.")] = "",
    write_reference: Annotated[
        bool, typer.Option("--write-reference", help="Make this run's numbers the reference.")
    ] = False,
) -> None:
    """Compare the headline numbers to the reference.

    Runs all notebooks afresh from the bundled artifacts, in a temporary folder, and computes a sample of the
    bundled sweep anew. Exit code 1 and a table if a number has moved by more than its tolerance.
    """
    from dha_utils.book.check import check as compare_with_reference

    if not compare_with_reference(dataset, write_reference=write_reference):
        raise typer.Exit(1)


def provide_weights(parameters: dict[str, object]) -> None:
    """Fetch the weights before the notebooks run, where their pages would show the download.

    Without audio the bundled artifacts do without weights, so a failure is then only mentioned.
    """
    from dha_utils.core.paths import data_dir
    from dha_utils.networks.weights import fetch_weights

    try:
        fetch_weights()
    except FetchError as error:
        if parameters.get("root") or data_dir():
            raise
        typer.echo(f"dha: {error}\ndha: going on with the bundled artifacts, which need no weights", err=True)
