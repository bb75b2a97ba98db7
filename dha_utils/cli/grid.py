"""The ``dha grid`` command."""

from typing import Annotated

import typer

from dha_utils.book.given import given, is_own
from dha_utils.book.parameters import PARAMETERS, check_value
from dha_utils.cli.options import Rate, Root, SkipBad, Thorough, parse_number
from dha_utils.core.announcements import duration as in_time


def grid(
    datasets: Annotated[
        list[str], typer.Argument(help="Names, folders of classes, or CSV/TSV tables, one or several.")
    ],
    criterion: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this one; repeatable. Default: all.")
    ] = None,
    keep: Annotated[
        list[float],
        typer.Option(parser=parse_number, metavar="FLOAT", help=PARAMETERS["keep"].help + "; repeatable."),
    ] = [0.11],  # noqa: B006
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help=PARAMETERS["seeds"].help + "; default 20, of your own sounds fewer."),
    ] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=PARAMETERS["classifier"].help + "; default the protocol's, of your own sounds a faster one.",
        ),
    ] = None,
    thorough: Thorough = False,
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
        typer.Option(
            parser=parse_number,
            metavar="FLOAT",
            help="Seconds per clip; default those of what is kept, else 30 for DCASE-16 and 5.",
        ),
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
    """Evaluate data sets x criteria x fractions x seeds on Dask.

    On all cores of this machine, or on a cluster. Results go to results/DATASET, where the notebooks find them. What was killed
    goes on where it stopped.
    """
    asked = {"keep": keep, "rate": [rate], "duration": [duration]}
    asked |= {"classifier": [classifier]} if classifier else {}
    for name, values in asked.items():
        for value in values:
            check_value(name, value)
    import dha_utils
    from dha_utils.book.forecast import grid_seconds
    from dha_utils.criteria import CRITERIA
    from dha_utils.datasets.given import clips_at_hand
    from dha_utils.studies.grid import grid_cells, run_grid

    names = criterion or [name for name, c in CRITERIA.items() if c.scores_taps]
    cells, said = {}, []
    for dataset in datasets:
        own = is_own(dataset) and not thorough
        usual = {"classifier": "converging", "seeds": 20} | (given(dataset, "") if own else {})
        how = {"classifier": classifier or usual["classifier"], "seeds": seeds or usual["seeds"]}
        cells[dataset] = grid_cells(names, keep, controls=control or [""], **how)
        note = "those that are kept or bundled are not computed again"
        if is_own(dataset):
            clips = clips_at_hand(dataset, root, allow_missing=skip_bad)
            told = how | {"dataset": dataset, "duration": duration, "workers": workers}
            note = f"about {in_time(grid_seconds(cells[dataset], clips, told))}, without those that are kept"
        n = len(cells[dataset])
        said.append(f"grid: {n} cell{'s' * (n != 1)} on {dataset}, {how['classifier']}; {note}")
        if own and not (classifier and seeds):
            said.append(
                f"grid: {dataset} is your own: --thorough takes the protocol's classifier and 20 seeds"
            )
    typer.echo("\n".join(said))  # nothing is promised where one of the data sets cannot be used
    with dha_utils.workers(scheduler, workers):
        table = run_grid(
            cells,
            root=root,
            rate=rate,
            duration=duration,
            results=results,
            skip_bad=skip_bad,
            full=full,
        )
    typer.echo(table.to_string(index=False, float_format="{:.4f}".format))
