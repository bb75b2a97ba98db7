"""The commands ``dha prune`` and ``dha predict``: a smaller network made, and put to use."""

from pathlib import Path
from typing import Annotated

import typer

from dha_utils.book.parameters import check_value
from dha_utils.cli.options import OwnNetwork, Root


def prune(
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="File to write, NAME.safetensors; its companions go beside it."),
    ],
    dataset: Annotated[
        str, typer.Argument(help="The sounds to learn from, as for `dha run --dataset`.")
    ] = "esc10",
    criterion: Annotated[
        str,
        typer.Option(
            help="What orders the filters, one of dha.CRITERIA: explained_variance, anova, l1, psnet, ..."
        ),
    ] = "explained_variance",
    keep: Annotated[
        str,
        typer.Option(
            help="Fraction of the computation that is kept, or maps per layer: 16-32-41-56-88-235-59."
        ),
    ] = "0.35",
    compensation: Annotated[
        str, typer.Option(help="removed, recalibrated, merged or refitted.")
    ] = "refitted",
    root: Root = None,
    network: OwnNetwork = None,
    rate: Annotated[int | None, typer.Option(help="Sampling rate in Hz; default the network's.")] = None,
    seed: Annotated[int, typer.Option(help="Of criteria that draw.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Make a smaller network and its classifiers from all clips of a data set.

    All clips are training clips here; what such a network loses on clips that it has not seen is on the book's page on
    the frontier. Writes NAME.safetensors (the network), and beside it its classifiers and the network in the formats of
    others; says of each file what it holds.
    """
    if rate is not None:
        check_value("rate", rate)
    from dha_utils.pruning.compressor import Trial
    from dha_utils.studies.product import make_product

    trial = Trial(criterion, keep, compensation, seed)
    lines = make_product(trial, dataset, output, root=root, rate=rate, of=network, force=force)
    typer.echo("\n".join(lines))


def predict(
    model: Annotated[
        Path, typer.Argument(help="NAME.safetensors of `dha prune`, with NAME.skops beside it.")
    ],
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to print for each file, best first.")] = 3,
) -> None:
    """Say what is heard in sound files: the class, its score and the next ones, and how long it took."""
    from dha_utils.core.errors import DhaError
    from dha_utils.networks.registry import read_network
    from dha_utils.pruning.export import load_ensemble, predict

    network, metadata = read_network(model)
    ensemble = load_ensemble(model.with_suffix(".skops"))
    failed = 0
    for said in predict(network, metadata, ensemble, files):
        if isinstance(said, DhaError):
            typer.echo(f"dha: {said}", err=True)
            failed += 1
            continue
        scores = "  ".join(f"{label} {score:.3f}" for label, score in said.top(top))
        times = ", ".join(f"{step} {1000 * seconds:.0f} ms" for step, seconds in said.seconds.items())
        typer.echo(f"{said.path}: {scores}  ({times})")
    if failed:
        raise typer.Exit(1)
