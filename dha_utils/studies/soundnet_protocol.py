"""SoundNet's own way to evaluate its maps, on the same folds: how much of the distance to its published accuracy that is.

Every sound is repeated to `SECONDS`; the maps of `TAP` are cut into windows of a second, one after the other; a linear SVM, one
class against the rest, sees all values of a window, and the scores of a sound's windows are averaged.

At SoundNet's rate of 22 050 Hz one second of sound has 3 positions in ``pool5``: a window is 3 positions of 256 maps, 768
numbers, and the 27 positions of 10 s are 9 windows.

Source: Aytar, Vondrick, Torralba (NIPS 2016), section 5; LIBLINEAR with ``-s 1 -B 1 -c 0.01``.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from dha_utils.audio.waveforms import clip_waveforms
from dha_utils.core.artifacts import load_json, obtain, places
from dha_utils.core.hardware import choose_device
from dha_utils.core.paths import write_json
from dha_utils.datasets.clips import Clips
from dha_utils.datasets.given import clips_at_hand
from dha_utils.evaluation.crossvalidation import check_folds
from dha_utils.evaluation.inference import describe
from dha_utils.networks.registry import load_behind
from dha_utils.paper import PUBLISHED
from dha_utils.responses.outputs import extract
from dha_utils.responses.provenance import clips_of, extraction_provenance, key_of
from dha_utils.responses.table import Responses

TAP, SECONDS, PENALTY = "pool5", 10.0, 0.01


def cut_windows(maps: np.ndarray, positions: int) -> np.ndarray:
    """Return the windows of the maps (C, positions) of a sound, flattened, shape (windows, C * positions); a rest is left out.

    >>> cut_windows(np.arange(10).reshape(2, 5), positions=2).tolist()
    [[0, 1, 5, 6], [2, 3, 7, 8]]
    """
    n_windows = maps.shape[1] // positions
    cut = maps[:, : n_windows * positions].reshape(len(maps), n_windows, positions)
    return cut.swapaxes(0, 1).reshape(n_windows, -1)


def extract_windows(clips: Clips, responses: Responses) -> tuple[Responses, int, int]:
    """Return the windows of every sound side by side, as responses of one tap, and their number and positions.

    Parameters
    ----------
    clips : Clips
        With audio.
    responses : Responses
        Theirs: say the network, the rate and the seconds before repetition.
    """
    parameters = responses.provenance["parameters"]
    rate, how = parameters["rate"], {"duration": parameters["duration"]}
    how["channel"] = parameters.get("channel", "mean")
    network = load_behind(responses.provenance)
    taps = network.fast(choose_device("auto"))
    positions = network.shapes(rate)[TAP][1]

    def batch(part: Clips) -> dict[str, np.ndarray]:
        sounds = [np.resize(sound, round(SECONDS * rate)) for sound in clip_waveforms(part, rate, **how)]
        with torch.inference_mode():
            maps = next(maps for name, maps in taps(torch.from_numpy(np.stack(sounds))) if name == TAP)
        return {TAP: np.stack([cut_windows(own, positions).ravel() for own in maps.numpy(force=True)])}

    provenance = extraction_provenance(clips, {"rate": rate, "repeated": SECONDS, **how}, network)
    n_windows = network.shapes(round(SECONDS * rate))[TAP][1] // positions
    return extract(clips, batch, (TAP,), provenance, None), n_windows, positions


def evaluate_windows(windows: Responses, n_windows: int) -> np.ndarray:
    """Return which clips are right, out of fold, shape (tested clips,), bool; for ``windows.tested()``.

    Parameters
    ----------
    windows : Responses
        As `extract_windows` returns them.
    n_windows : int
        Windows of a sound.
    """
    check_folds(windows)
    x, y = windows[TAP].reshape(len(windows), n_windows, -1).astype(np.float64), windows.y
    right = np.empty(len(y), bool)
    with threadpool_limits(1):
        for fold in windows.test_folds:
            test = windows.folds == fold
            # Solved in the primal: the same minimum, in a few steps.
            model = LinearSVC(C=PENALTY, dual=False)
            model.fit(x[~test].reshape(-1, x.shape[2]), np.repeat(y[~test], n_windows))
            scores = model.decision_function(x[test].reshape(-1, x.shape[2]))
            scores = scores.reshape(test.sum(), n_windows, -1).mean(axis=1)
            said = scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(int)
            right[test] = said == y[test]
    return right[np.isin(windows.folds, windows.test_folds)]


def keep_soundnet_protocol(responses: Responses, clips: Clips, folder: Path) -> dict:
    """Evaluate `clips`, those of the responses, as SoundNet's authors did, and keep the result in a folder."""
    windows, n_windows, positions = extract_windows(clips, responses)
    right = evaluate_windows(windows, n_windows)
    content = {
        "key": _key(responses),
        "result": describe(right, windows.tested().recordings),
        "windows": n_windows,
        "positions": positions,
        "maps": windows[TAP].shape[1] // (n_windows * positions),
        "notes": list(clips.notes),
    }
    write_json(folder / _name(responses), content, indent=2)
    return content


def load_soundnet_protocol(
    responses: Responses, folder: Path, *, dataset: str, root: str | Path | None = None
) -> dict[str, dict]:
    """Return what to show of `keep_soundnet_protocol` beside published accuracies: bundled, in `folder`, or computed.

    Returns
    -------
    dict of str to dict
        What it is -> as `dha_utils.evaluation.inference.describe` gives it. Empty where nothing is published, or where audio is
        needed that is not there.
    """

    def load(path: Path) -> tuple[dict, dict]:
        content = load_json(path, "result")
        return content, content["key"]

    def make() -> dict:
        if clips_at_hand(dataset, root, allow_missing=True) is None:
            print("SoundNet's own evaluation is not bundled and needs the audio: give its folder as root.")
            return {}
        return keep_soundnet_protocol(responses, clips_of(responses, dataset, root), folder)

    where = places(responses.provenance["dataset"], folder, _name(responses))
    content = obtain(_key(responses), where, load, make)[0] if dataset in PUBLISHED else {}
    return {"SoundNet's way": content["result"]} if content else {}


def _key(responses: Responses) -> dict:
    return key_of("soundnet_protocol", responses, tap=TAP, seconds=SECONDS, penalty=PENALTY)


def _name(responses: Responses) -> str:
    return f"soundnet_protocol_{responses.provenance['parameters']['rate']}.json"
