"""All artifacts of a data set that are committed under ``data/DATASET``, made from its audio."""

from dha_utils.audio.inspection import identify
from dha_utils.core.paths import atomic_write, bundled
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.studies.examples import keep_examples
from dha_utils.studies.inputs import BUNDLED_RATES, compute_inputs, provenance_json
from dha_utils.studies.padding import keep_padding
from dha_utils.studies.ridge import keep_ridge_errors
from dha_utils.studies.scores import keep_scores, keep_slips
from dha_utils.studies.silence import keep_silence
from dha_utils.studies.trials import load_study


def make_bundle(dataset: str, root: str | None = None) -> Clips:
    """Compute the artifacts and write them to ``data/DATASET``; return the clips.

    Arguments and errors as in `dha_utils.load_clips`.
    """
    clips = identify(load_clips(dataset, root))
    inputs = compute_inputs(clips, BUNDLED_RATES, duration=5.0)
    folder = bundled(clips.name)
    inputs.save(folder)
    responses = inputs.responses[BUNDLED_RATES[0]]
    for keep in (keep_scores, keep_slips, keep_padding, keep_examples, keep_silence):
        keep(responses, clips, folder)
    keep_ridge_errors(load_study(responses, dataset, root), folder)
    with atomic_write(folder / "provenance.json") as temporary:
        temporary.write_text(provenance_json(inputs), encoding="utf-8")
    return clips
