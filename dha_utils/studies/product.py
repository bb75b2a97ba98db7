"""What ``dha prune`` makes: a smaller network and its classifiers, from all clips of a data set, in files that others can run."""

import os
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from dha_utils.audio.inspection import usable_clips
from dha_utils.core.errors import DataError, choose
from dha_utils.datasets import default_duration, load_clips
from dha_utils.evaluation.crossvalidation import tap_layers
from dha_utils.evaluation.ensemble import UNIT_KERNEL, LayerEnsemble
from dha_utils.networks.registry import DEFAULT, load_network
from dha_utils.pruning.compressor import Compressor, Trial, check_trial, load_waveforms, network_responses
from dha_utils.pruning.cost import count_macs, saving
from dha_utils.pruning.export import FORMATS, Product
from dha_utils.responses.outputs import probe_file
from dha_utils.responses.provenance import extraction_provenance
from dha_utils.responses.table import Responses


def make_product(
    trial: Trial,
    dataset: str,
    network: Path,
    *,
    root: str | None = None,
    rate: int | None = None,
    of: str | None = None,
    force: bool = False,
) -> list[str]:
    """Make a smaller network and its classifiers, and write them; says on stderr what is being done.

    Parameters
    ----------
    trial : Trial
        How filters are chosen, how many stay, and how the loss is mended.
    dataset : str
        As for `dha_utils.load_clips`; all clips are training clips.
    network : Path
        File of the network, which ends in ``.safetensors``; beside it go the others of `dha_utils.pruning.export.FORMATS`.
    root : path, optional
        Folder of the audio.
    rate : int, optional
        Hz; by default that of the network.
    of : str, optional
        The whole network, as for `dha_utils.load_network`; by default SoundNet-8.
    force : bool
        Overwrite files that are there.

    Returns
    -------
    list of str
        Lines that say what it saves, and what the files hold and how large they are.

    Raises
    ------
    DataError
        If the files cannot be written, or the sounds cannot be used.
    ParameterError
        If there is no such way to choose filters, no such size, or no such classifier that can be exported.
    """
    files = {network.with_suffix(suffix): known for suffix, known in FORMATS.items()}
    _check_files(network, files, force)
    choose("classifier", trial.classifier, UNIT_KERNEL)
    model = load_network(of or DEFAULT)
    model.check_prunable()
    rate = model.rate if rate is None else rate
    say = partial(print, file=sys.stderr, flush=True)
    duration = default_duration(dataset)
    check_trial(trial, model, round(duration * rate))
    clips = usable_clips(load_clips(dataset, root))
    say(f"decoding {len(clips)} clips")
    waveforms = load_waveforms(clips, rate, duration)
    say("running them through the full network")
    parameters = {"rate": rate, "duration": duration, "channel": "mean"}
    empty = Responses({}, clips.table.drop(columns="path"), extraction_provenance(clips, parameters, model))
    compressor = Compressor(model, waveforms, network_responses(model, waveforms, empty))
    say(f"removing filters ({trial.criterion}), then: {trial.compensation}")
    small = compressor.small_network(trial).headless()
    say("training the classifiers")
    responses = network_responses(small, waveforms, empty)
    ensemble = LayerEnsemble(tap_layers(responses), classifier=trial.classifier).fit(
        responses.matrix(), responses.y
    )
    metadata = parameters | {
        "classes": responses.classes,
        "taps": list(small.taps),
        **small.settings,
        "trial": vars(trial),
        "keep": {layer: kept.tolist() for layer, kept in compressor.keep(trial).items()},
        "provenance": empty.provenance,
    }
    say("exporting")
    n_samples = waveforms.shape[1]
    product = Product(small, ensemble, n_samples, metadata)
    with TemporaryDirectory(prefix=f".{network.stem}.", dir=network.parent) as folder:
        notes = {file: known.write(product, Path(folder, file.name)) for file, known in files.items()}
        # The network comes last, and an earlier one goes first: a kill leaves none beside another's classifiers.
        network.unlink(missing_ok=True)
        for file in reversed(files):
            os.replace(Path(folder, file.name), file)
    full, now = count_macs(model, n_samples), count_macs(small, n_samples)
    return [
        *(
            f"{name}: {now[kind].sum():,} of {full[kind].sum():,} ({saving(full[kind], now[kind]):.1%} fewer)"
            for kind, name in (("macs", "multiply-accumulates"), ("parameters", "parameters"))
        ),
        *(
            f"{file}  {file.stat().st_size / 1e6:.1f} MB  {'; '.join(filter(None, (known.holds, notes[file])))}"
            for file, known in files.items()
        ),
    ]


def _check_files(network: Path, files: Iterable[Path], force: bool) -> None:
    """Raise where files could not be written, before hours of work are done for them."""
    if network.suffix != ".safetensors":
        raise DataError(f"{network}: give a name that ends in .safetensors")
    there = [file for file in files if file.exists()]
    if there and not force:
        raise DataError(f"{there[0]}: is there already; choose another name, or --force")
    if not network.parent.is_dir():
        raise DataError(f"{network.parent}: no such folder; make it first")
    probe_file(network)
