"""The commands ``dha prune`` and ``dha predict``: a smaller network made, and put to use."""

from pathlib import Path
from typing import Annotated

import typer

from dha_utils.cli_options import Rate, Root
from dha_utils.errors import DataError
from dha_utils.parameters import check_value


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
        typer.Option(help="What orders the filters: explained_variance, next_layer, anova, l1, psnet, ..."),
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
    rate: Rate = 22050,
    seed: Annotated[int, typer.Option(help="Of criteria that draw.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Make a smaller network and its classifiers from all clips of a data set.

    All clips are training clips here; what such a network loses on clips that it has not seen is on the book's page on
    the frontier. Writes NAME.safetensors (network), NAME.skops (classifiers), NAME.pt2 and NAME.onnx (network, checked).
    """
    check_value("rate", rate)
    if output.suffix != ".safetensors":
        raise DataError(f"{output}: give a name that ends in .safetensors")
    files = [output.with_suffix(suffix) for suffix in (".safetensors", ".skops", ".pt2", ".onnx")]
    there = [file for file in files if file.exists()]
    if there and not force:
        raise DataError(f"{there[0]}: is there already; choose another name, or --force")
    if not output.parent.is_dir():
        raise DataError(f"{output.parent}: no such folder; make it first")
    from dha_utils.channels import check_order
    from dha_utils.trials import Trial, parse_size

    check_order(criterion)
    trial = Trial(criterion, keep, compensation, seed)
    parse_size(keep)
    _make(trial, dataset, root, rate, files)


def _make(trial, dataset: str, root: str | None, rate: int, files: list[Path]) -> None:
    """Make the four files; each step says what it is doing."""
    from dha_utils.complexity import count_macs, saving
    from dha_utils.compression import Compressor, load_waveforms, network_responses
    from dha_utils.datasets import default_duration, load_clips
    from dha_utils.deploy import export_onnx, export_torch, save_ensemble, save_network
    from dha_utils.ensemble import LayerEnsemble, soundnet_layers
    from dha_utils.inspection import usable_clips
    from dha_utils.provenance import extraction_provenance
    from dha_utils.responses import Responses
    from dha_utils.soundnet import load_soundnet

    duration = default_duration(dataset)
    clips = usable_clips(load_clips(dataset, root))
    typer.echo(f"decoding {len(clips)} clips", err=True)
    waveforms = load_waveforms(clips, rate, duration)
    model = load_soundnet()
    typer.echo("running them through the full network", err=True)
    parameters = {"rate": rate, "duration": duration, "channel": "mean"}
    empty = Responses({}, clips.table.drop(columns="path"), extraction_provenance(clips, parameters, model))
    compressor = Compressor(model, waveforms, network_responses(model, waveforms, empty))
    typer.echo(f"removing filters ({trial.criterion}), then: {trial.compensation}", err=True)
    small = compressor.small_network(trial)
    typer.echo("training the classifiers", err=True)
    responses = network_responses(small, waveforms, empty)
    layers = soundnet_layers({tap: responses[tap].shape[1] for tap in responses.taps})
    ensemble = LayerEnsemble(layers).fit(responses.matrix(), responses.y)
    metadata = parameters | {
        "classes": responses.classes,
        "trial": vars(trial),
        "keep": {layer: kept.tolist() for layer, kept in compressor.keep(trial).items()},
        "provenance": empty.provenance,
    }
    network, classifiers, program, onnx = files
    typer.echo("exporting", err=True)
    export_torch(small, waveforms.shape[1], program)
    deviation = export_onnx(small, waveforms.shape[1], onnx)
    save_network(network, small, metadata)
    save_ensemble(classifiers, ensemble)
    full, now = (count_macs(m, waveforms.shape[1]) for m in (model, small))
    for kind, name in (("macs", "multiply-accumulates"), ("parameters", "parameters")):
        typer.echo(
            f"{name}: {now[kind].sum():,} of {full[kind].sum():,} ({saving(full[kind], now[kind]):.1%} fewer)"
        )
    typer.echo(f"ONNX and PyTorch differ by {deviation:.1e} at most, relative to a tap's largest value")
    for file in files:
        typer.echo(f"{file}  {file.stat().st_size / 1e6:.1f} MB")


def predict(
    model: Annotated[
        Path, typer.Argument(help="NAME.safetensors of `dha prune`, with NAME.skops beside it.")
    ],
    files: Annotated[list[Path], typer.Argument(help="Sound files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to print for each file, best first.")] = 3,
) -> None:
    """Say what is heard in sound files: the class, its score and the next ones, and how long it took."""
    from dha_utils.deploy import load_ensemble, load_network, predict
    from dha_utils.errors import DhaError

    network, metadata = load_network(model)
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
