"""The ``dha grid`` command."""

from typing import Annotated

import typer

from dha_utils.book.parameters import PARAMETERS, check_value
from dha_utils.cli.options import Rate, Root, SkipBad


def grid(
    datasets: Annotated[
        list[str], typer.Argument(help="Names, folders of classes, or CSV/TSV tables, one or several.")
    ],
    criterion: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable. Default: all.")
    ] = None,
    keep: Annotated[list[float], typer.Option(help=PARAMETERS["keep"].help + "; repeatable.")] = [0.11],  # noqa: B006
    seeds: Annotated[int, typer.Option(min=1, help=PARAMETERS["seeds"].help + ".")] = 20,
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Instead of the plain selection: shuffled, leaky, ignored or perturbed; repeatable.",
        ),
    ] = None,
    rate: Rate = 22050,
    duration: Annotated[
        float | None,
        typer.Option(help="Seconds per clip; default those of what is kept, else 30 for DCASE-16 and 5."),
    ] = None,
    root: Root = None,
    skip_bad: SkipBad = False,
    results: Annotated[str | None, typer.Option(help=PARAMETERS["results"].help + ".")] = None,
    full: Annotated[bool, typer.Option("--full", help="Compute also what is bundled.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Local processes; default one per core.")] = None,
    scheduler: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, or 'local': processes of this machine."),
    ] = "local",
) -> None:
    """Evaluate data sets x criteria x fractions x seeds on a Dask cluster.

    Results go to results/DATASET, where the notebooks find them. What was killed goes on where it stopped.
    """
    for name, values in {"keep": keep, "rate": [rate], "duration": [duration]}.items():
        for value in values:
            check_value(name, value)
    import dha_utils
    from dha_utils.criteria import CRITERIA
    from dha_utils.studies.grid import grid_cells, run_grid

    cells = grid_cells(
        criterion or [name for name, c in CRITERIA.items() if c.needs != "activations"],
        keep,
        seeds,
        control or [""],
    )
    typer.echo(
        f"grid: {len(cells)} cells on {', '.join(datasets)}; those that are kept or bundled are not computed again"
    )
    with dha_utils.workers(scheduler, workers):
        table = run_grid(
            datasets,
            cells,
            root=root,
            rate=rate,
            duration=duration,
            results=results,
            skip_bad=skip_bad,
            full=full,
        )
    typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
