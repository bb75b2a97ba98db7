"""What is kept, and what it belongs to: one rule for all that takes long.

An *artifact* is a result that is kept: responses, scores, cells of a sweep, trials, examples, times. With it goes its *key*, a
dict in JSON types of all that its content depends on:

=============  =====================================================================================================
kind           responses, mfcc, run, sweep, trials, nested, scores, slips, examples, speed, silence,
               specifications, soundnet_protocol
versions       of the computations behind it, see `VERSIONS`; that of responses is the one they were made by
sound          hash over what every clip sounds like, in order: see `dha_utils.datasets.sound`
table          hash over clip, label, fold and recording of every clip
cut            hash over the seconds cut out of clips; None where nothing is
weights        hash of the network's weights; None where no network has a part
parameters     rate, duration and the like, and those of the artifact itself; the usual ones (`USUAL`) are left out
=============  =====================================================================================================

An artifact is used where its key is that of what is at hand: bundled, else kept, else made (`obtain`). One with another key is
not looked at, and stays until what replaces it is whole. Neither the text of the code nor the versions of libraries are in the
key: they move the last bits of a number, and a changed comment is no reason to spend a night again.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import pandas as pd

from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_json
from dha_utils.core.paths import bundled

A = TypeVar("A")

VERSIONS = {
    "responses": 1,
    "mfcc": 1,
    "run": 1,
    "sweep": 1,
    "trials": 1,
    "nested": 1,
    "scores": 1,
    "slips": 1,
    "examples": 1,
    "speed": 1,
    "silence": 1,
    "specifications": 1,
    "soundnet_protocol": 1,
}
"""Version of each computation. Raise one by hand when what it computes is another number than before, by more than rounding:

- ``responses``: decoding, the network or pooling; all that starts from sound is made anew then.
- ``run``, ``sweep``, ``specifications``: the classifier, the cross-validation, a selection rule, or the scores of any criterion.
- ``trials``, ``nested``: the same of classifiers, and selection, removal, compensation or fine-tuning of filters.
- ``scores``, ``slips``, ``examples``, ``speed``, ``silence``, ``mfcc``, ``soundnet_protocol``: that computation.

A new criterion or parameter, another name, a comment or a faster way are no reason."""

FROM_SOUND = ("responses", "mfcc")
"""Kinds that are extracted from sound; all others start from responses, or belong to them."""

USUAL = {
    "channel": "mean",
    "precision": "float32",
    "input_scale": 256.0,
    "padding": "input",
    "pooling": "mean",
    "classifier": "converging",
}
"""Parameters that are left out of a key where they have this value: what was made before there was a choice keeps its key."""

WITHOUT_EFFECT = ("batch_size", "device")
"""Parameters of an extraction that change no more than the last bits."""

OF_A_CLIP = ("clip", "label", "fold", "recording")


def hash_rows(table: pd.DataFrame, cut: Mapping[str, object] | None = None) -> dict[str, str | None]:
    """Return the part of a key that says which clips: sound, table and cut.

    Parameters
    ----------
    table : DataFrame
        Columns clip, label, fold, recording, and ``sound`` where that is known.
    cut : dict, optional
        Clip -> the seconds cut out of it; others than those of the table do not count.
    """
    names = table["clip"].astype(str).tolist()
    columns = [table[column].tolist() for column in OF_A_CLIP]
    cut = {clip: list(map(list, (cut or {})[clip])) for clip in names if (cut or {}).get(clip)}
    return {
        "sound": hash_json(table["sound"].tolist()) if "sound" in table else None,
        "table": hash_json([*zip(*columns, strict=True)]),
        "cut": hash_json(cut) if cut else None,
    }


def make_key(kind: str, table: pd.DataFrame, provenance: Mapping, **own: object) -> dict:
    """Return the key of an artifact that is made from clips.

    Parameters
    ----------
    kind : str
        One of `VERSIONS`.
    table : DataFrame
        The clips, as in `hash_rows`.
    provenance : dict
        As `dha_utils.responses.provenance.extraction_provenance` returns it: its version, weights, parameters and cut count.
    **own
        Parameters of the artifact itself, in JSON types.
    """
    parameters = provenance.get("parameters", {}) | own
    counted = {
        name: _plain(value)
        for name, value in sorted(parameters.items())
        if name not in WITHOUT_EFFECT and USUAL.get(name, ...) != value
    }
    made_by = provenance.get("version", 1)
    versions = {kind: made_by} if kind in FROM_SOUND else {"responses": made_by, kind: VERSIONS[kind]}
    rows = hash_rows(table, provenance.get("cut"))
    weights = provenance.get("weights_sha256")
    return {"kind": kind, "versions": versions, **rows, "weights": weights, "parameters": counted}


def short(key: Mapping) -> str:
    """Return eight hexadecimal digits that stand for a key in the name of a file."""
    return hash_json(key)[:8]


def obtain(
    key: Mapping,
    places: Iterable[tuple[Path, str]],
    load: Callable[[Path], tuple[A, Mapping]],
    make: Callable[[], A],
) -> tuple[A, str]:
    """Return an artifact, and where it is from: the first place that holds one with this key, else made now.

    Parameters
    ----------
    key : dict
    places : iterable of (Path, str)
        Files, and what to say of what comes from there; most often the bundled artifacts, then those of an earlier run.
    load : callable
        File -> artifact and its key; a DataError means that none can be read there.
    make : callable
        Makes it, and keeps it.
    """
    for path, name in places:
        try:
            artifact, held = load(path)
        except DataError:  # not there, or damaged: it is made anew
            continue
        if held == key:
            return artifact, name
    return make(), "computed now"


def places(dataset: str, folder: Path, name: str) -> list[tuple[Path, str]]:
    """Return where an artifact of a data set may be: for `obtain`."""
    return [(bundled(dataset) / name, "from the bundled artifacts"), (folder / name, "from an earlier run")]


def load_json(path: Path, name: str) -> dict:
    """Return the object that a JSON file holds; a DataError unless it has a ``key`` and what is called `name`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content | {"key": content["key"], name: content[name]}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: missing or damaged ({error})") from error


def _plain(value: object) -> object:
    """Return 5 for 5.0, so that both ways to write a number give one key."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
