"""The ``dha fetch`` commands: what is downloaded, and where to.

Heavy modules are imported by the command that needs them.
"""

from pathlib import Path
from typing import Annotated

import typer

fetch = typer.Typer(no_args_is_help=True, help="Download the weights, or a published data set.")

Root = Annotated[
    Path | None,
    typer.Option(help="Folder to fetch into; default $DHA_DATA, else 'dha' in your folder for user data."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and its size, and stop.")]


@fetch.command()
def weights() -> None:
    """Download SoundNet-8, check and convert it.

    Does nothing if it is there already.
    """
    from dha_utils.weights import fetch_weights

    typer.echo(str(fetch_weights()))


@fetch.command()
def esc10(root: Root = None, dry_run: DryRun = False) -> None:
    """Download ESC-10: 400 clips, 10 classes (CC BY 3.0).

    Goes on where it was interrupted, checks every file, does nothing if all are there.
    """
    _fetch("esc10", root, dry_run)


@fetch.command()
def esc50(root: Root = None, dry_run: DryRun = False) -> None:
    """Download ESC-50: 2000 clips, 50 classes (CC BY-NC 3.0).

    Goes on where it was interrupted, checks every file, does nothing if all are there.
    """
    _fetch("esc50", root, dry_run)


@fetch.command()
def dcase2016(root: Root = None, dry_run: DryRun = False) -> None:
    """Download TUT Acoustic Scenes 2016: 1560 clips, 15 scenes.

    Development and evaluation set, for non-commercial use (EULA). Goes on where it was interrupted, checks every file, does
    nothing if all are there.
    """
    _fetch("dcase2016", root, dry_run)


def _fetch(name: str, root: Path | None, dry_run: bool) -> None:
    from dha_utils.datasets.fetch import fetch_dataset, plan

    if dry_run:
        typer.echo("\n".join(plan(name, root)))
        return
    for folder in fetch_dataset(name, root):
        typer.echo(str(folder))
