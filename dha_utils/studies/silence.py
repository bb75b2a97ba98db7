"""How much of what tells the classes apart is silence: pauses within a clip, and the zeros with which short sounds are padded.

Conventions: a frame is `N_FFT` samples, one every `HOP`; it is *silent* if its root mean square is below `FLOOR`. The *share of
silence* of a clip is that of its frames, from 0 to 1, shape (clips,).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
from scipy import linalg
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dha_utils.audio.views import HOP, N_FFT
from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core.artifacts import VERSIONS, load_json, obtain, places
from dha_utils.core.errors import DataError
from dha_utils.core.hardware import choose_device
from dha_utils.core.paths import write_json
from dha_utils.criteria import CRITERIA, MapScores
from dha_utils.criteria.selection import Selection, apply_rule, mean_jaccard
from dha_utils.datasets.clips import Clips
from dha_utils.evaluation.crossvalidation import Selector, check_folds
from dha_utils.evaluation.inference import paired_difference, paired_random
from dha_utils.evaluation.packing import with_sums_renamed
from dha_utils.networks.registry import load_network
from dha_utils.paper import KEEP
from dha_utils.responses.outputs import extract
from dha_utils.responses.pooling import BATCH_SIZE, pool_maps
from dha_utils.responses.provenance import clips_of, extraction_provenance, key_of
from dha_utils.responses.table import Responses
from dha_utils.studies.sweeps import Cell, cells, sweep

FLOOR = -60.0
"""dB below full scale."""

DRAWS = 20
"""Random selections on the sounds without their silence."""


@dataclass(frozen=True)
class Silence:
    """What is known of the silence in a set of clips.

    Attributes
    ----------
    shares : ndarray, shape (clips,)
        Share of silent frames of every clip.
    trimmed : list of dict
        Results of `trimmed_cells` on the responses to the sounds without their silence; see
        `dha_utils.evaluation.packing.pack_run`.
    """

    shares: np.ndarray
    trimmed: list[dict]


def silent_frames(waveform: np.ndarray) -> np.ndarray:
    """Return which frames of a waveform are silent, shape (frames,), bool; one shorter than a frame is padded to it.

    >>> silent_frames(np.zeros(4096, np.float32)).tolist()
    [True, True, True, True, True]
    """
    padded = librosa.util.fix_length(waveform, size=max(len(waveform), N_FFT))
    rms = librosa.feature.rms(y=padded, frame_length=N_FFT, hop_length=HOP, center=False)[0]
    return rms < 10 ** (FLOOR / 20)


def trim_silence(waveform: np.ndarray) -> np.ndarray:
    """Return what is left of a waveform without its silence, repeated until it is as long as before.

    Repeated, because the deepest layers need a second of sound, and because zeros at the end would be silence again. What lies in
    a frame that is not silent stays; a waveform that is silent throughout stays as it is.
    """
    silent = silent_frames(waveform)
    if silent.all() or not silent.any():
        return waveform
    starts = np.flatnonzero(~silent) * HOP
    edges = np.zeros(max(len(waveform), N_FFT) + 1, dtype=int)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + N_FFT, -1)
    heard = np.cumsum(edges)[: len(waveform)] > 0
    heard[(len(silent) - 1) * HOP + N_FFT :] = not silent[-1]  # less than a hop after the last frame
    return np.resize(waveform[heard], len(waveform))


def trimmed_cells(classifier: str = "converging") -> list[Cell]:
    """Return the selections that are evaluated without silence: all maps, ANOVA's, random ones."""
    how = {"classifier": classifier}
    return (
        cells("anova", 1.0, **how) + cells("anova", KEEP, **how) + cells("random", KEEP, seeds=DRAWS, **how)
    )


def extract_trimmed(
    clips: Clips,
    *,
    rate: int,
    duration: float,
    channel: str = "mean",
    padding: str = "input",
) -> tuple[np.ndarray, Responses]:
    """Return the share of silence of every clip, and the responses to the clips without their silence.

    Parameters
    ----------
    clips : Clips
    rate, duration, channel, padding
        As in `dha_utils.extract_responses`.

    Returns
    -------
    shares : ndarray, shape (clips,)
    responses : Responses
    """
    model = load_network(padding=padding)
    taps = model.fast(choose_device("auto"))

    def batch(part: Clips) -> dict[str, np.ndarray]:
        waveforms = list(clip_waveforms(part, rate, duration, channel))
        shares = np.array([[silent_frames(waveform).mean()] for waveform in waveforms], np.float32)
        return pool_maps(taps, list(map(trim_silence, waveforms))) | {"silence": shares}

    parameters = {
        "rate": rate, "duration": duration, "channel": channel, "trimmed": FLOOR, **model.settings
    }  # fmt: skip
    found = extract(
        clips, batch, (*model.taps, "silence"), extraction_provenance(clips, parameters, model), None,
        batch_size=BATCH_SIZE,
    )  # fmt: skip
    arrays = {tap: found[tap] for tap in model.taps}
    return found["silence"][:, 0].astype(float), Responses(arrays, found.table, found.provenance)


def keep_silence(responses: Responses, clips: Clips, folder: Path, classifier: str = "converging") -> Silence:
    """Compute what is known of the silence in responses (`clips` are theirs, with audio), and keep it in a folder."""
    parameters = responses.provenance["parameters"]
    how = {"channel": parameters.get("channel", "mean"), "padding": parameters.get("padding", "input")}
    rate, duration = parameters["rate"], parameters["duration"]
    shares, trimmed = extract_trimmed(clips, rate=rate, duration=duration, **how)
    cells = sweep(trimmed, trimmed_cells(classifier))
    content = {
        "key": _key(responses, classifier),
        "shares": dict(zip(clips.table["clip"], np.round(shares, 6).tolist(), strict=True)),
        "trimmed": cells,
    }
    write_json(folder / f"silence_{rate}.json", content)
    return _read(content)


def load_silence(
    responses: Responses,
    folder: Path,
    *,
    classifier: str = "converging",
    dataset: str | None = None,
    root: str | Path | None = None,
) -> tuple[Silence, str]:
    """Return the silence that goes with responses, and where it is from: bundled, in `folder`, or computed, in minutes.

    `classifier` is of the ensembles without silence; other arguments and errors as in `dha_utils.load_fold_scores`.
    """
    name, rate = responses.provenance["dataset"], responses.provenance["parameters"]["rate"]

    def load(path: Path) -> tuple[Silence, dict]:
        content = load_json(path, "shares")
        return _read(content), content["key"]

    return obtain(
        _key(responses, classifier),
        places(name, folder, f"silence_{rate}.json"),
        load,
        lambda: keep_silence(responses, clips_of(responses, dataset or name, root), folder, classifier),
    )


def _key(responses: Responses, classifier: str) -> dict:
    return key_of(
        "silence",
        responses,
        classifier=classifier,
        floor=FLOOR,
        keep=KEEP,
        draws=DRAWS,
        sweep=VERSIONS["sweep"],
    )


def _read(content: dict) -> Silence:
    try:
        shares, trimmed = content["shares"].values(), list(map(with_sums_renamed, content["trimmed"]))
        return Silence(np.array(list(shares), float), trimmed)
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"not what is kept of silence ({error})") from error


def explained_by_class(shares: np.ndarray, y: np.ndarray) -> float:
    r"""Return :math:`\eta^2`: how much of the variance of the shares (clips,) lies between classes; 0 if they are all equal."""
    return float(CRITERIA["anova"].function(shares[:, None], y, y, np.random.default_rng(0)).effect[0])


def class_table(responses: Responses, shares: np.ndarray) -> pd.DataFrame:
    """Return the mean share of silence of every class, most silent first, and the share of its clips without any."""
    table = pd.DataFrame(
        {"label": responses.table["label"].to_numpy(), "share": shares, "without": shares == 0}
    )
    means = table.groupby("label").mean().sort_values("share", ascending=False, kind="stable")
    return means.reset_index()


def predict_by_silence(responses: Responses, shares: np.ndarray) -> np.ndarray:
    """Return what a classifier says that is told nothing but the share of silence, out of fold, for ``responses.tested()``.

    Multinomial logistic regression with scikit-learn's defaults; nothing is tuned.

    Returns
    -------
    ndarray, shape (tested clips,), int64
    """
    check_folds(responses)
    predictions = np.empty(len(responses), np.int64)
    for fold in responses.test_folds:
        test = responses.folds == fold
        model = make_pipeline(StandardScaler(), LogisticRegression())
        predictions[test] = model.fit(shares[~test, None], responses.y[~test]).predict(shares[test, None])
    return predictions[np.isin(responses.folds, responses.test_folds)]


def correlations(x: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return the correlation of every map of `x` (n, C) with the shares (n,), shape (C,); NaN where either is constant."""
    x = np.asarray(x, dtype=np.float64)
    x, s = x - x.mean(axis=0), shares - shares.mean()
    scale = np.sqrt(np.sum(x**2, axis=0) * np.sum(s**2))
    return np.divide(s @ x, scale, out=np.full(x.shape[1], np.nan), where=scale > 0)


def adjusted_f(x: np.ndarray, y: np.ndarray, covariate: np.ndarray) -> np.ndarray:
    r"""Return F of the classes of every map beyond what a covariate explains: analysis of covariance.

    .. math:: F = \frac{(S_0 - S_1) / (r_1 - r_0)}{S_1 / (n - r_1)}

    with the sums of squares left by the covariate alone (:math:`S_0`) and by covariate and classes (:math:`S_1`), and the ranks
    of the two designs. A covariate without variance changes nothing: it is then the F of ANOVA.

    Parameters
    ----------
    x : ndarray, shape (n, C)
    y : ndarray, shape (n,), int
    covariate : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (C,)
        ``-inf`` where classes and covariate leave nothing, as of a constant map, or the covariate tells all of the class.
    """
    x = np.asarray(x, dtype=np.float64)
    centred = np.column_stack([np.ones(len(y)), covariate - covariate.mean()])
    bases = [linalg.orth(centred), linalg.orth(np.column_stack([centred, np.eye(y.max() + 1)[y]]))]
    lost = [np.sum((x - base @ (base.T @ x)) ** 2, axis=0) for base in bases]
    ranks = [base.shape[1] for base in bases]
    between, within = ranks[1] - ranks[0], len(y) - ranks[1]
    # What rounding leaves of a map is no variance within classes.
    defined = (np.ptp(x, axis=0) > 0) & (lost[1] > 1e-12 * np.sum((x - x.mean(axis=0)) ** 2, axis=0))
    if not between or not within:
        return np.full(x.shape[1], -np.inf)
    f = np.full(x.shape[1], -np.inf)
    f[defined] = (lost[0] - lost[1])[defined] / between / (lost[1][defined] / within)
    return f


def adjusted_selector(responses: Responses, shares: np.ndarray, keep: float) -> Selector:
    """Return the selection by `adjusted_f` with the share of silence as the covariate, from a training fold."""
    known = pd.Series(shares, index=responses.table["clip"])

    def select(training: Responses) -> Selection:
        covariate = known[training.table["clip"]].to_numpy()
        scores = {tap: MapScores(adjusted_f(training[tap], training.y, covariate)) for tap in training.taps}
        return apply_rule("anova, adjusted for silence", scores, keep=keep)

    return select


def tap_table(
    responses: Responses,
    shares: np.ndarray,
    selections: dict[int, Selection],
    adjusted: Callable[[Responses], Selection],
) -> pd.DataFrame:
    """Return what the maps of every tap have to do with silence; means over the training folds.

    Parameters
    ----------
    responses : Responses
    shares : ndarray, shape (clips,)
    selections : dict of int to Selection
        Test fold -> what is kept.
    adjusted : callable
        As `adjusted_selector` returns it.

    Returns
    -------
    DataFrame
        Columns tap, maps, kept and all (median absolute correlation with the share of silence, over the maps that vary; NaN where
        there is none), overlap (Jaccard index of the kept maps and those of the adjusted selection).
    """
    rows: dict[str, list[dict]] = {tap: [] for tap in responses.taps}
    for fold, selection in selections.items():
        inside = responses.folds != fold
        training = responses.take(inside)
        other = adjusted(training)
        for tap, parts in rows.items():
            r = np.abs(correlations(training[tap], shares[inside]))
            groups = {"kept": selection.masks[tap], "all": np.ones(len(r), bool)}
            medians = {name: _median(r[mask]) for name, mask in groups.items()}
            parts.append(medians | {"overlap": mean_jaccard([selection.masks[tap], other.masks[tap]])})
    return pd.DataFrame(
        {"tap": tap, "maps": responses[tap].shape[1]} | pd.DataFrame(parts).mean().to_dict()
        for tap, parts in rows.items()
    )


def _median(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else float("nan")


def headline_table(
    correct: Mapping[str, np.ndarray], draws: Sequence[np.ndarray], recordings: np.ndarray
) -> pd.DataFrame:
    """Return the accuracies of selections, what they lose against all maps, and what they gain over random ones.

    Parameters
    ----------
    correct : dict of str to ndarray, shape (clips,), bool
        Selection -> which clips are right; the first is all maps.
    draws : sequence of ndarray, shape (clips,), bool
        The same of random selections.
    recordings : ndarray, shape (clips,)

    Returns
    -------
    DataFrame
        Columns selection, accuracy, change, change_low, change_high (against all maps), difference, low, high (against the mean
        over draws), with 95 % intervals; the last row is of the random selections, their mean.
    """
    full, draws = next(iter(correct.values())), np.stack(draws)
    rows = []
    for name, right in correct.items():
        change = paired_difference(full, right, recordings)
        lead = paired_random(right, draws, recordings)
        rows.append(
            {"selection": name, "accuracy": float(right.mean())}
            | change.columns("change", "change_")
            | lead.columns("difference")
        )
    accuracy = float(draws.mean())
    rows.append({"selection": "random", "accuracy": accuracy, "change": float(draws.mean() - full.mean())})
    return pd.DataFrame(rows)
