"""All artifacts of a data set that are committed under ``data/DATASET``, made from its audio."""

from collections.abc import Sequence
from pathlib import Path

from dha_utils.audio.inspection import identify
from dha_utils.core.errors import choose
from dha_utils.core.paths import atomic_write, bundled
from dha_utils.datasets import default_duration, default_rates, load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.responses.table import Responses
from dha_utils.studies.book_runs import keep_runs
from dha_utils.studies.crepe_responses import keep_crepe
from dha_utils.studies.examples import keep_examples
from dha_utils.studies.inputs import Inputs, compute_inputs, provenance_json
from dha_utils.studies.padding import keep_padding
from dha_utils.studies.pitch import keep_pitch
from dha_utils.studies.resampled import keep_copy
from dha_utils.studies.ridge import keep_ridge_errors
from dha_utils.studies.scores import keep_scores, keep_slips
from dha_utils.studies.silence import keep_silence
from dha_utils.studies.soundnet_protocol import keep_soundnet_protocol
from dha_utils.studies.trials import load_study


def _keep_ridge(responses: Responses, clips: Clips, folder: Path) -> None:
    keep_ridge_errors(load_study(responses, clips.name, clips.root), folder)


PARTS = {
    "scores": keep_scores,
    "slips": keep_slips,
    "padding": keep_padding,
    "copy": keep_copy,
    "examples": keep_examples,
    "silence": keep_silence,
    "runs": keep_runs,
    "ridge": _keep_ridge,
    "soundnet_protocol": keep_soundnet_protocol,
}
"""What is computed beside the responses, by name: functions of responses, their clips, and the folder to write to."""

WITH_CLASSIFIER = ("silence", "runs")
"""Those of `PARTS` that are told the classifier."""

ASKED_FOR = {"crepe": keep_crepe, "pitch": lambda clips, folder: keep_pitch(folder)}
"""What is computed only where it is named: functions of the clips and the folder."""


def make_bundle(
    dataset: str, root: str | None = None, only: Sequence[str] = (), classifier: str = "converging"
) -> Clips:
    """Compute the artifacts and write them to ``data/DATASET``; return the clips.

    Parameters
    ----------
    dataset, root
        As in `dha_utils.load_clips`.
    only : sequence of str
        ``inputs`` (responses, MFCC, spectrograms) or names of `PARTS` or `ASKED_FOR`; left out, all but the last. Without
        ``inputs``, parts go with the responses that are bundled.
    classifier : str
        Of the ensembles on sounds without their silence, and of the runs that pages compare with.

    Raises
    ------
    DataError
        As in `dha_utils.load_clips`; there are no bundled responses.
    ParameterError
        A part is none of these.
    """
    parts = [choose("part", name, ["inputs", *PARTS, *ASKED_FOR]) for name in only] or ["inputs", *PARTS]
    clips = identify(load_clips(dataset, root))
    folder, rates = bundled(clips.name), default_rates(clips.name)
    if "inputs" in parts:
        inputs = compute_inputs(clips, rates, default_duration(clips.name))
        inputs.save(folder)
        with atomic_write(folder / "provenance.json") as temporary:
            temporary.write_text(provenance_json(inputs), encoding="utf-8")
    else:
        inputs = Inputs.load(folder, rates, "")
    for name in PARTS:
        if name in parts:
            how = {"classifier": classifier} if name in WITH_CLASSIFIER else {}
            PARTS[name](inputs.responses[rates[0]], clips, folder, **how)
    for name in ASKED_FOR:
        if name in parts:
            ASKED_FOR[name](clips, folder)
    return clips
