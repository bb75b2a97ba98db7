"""What the page ``hear`` shows of every feature map of ESC-10: class means, and the clips that it answers most and least.

Few clips can be heard (`CLIPS` per class); which of these a map answers most and least is asked of them alone, and their place
among all clips is told. Numbers of thousands of maps go into the page as bytes, in base64.
"""

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from dha_utils.audio.playable import rebuild, write_picture, write_sound
from dha_utils.audio.views import log_mel
from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core.formats import format_value
from dha_utils.core.paths import bundled
from dha_utils.criteria import CRITERIA
from dha_utils.datasets import default_duration, default_rates
from dha_utils.datasets.credits import Credit, credited_clips
from dha_utils.datasets.given import title_of
from dha_utils.findings.variance import variance_shares
from dha_utils.paper import KEEP
from dha_utils.responses.maps import iterate_maps
from dha_utils.responses.table import Responses
from dha_utils.studies.examples import load_examples
from dha_utils.studies.inputs import Inputs
from dha_utils.studies.silence import correlations, load_silence
from dha_utils.studies.sweeps import Cell, fold_selections

CLIPS = 6
"""Per class, where there is audio: 60 clips of 5 s take about 2 MB."""

ENDS = 3
"""Clips that a map answers most, and as many that it answers least."""

POSITIONS = 48
"""Of the activation over time, at most: means over as many stretches of the clip."""

SILENCE_DETECTORS = 40
"""Maps whose responses follow the share of silence in a clip most closely."""


def hear(dataset: str, folder: Path) -> dict:
    """Write sounds and pictures of clips into a folder, and return what the page says of clips and maps.

    Parameters
    ----------
    dataset : str
        One that is bundled.
    folder : Path
        Gets ``CLIP.mp3`` and ``CLIP.png``: of real clips where there is audio with credits, else rebuilt from the bundled
        spectrograms.

    Returns
    -------
    dict
        title; real (whether the sounds are); total (all clips); classes; clips, each with name, label and credit; taps
        (`tap_content`); groups (`named_maps`).
    """
    rate, duration = default_rates(dataset)[0], default_duration(dataset)
    inputs = Inputs.load(bundled(dataset), [rate], "")
    responses = inputs.responses[rate]
    folder.mkdir(parents=True, exist_ok=True)
    found = credited_clips(dataset)
    if found:
        clips, credits = found
        rows = telling_clips(responses, responses.table["clip"].isin(credits).to_numpy(), CLIPS)
        chosen = clips.take(clips.table["clip"].isin(responses.table["clip"].iloc[rows]).to_numpy())
        for name, sound in zip(chosen.table["clip"], clip_waveforms(chosen, rate, duration), strict=True):
            _write(folder / name, sound, log_mel(sound, rate), rate)
        activation = iterate_maps(chosen, rate=rate, duration=duration)
    else:
        credits = {}
        rows = responses.table.reset_index().drop_duplicates("label")["index"].sort_values().to_numpy()
        for name, label in responses.table.iloc[rows][["clip", "label"]].itertuples(index=False):
            spectrogram = inputs.spectrograms[label]
            _write(folder / name, rebuild(spectrogram, rate, round(duration * rate)), spectrogram, rate)
        examples = load_examples(responses, bundled(dataset)).maps
        labels = responses.table["label"].iloc[rows]
        activation = ((tap, np.stack([maps[label] for label in labels])) for tap, maps in examples.items())
    shares = load_silence(responses, bundled(dataset))[0].shares
    return {
        "title": title_of(dataset),
        "real": bool(found),
        "total": len(responses),
        "classes": responses.classes,
        "clips": [
            {"name": clip, "label": label} | _credit(credits.get(clip))
            for clip, label in responses.table.iloc[rows][["clip", "label"]].itertuples(index=False)
        ],
        "groups": named_maps(responses, shares),
        "taps": tap_content(responses, rows, activation),
    }


def _write(stem: Path, waveform: np.ndarray, spectrogram: np.ndarray, rate: int) -> None:
    write_sound(stem.with_name(f"{stem.name}.mp3"), waveform, rate)
    write_picture(stem.with_name(f"{stem.name}.png"), spectrogram)


def _credit(credit: Credit | None) -> dict:
    return {"credit": credit._asdict()} if credit else {}


def telling_clips(responses: Responses, allowed: np.ndarray, count: int) -> np.ndarray:
    """Return the clips, `count` per class, that are most often among the `ENDS` which a map answers most or least.

    Parameters
    ----------
    responses : Responses
    allowed : ndarray, shape (clips,), bool
        Which may be chosen.
    count : int

    Returns
    -------
    ndarray of int
        Rows, ascending.
    """
    order = np.argsort(responses.matrix(), axis=0, kind="stable")
    often = np.bincount(np.concatenate([order[:ENDS], order[-ENDS:]]).ravel(), minlength=len(responses))
    often = np.where(allowed, often, -1)
    best = [
        own[np.argsort(-often[own], kind="stable")][:count]
        for own in (np.flatnonzero(responses.y == number) for number in range(len(responses.classes)))
    ]
    rows = np.sort(np.concatenate(best))
    return rows[allowed[rows]]


def named_maps(responses: Responses, shares: np.ndarray) -> list[dict]:
    """Return groups of maps that the book speaks of: name, about, and maps, tap -> numbers, the clearest case first.

    Parameters
    ----------
    responses : Responses
    shares : ndarray, shape (clips,)
        Share of silence of every clip.
    """
    selections = fold_selections(responses, Cell("anova", KEEP)).values()
    kept, ignored, alone, silent = {}, {}, {}, {}
    for tap in responses.taps:
        masks = np.stack([selection.masks[tap] for selection in selections])
        effect, x = _effect(responses, tap), responses[tap]
        kept[tap] = _ranked(masks.all(axis=0), effect)
        ignored[tap] = _ranked(~masks.any(axis=0), -effect)
        share = variance_shares(x).max(axis=0)
        alone[tap] = _ranked(share > 0.5, share)
        silent[tap] = np.abs(np.nan_to_num(correlations(x, shares)))
    least = np.sort(np.concatenate(list(silent.values())))[-SILENCE_DETECTORS:][0]
    detectors = {tap: _ranked(size >= least, size) for tap, size in silent.items()}
    share = format_value(KEEP, ".0%")
    said = (
        ("kept", f"kept by ANOVA in every fold, with {share} of the maps; the largest η² first", kept),
        ("ignored", "ignored by ANOVA in every fold; the smallest η² first", ignored),
        ("one clip", "more than half of whose variance is one clip; the largest share first", alone),
        ("silence", "that follow the share of silence in a clip; the closest first", detectors),
    )
    return [
        {"name": name, "about": about, "maps": {tap: found for tap, found in maps.items() if found}}
        for name, about, maps in said
        if any(maps.values())
    ]


def _effect(responses: Responses, tap: str) -> np.ndarray:
    scores = CRITERIA["anova"].function(
        responses[tap], responses.y, responses.recordings, np.random.default_rng(0)
    )
    return np.nan_to_num(scores.effect)


def _ranked(which: np.ndarray, size: np.ndarray) -> list[int]:
    maps = np.flatnonzero(which)
    return maps[np.argsort(-size[maps], kind="stable")].tolist()


def tap_content(
    responses: Responses, rows: np.ndarray, activation: Iterable[tuple[str, np.ndarray]]
) -> list[dict]:
    """Return what is known of the maps of every tap.

    Parameters
    ----------
    responses : Responses
    rows : ndarray of int
        The clips that can be heard.
    activation : iterable of (tap, ndarray of shape (len(rows), maps, positions))
        Maps over time of these clips, of some taps.

    Returns
    -------
    list of dict
        name; maps (how many); and in base64, map by map: means (int8), class means in sixteenths of the standard deviation over
        clips; eta2 (uint8), of 255; ends (uint8), which of the clips that can be heard it answers most, the first most, then
        which least, the first least; places (uint16, little-endian) of these among all clips, 1 the largest; positions and
        over_time (uint8), the activation of these clips, of 255 from the smallest to the largest; 0 and "" where unknown.
    """
    courses: Mapping[str, np.ndarray] = {tap: _stretches(maps) for tap, maps in activation}
    ends = min(ENDS, len(rows) // 2)
    taps = []
    for tap in responses.taps:
        x = responses[tap].astype(np.float64)
        spread = x.std(axis=0)
        standard = (x - x.mean(axis=0)) / np.where(spread > 0, spread, np.inf)
        means = np.stack([standard[responses.y == k].mean(axis=0) for k in range(len(responses.classes))])
        order = np.argsort(-x[rows], axis=0, kind="stable").T
        shown = np.concatenate([order[:, :ends], order[:, ::-1][:, :ends]], axis=1)
        places = 1 + np.argsort(np.argsort(-x, axis=0, kind="stable"), axis=0)[rows]
        content = {
            "name": tap,
            "maps": x.shape[1],
            "means": _packed(np.clip(np.round(16 * means.T), -127, 127), np.int8),
            "eta2": _packed(np.round(255 * np.clip(_effect(responses, tap), 0, 1)), np.uint8),
            "ends": _packed(shown, np.uint8),
            "places": _packed(np.take_along_axis(places.T, shown, axis=1), "<u2"),
            "positions": 0,
            "over_time": "",
        }
        if tap in courses:
            own = np.take_along_axis(courses[tap].transpose(1, 0, 2), shown[:, :, None], axis=1)
            low, high = own.min(axis=(1, 2), keepdims=True), own.max(axis=(1, 2), keepdims=True)
            scaled = np.round(255 * (own - low) / np.where(high > low, high - low, np.inf))
            content |= {"positions": own.shape[2], "over_time": _packed(scaled, np.uint8)}
        taps.append(content)
    return taps


def _stretches(maps: np.ndarray) -> np.ndarray:
    """Return means over at most `POSITIONS` stretches of the last axis."""
    n = maps.shape[-1]
    starts = np.arange(min(n, POSITIONS)) * n // min(n, POSITIONS)
    return np.add.reduceat(maps.astype(np.float32), starts, axis=-1) / np.diff(starts, append=n)


def _packed(values: np.ndarray, kind: str | type) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()
