import numpy as np
from scipy import stats

from dha_utils.findings import shuffles


def test_shuffles(make_responses):
    responses = make_responses(per_class=16)
    labels = np.repeat([f"class{i}" for i in range(4)], 2)[np.arange(64) % 8]
    pure = type(responses)(responses.arrays, responses.table.assign(label=labels), responses.provenance)
    shuffled = shuffles.shuffle_by_recording(pure, 1)
    assert (shuffled.table["label"] != labels).any()
    assert (shuffled.table.groupby("recording")["label"].nunique() == 1).all()
    assert len(set(shuffles.shuffle_by_clip(pure, 1).recordings)) == 64


def test_ranks_are_scipys_and_stay_under_a_shuffle(make_responses):
    responses = make_responses(per_class=16)
    responses["relu7"][responses["relu7"] < 1] = 0  # ties
    ranks = shuffles.ranked(responses)
    assert ranks["relu7"].tolist() == stats.rankdata(responses["relu7"], axis=0).tolist()
    assert ranks.shuffle_labels(0)["relu7"] is ranks["relu7"]
