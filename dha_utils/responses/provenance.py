"""Where numbers come from: hashes of data and weights, parameters and versions, in one small dict.

No date and no machine name: the same inputs give the same provenance, so that files can be compared byte by byte.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path

import soundfile

from dha_utils.audio.inspection import identify
from dha_utils.core.artifacts import OF_A_CLIP, VERSIONS, make_key
from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_arrays, hash_names
from dha_utils.datasets import DATASETS, load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.networks.base import Network
from dha_utils.networks.registry import NETWORKS, network_behind, weights_sha256
from dha_utils.responses.table import Responses

PACKAGES = ("librosa", "numpy", "scipy", "soundfile", "soxr", "torch")


@cache
def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what an extraction computes; they stay those of the process."""
    return {package: version(package) for package in PACKAGES} | {
        "libsndfile": soundfile.__libsndfile_version__
    }


def extraction_provenance(clips: Clips, parameters: dict, model=None, kind: str = "responses") -> dict:
    """Return what an extraction was made from.

    Parameters
    ----------
    clips : Clips
    parameters : dict
        Rate, duration and the like; JSON types only.
    model : Network, optional
        It is named, and its weights are hashed.
    kind : str
        Of `dha_utils.core.artifacts.VERSIONS`.

    Returns
    -------
    dict
        Where there are any also: notes on the copy, the clips left_out, and the seconds cut out of clips.
    """
    # Lists, as they come back from JSON.
    cuts = zip(clips.table["clip"], clips.cuts, strict=True)
    cut = {clip: [list(pair) for pair in pairs] for clip, pairs in cuts if pairs}
    further = {
        "network": getattr(model, "name", None),
        "layers": _layers(model),
        "notes": list(clips.notes),
        "left_out": list(clips.left_out),
        "cut": cut,
    }
    return {
        "dataset": clips.name,
        "attribution": DATASETS[clips.name].attribution if clips.name in DATASETS else None,
        "clips": len(clips),
        "clip_list_sha256": hash_names(clips.table["clip"]),
        "version": VERSIONS[kind],
        "parameters": parameters,
        "weights_sha256": None if model is None else weights_sha256(model),
        "versions": dict(versions()),
    } | {key: value for key, value in further.items() if value}


def _layers(network: Network | None) -> dict[str, str] | None:
    """Return tap -> layer of a network that cannot be asked later, as nobody knows it by name; a tap of several is one itself."""
    if network is None or network.name in NETWORKS:
        return None
    layers = {stage: name for name, layer in network.layers.items() for stage in layer.stages}
    return {tap: layers.get(tap, tap) for tap in network.taps}


def key_of(kind: str, responses: Responses, **own: object) -> dict:
    """Return the key of an artifact that is made from responses; arguments as in `dha_utils.core.artifacts.make_key`.

    Where the sound behind responses is not known, their values stand for it.
    """
    network = network_behind(responses.provenance)
    if responses.taps not in (network and network.taps, ("mfcc",)):
        own["taps"] = list(responses.taps)
    key = make_key(kind, responses.table, responses.provenance, **own)
    if key["sound"] is None:
        key["sound"] = hash_arrays(responses.arrays.items())
    return key


def clips_of(responses: Responses, dataset: str | Path, root: str | Path | None = None) -> Clips:
    """Return the clips behind responses, from the audio at hand: for what is to be computed beside them.

    Parameters
    ----------
    responses : Responses
    dataset, root
        As in `dha_utils.load_clips`.

    Raises
    ------
    DataError
        There is no audio, or it is not that of the responses: other clips, labels, folds, recordings or sound.
    """
    clips = load_clips(dataset, root, allow_missing=True)
    clips = clips.take(clips.table["clip"].isin(responses.table["clip"]).to_numpy())  # some may be left out
    same = OF_A_CLIP
    if "sound" in responses.table:
        clips, same = identify(clips), (*same, "sound")
    for column in same:
        if clips.table[column].tolist() != responses.table[column].tolist():
            raise DataError(
                f"{clips.root}: {column}s are not those of the responses: run notebook 01 again (`dha run`)"
            )
    return clips
