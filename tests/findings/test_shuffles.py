import numpy as np

from dha_utils.findings import shuffles


def test_shuffles(make_responses):
    responses = make_responses(per_class=16)
    labels = np.repeat([f"class{i}" for i in range(4)], 2)[np.arange(64) % 8]
    pure = type(responses)(responses.arrays, responses.table.assign(label=labels), responses.provenance)
    shuffled = shuffles.shuffle_by_recording(pure, 1)
    assert (shuffled.table["label"] != labels).any()
    assert (shuffled.table.groupby("recording")["label"].nunique() == 1).all()
    assert len(set(shuffles.shuffle_by_clip(pure, 1).recordings)) == 64
