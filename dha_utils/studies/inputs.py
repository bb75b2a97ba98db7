"""What the notebooks start from: the audio where it is at hand, else the artifacts computed from it and committed.

A folder of inputs holds ``responses_RATE.safetensors`` for every rate, ``mfcc.safetensors`` and
``spectrograms.safetensors``. ``data/DATASET/`` (bundled) and ``results/DATASET/`` (made by notebook 01) are both such
folders, so later notebooks never ask where the numbers came from: `start_from` looks in both, so that a notebook may also be
opened alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dha_utils.audio.inspection import identify, usable_clips
from dha_utils.audio.views import log_mel
from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled
from dha_utils.core.tensor_files import load_tensors, save_tensors
from dha_utils.datasets import DATASETS, default_duration, default_rates
from dha_utils.datasets.clips import Clips, check_folds
from dha_utils.datasets.given import clips_at_hand
from dha_utils.networks.registry import DEFAULT, load_network, outline
from dha_utils.responses.extraction import extract_mfcc, extract_responses
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses

MFCC_RATE = 44_100
"""Hz; the rate at which the MFCC baseline of ESC was published."""


@dataclass(frozen=True)
class Inputs:
    """All that the notebooks take from audio.

    Attributes
    ----------
    responses : dict of int to Responses
        Pooled responses of the 15 taps, per sampling rate in Hz.
    mfcc : Responses
        Features of the MFCC baseline, one tap named ``mfcc``.
    spectrograms : dict of str to ndarray, shape (64, frames), float16
        Log-mel spectrogram in dB of the first clip of every class, at SoundNet's own rate.
    source : str
        A sentence that says what this was made from.
    """

    responses: Mapping[int, Responses]
    mfcc: Responses
    spectrograms: Mapping[str, np.ndarray]
    source: str

    def save(self, folder: str | Path) -> None:
        """Write the files into a folder, each atomically; `source` is not kept."""
        folder = Path(folder)
        for rate, responses in self.responses.items():
            responses.save(responses_file(folder, rate))
        self.mfcc.save(folder / "mfcc.safetensors")
        save_tensors(folder / "spectrograms.safetensors", self.spectrograms)

    @classmethod
    def load(cls, folder: str | Path, rates: Sequence[int], source: str) -> "Inputs":
        """Read a folder written by `save`.

        Raises
        ------
        DataError
            If a file is missing or damaged; names the rates that are there.
        """
        folder = Path(folder)
        absent = [rate for rate in rates if not responses_file(folder, rate).is_file()]
        if absent:
            there = sorted(int(path.stem.split("_")[1]) for path in folder.glob("responses_*.safetensors"))
            raise DataError(
                f"no responses at {absent[0]} Hz in {folder} (there are: {', '.join(map(str, there)) or 'none'}): choose "
                "one of these rates, or give the folder of the audio as root"
            )
        responses = {rate: Responses.load(responses_file(folder, rate)) for rate in rates}
        mfcc = Responses.load(folder / "mfcc.safetensors")
        _, spectrograms = load_tensors(
            folder / "spectrograms.safetensors", "spectrograms", "`dha bundle` makes it"
        )
        return cls(responses, mfcc, spectrograms, source)


def responses_file(folder: Path, rate: int) -> Path:
    """Return where the responses at a rate (Hz) are kept in a folder of inputs."""
    return Path(folder) / f"responses_{rate}.safetensors"


def load_inputs(
    dataset: str,
    *,
    root: str | Path | None = None,
    rates: Sequence[int] | None = None,
    duration: float | None = None,
    channel: str = "mean",
    skip_bad: bool = False,
    folder: Path | None = None,
    network: str | None = None,
) -> Inputs:
    """Compute the inputs from audio where it is at hand, else read the bundled ones.

    Parameters
    ----------
    dataset : str
        A name or a folder, as for `dha_utils.load_clips`.
    root : path, optional
        Folder of the audio; then it must be there, as it must in ``$DHA_DATA`` where that is set. By default that, else what
        was fetched, else the bundled artifacts.
    rates : sequence of int, optional
        Sampling rates in Hz; by default those of the data set, see `default_rates`.
    duration : float, optional
        Seconds to which clips are padded or cut; by default those of the data set, see `default_duration`.
    channel : {"mean", "left", "right"}
        What clips of several channels are brought down to.
    skip_bad : bool
        Leave out clips that cannot be used, instead of stopping; what was left out is in the provenance.
    network : str, optional
        As for `dha_utils.load_network`; by default SoundNet-8. Of another one nothing is bundled.
    folder : Path, optional
        Where responses are kept, block by block while they are computed, so that a run that was killed goes on; what was
        extracted there from the same clips is not extracted again.

    Raises
    ------
    DataError
        If there is neither audio nor an artifact, a folder of audio is given that does not hold the data set, the artifacts
        were made with another duration, or clips cannot be used.
    ParameterError
        If the duration is too short for the network.
    """
    duration, rates = duration or default_duration(dataset), rates or default_rates(dataset)
    model = load_network(network) if network else outline()
    model.check_duration(duration, min(rates))
    clips = clips_at_hand(dataset, root, allow_missing=skip_bad)
    if clips is not None:
        clips = usable_clips(clips, skip_bad=skip_bad)
        return compute_inputs(clips, rates, duration, channel, folder=folder, network=network)
    if network:
        raise DataError(f"of {network} nothing is bundled: give the folder of the audio of {dataset} as root")
    inputs = _read_bundled(dataset, rates, "no audio is needed")
    for responses in (*inputs.responses.values(), inputs.mfcc):
        responses.provenance["bundled"] = True  # so that a copy is not taken for an extraction made here
    made_with = next(iter(inputs.responses.values())).provenance["parameters"]
    if made_with["duration"] != duration:
        raise DataError(
            f"the bundled artifacts of {dataset} hold {made_with['duration']} s per clip, not {duration} s: give the folder "
            "of the audio as root to compute others"
        )
    if channel != made_with.get("channel", "mean"):
        raise DataError(
            f"the bundled artifacts of {dataset} were not made from channel {channel!r}: give the folder of the audio as root"
        )
    return inputs


def start_from(dataset: str, rates: Sequence[int], root: str | Path | None, folder: Path) -> Inputs:
    """Return what a notebook after the first starts from: what was made here, else bundled, else made from audio and kept.

    Parameters
    ----------
    dataset : str
        As in `load_inputs`.
    rates : sequence of int
        Sampling rates in Hz.
    root : path, optional
        Folder of the audio. Where it is given, bundled artifacts are not taken.
    folder : Path
        The results folder of the data set, to which notebook 01 writes.

    Raises
    ------
    DataError
        If responses were made here, but from something else than the bundled ones, and not at these rates; or as in
        `load_inputs`.
    """
    folder = Path(folder)
    if all(responses_file(folder, rate).is_file() for rate in rates):
        return Inputs.load(folder, rates, _source(folder))
    if any(folder.glob("responses_*.safetensors")) and not is_bundled(folder):
        absent = next(rate for rate in rates if not responses_file(folder, rate).is_file())
        raise DataError(
            f"{folder} holds responses made here, none at {absent} Hz: run notebook 01 with all rates that are needed, "
            f"`dha run --only 01 -p rates '[..., {absent}]'`"
        )
    there = all(responses_file(bundled(dataset), rate).is_file() for rate in rates)
    if dataset in DATASETS and root is None and there:
        return _read_bundled(dataset, rates, "notebook 01 has not been run here")
    inputs = load_inputs(dataset, root=root, rates=rates, folder=folder)
    inputs.save(folder)
    return inputs


def is_bundled(folder: Path) -> bool:
    """Return whether the responses in a results folder, if any, are those that are bundled with the data set of its name."""
    made = [Responses.load(path) for path in Path(folder).glob("responses_*.safetensors")]
    places = [responses_file(bundled(folder.name), r.provenance["parameters"]["rate"]) for r in made]
    same = (
        place.is_file() and key_of("responses", Responses.load(place)) == key_of("responses", responses)
        for place, responses in zip(places, made, strict=True)
    )
    return folder.name in DATASETS and bundled(folder.name).is_dir() and all(same)


def _read_bundled(dataset: str, rates: Sequence[int], why: str) -> Inputs:
    """Return the bundled inputs of a data set; `source` says why it is they, and what to know of their sounds."""
    inputs = Inputs.load(bundled(dataset), rates, "")
    notes = next(iter(inputs.responses.values())).provenance.get("notes", [])
    source = "; ".join([f"These results start from the responses that are bundled of {dataset}", why, *notes])
    return replace(inputs, source=f"{source}.")


def _source(folder: Path) -> str:
    """Say what responses made in a results folder come from, in the words of notebook 01 where it has run."""
    try:
        return json.loads((folder / "responses.json").read_text(encoding="utf-8"))["source"]
    except (OSError, ValueError, LookupError):
        return f"These results start from the responses kept in results/{folder.name}."


def compute_inputs(
    clips: Clips,
    rates: Sequence[int],
    duration: float,
    channel: str = "mean",
    *,
    folder: Path | None = None,
    network: str | None = None,
) -> Inputs:
    """Compute the inputs from the audio of `clips`; arguments as in `load_inputs`."""
    check_folds(clips.table["label"], clips.folds)
    clips = identify(clips)
    model = load_network(network or DEFAULT)
    how = {"duration": duration, "channel": channel}
    responses = {
        rate: extract_responses(
            clips, model=model, rate=rate, out=None if folder is None else responses_file(folder, rate), **how
        )
        for rate in rates
    }
    mfcc = extract_mfcc(
        clips, rate=MFCC_RATE, out=None if folder is None else Path(folder) / "mfcc.safetensors", **how
    )
    first = clips.take(clips.table.drop_duplicates("label").sort_values("label").index)
    waveforms = clip_waveforms(first, model.rate, duration, channel)
    spectrograms = {
        label: log_mel(waveform, model.rate).astype(np.float16)
        for label, waveform in zip(first.table["label"], waveforms, strict=True)
    }
    notes = list(clips.notes)
    if clips.left_out:
        notes.append(f"{len(clips.left_out)} that cannot be used were left out")
    also = "".join(f"; {note}" for note in notes)
    source = f"These results start from the audio of {clips.name}: {len(clips)} clips, decoded here{also}."
    return Inputs(responses, mfcc, spectrograms, source)


def provenance_json(inputs: Inputs) -> str:
    """Return the provenance of all files as JSON text, for the page beside bundled artifacts."""
    files = {responses_file(Path(), rate).name: r.provenance for rate, r in inputs.responses.items()}
    return json.dumps(files | {"mfcc.safetensors": inputs.mfcc.provenance}, indent=2) + "\n"
