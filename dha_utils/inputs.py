"""What the notebooks start from: the audio where it is at hand, else the artifacts computed from it and committed.

A folder of inputs holds ``responses_RATE.safetensors`` for every rate, ``mfcc.safetensors`` and
``spectrograms.safetensors``. ``data/DATASET/`` (bundled) and ``results/DATASET/`` (made by notebook 01) are both such
folders, so later notebooks never ask where the numbers came from.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from dha_utils.audio import load_audio, log_mel
from dha_utils.datasets import DATASETS, Clips, load_clips
from dha_utils.errors import DataError
from dha_utils.extraction import extract_mfcc, extract_responses
from dha_utils.paths import atomic_write, bundled, data_dir
from dha_utils.responses import Responses
from dha_utils.soundnet import NATIVE_RATE, load_soundnet

MFCC_RATE = 44_100
"""Hz; the rate at which the MFCC baseline of ESC was published."""

BUNDLED_RATES = (NATIVE_RATE, 44_100)
"""Hz; SoundNet's own rate and that of the released ensemble code."""


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
        with atomic_write(folder / "spectrograms.safetensors") as temporary:
            save_file(dict(self.spectrograms), temporary)

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
        return cls(responses, mfcc, load_file(folder / "spectrograms.safetensors"), source)


def responses_file(folder: Path, rate: int) -> Path:
    """Return where the responses at a rate (Hz) are kept in a folder of inputs."""
    return Path(folder) / f"responses_{rate}.safetensors"


def load_inputs(
    dataset: str,
    *,
    root: str | Path | None = None,
    rates: Sequence[int] = BUNDLED_RATES,
    duration: float = 5.0,
    workers: int | None = None,
    progress: bool = True,
) -> Inputs:
    """Compute the inputs from audio where it is at hand, else read the bundled ones.

    Parameters
    ----------
    dataset : str
        A name or a folder, as for `dha_utils.load_clips`.
    root : path, optional
        Folder of the audio; then it must be there. By default ``$DHA_DATA``, and without it, or where it does not hold
        the data set, the bundled artifacts.
    rates : sequence of int
        Sampling rates in Hz.
    duration : float
        Seconds to which clips are padded or cut.
    workers : int, optional
        Threads; by default one per core.
    progress : bool
        Show progress bars on stderr.

    Raises
    ------
    DataError
        If there is neither audio nor an artifact, or the artifacts were made with another duration.
    """
    folder = bundled(dataset)
    is_bundled = dataset in DATASETS and folder.is_dir()
    if root is not None or data_dir() is not None or not is_bundled:
        try:
            clips = load_clips(dataset, root)
        except DataError:
            if root is not None or not is_bundled:
                raise
        else:
            return compute_inputs(clips, rates, duration, workers=workers, progress=progress)
    source = f"These results start from the bundled artifacts of {dataset}; no audio was at hand."
    inputs = Inputs.load(folder, rates, source)
    made_with = next(iter(inputs.responses.values())).provenance["parameters"]["duration"]
    if made_with != duration:
        raise DataError(
            f"the bundled artifacts of {dataset} hold {made_with} s per clip, not {duration} s: give the folder of the "
            "audio as root to compute others"
        )
    return inputs


def compute_inputs(
    clips: Clips, rates: Sequence[int], duration: float, *, workers: int | None = None, progress: bool = True
) -> Inputs:
    """Compute the inputs from the audio of `clips`; arguments as in `load_inputs`."""
    model = load_soundnet()
    how = {"duration": duration, "workers": workers, "progress": progress}
    responses = {rate: extract_responses(clips, model=model, rate=rate, **how) for rate in rates}
    mfcc = extract_mfcc(clips, rate=MFCC_RATE, **how)
    first = clips.table.drop_duplicates("label")
    spectrograms = {
        label: log_mel(load_audio(path, NATIVE_RATE, duration), NATIVE_RATE).astype(np.float16)
        for label, path in sorted(zip(first["label"], first["path"], strict=True))
    }
    source = f"These results start from the audio of {clips.name}: {len(clips)} clips, decoded here."
    return Inputs(responses, mfcc, spectrograms, source)


def provenance_json(inputs: Inputs) -> str:
    """Return the provenance of all files as JSON text, for the page beside bundled artifacts."""
    files = {responses_file(Path(), rate).name: r.provenance for rate, r in inputs.responses.items()}
    return json.dumps(files | {"mfcc.safetensors": inputs.mfcc.provenance}, indent=2) + "\n"
