"""The ``dha`` commands that start from sound files: ``extract``, ``inspect`` and ``bundle``.

Heavy modules are imported by the command that needs them.
"""

from pathlib import Path
from typing import Annotated

import typer

from dha_utils.book.parameters import check_value
from dha_utils.cli.options import Channel, DataArgument, Rate, Root, SkipBad, parse_duration
from dha_utils.core.errors import DataError


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
    if Path(dataset).is_dir() and Path(output).resolve().is_relative_to(Path(dataset).resolve()):
        raise DataError(f"{output}: lies among the sounds of {dataset}; choose a place outside")
    import dha_utils
    from dha_utils.audio.inspection import usable_clips
    from dha_utils.core.hardware import choose_device, choose_precision
    from dha_utils.datasets import default_duration
    from dha_utils.networks.registry import outline
    from dha_utils.responses.extraction import probe_file
    from dha_utils.responses.store import claim_folder

    seconds = default_duration(dataset) if duration is None else parse_duration(duration)
    place = choose_device(device)  # before all files are read
    choose_precision(precision)
    shortest = outline(padding=padding).check_duration(seconds, rate)
    is_store = output.endswith("/") or Path(output).is_dir()
    (claim_folder if is_store else probe_file)(Path(output))
    if scheduler is None and is_store and place.type == "cpu":
        scheduler = "local"
    with dha_utils.workers(scheduler, workers):
        clips = dha_utils.load_clips(dataset, root, allow_missing=skip_bad)
        clips = usable_clips(clips, skip_bad=skip_bad, shortest=shortest)
        options = {
            "rate": rate, "duration": seconds, "channel": channel, "batch_size": batch_size, "device": device,
            "precision": precision, "padding": padding,
        }  # fmt: skip
        if is_store:
            dha_utils.extract_to_store(clips, output, **options)
        else:
            dha_utils.extract_responses(clips, out=output, **options)
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
) -> None:
    """Compute the artifacts under data/ from audio.

    The book is built from them where there is no audio.
    """
    from dha_utils.studies.bundle import make_bundle

    clips = make_bundle(dataset, root)
    typer.echo(f"{len(clips)} clips: data/{clips.name}")
