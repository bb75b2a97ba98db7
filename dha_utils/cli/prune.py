"""The commands ``dha prune`` and ``dha predict``: a smaller network made, and put to use."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dha_utils.book.parameters import check_value
from dha_utils.cli.options import OwnNetwork, Root
from dha_utils.core.errors import DhaError, ParameterError
from dha_utils.core.formats import printable


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
    classifier: Annotated[
        str, typer.Option(help="What tells the classes: converging, or least_squares, which is quicker.")
    ] = "converging",
    root: Root = None,
    network: OwnNetwork = None,
    rate: Annotated[int | None, typer.Option(help="Sampling rate in Hz; default the network's.")] = None,
    seed: Annotated[int, typer.Option(help="Of criteria that draw.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Make a smaller network and its classifiers from a data set.

    All clips are training clips here; what such a network loses on clips that it has not seen is on the book's page on
    the frontier. Writes NAME.safetensors (the network), and beside it its classifiers and the network in the formats of
    others; says of each file what it holds.
    """
    if rate is not None:
        check_value("rate", rate)
    from dha_utils.pruning.compressor import Trial
    from dha_utils.studies.product import make_product

    trial = Trial(criterion, keep, compensation, seed, classifier=classifier)
    lines = make_product(trial, dataset, output, root=root, rate=rate, of=network, force=force)
    typer.echo("\n".join(lines))


def predict(
    model: Annotated[
        Path, typer.Argument(help="NAME.safetensors of `dha prune`, with NAME.skops beside it.")
    ],
    files: Annotated[
        list[str],
        typer.Argument(
            help="Sound files; - for a stream on stdin: 16-bit samples, little-endian, of one channel."
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes to print for each clip, best first.")] = 3,
    every: Annotated[
        float | None,
        typer.Option(
            help="Say it every so many seconds of a sound, not of its beginning alone; of a stream 1."
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Of the stream on stdin, Hz.")] = None,
) -> None:
    """Say what is heard in sound files.

    The class, its score and the next ones, and how long it took.
    """
    if "-" in files and not rate:
        raise ParameterError("a stream has no header that tells its rate: give --rate, in Hz")
    from dha_utils.audio.waveforms import stream_audio
    from dha_utils.networks.registry import read_network
    from dha_utils.pruning.export import load_ensemble
    from dha_utils.pruning.listening import Listener, read_samples

    network, metadata = read_network(model)
    listener = Listener(network, metadata, load_ensemble(model.with_suffix(".skops")))

    def said(file: str) -> Iterator:
        if file == "-":
            blocks = read_samples(sys.stdin.buffer, rate)
            yield from listener.listen(blocks, rate, 1.0 if every is None else every, path="stdin")
        elif every is not None:
            blocks = stream_audio(file, listener.rate, channel=metadata["channel"])
            yield from listener.listen(blocks, listener.rate, every, path=file)
        else:
            yield listener.predict(file)

    failed = 0
    for file in files:
        try:
            for heard in said(file):
                at = f" {heard.start:.1f} s" if every or file == "-" else ""
                scores = "  ".join(f"{label} {score:.3f}" for label, score in heard.top(top))
                times = ", ".join(f"{step} {1000 * s:.0f} ms" for step, s in heard.seconds.items())
                typer.echo(printable(f"{heard.path}{at}: {scores}  ({times})"))
        except DhaError as error:
            typer.echo(f"dha: {printable(str(error))}", err=True)
            failed += 1
    if failed:
        raise typer.Exit(1)
