import numpy as np
import pandas as pd
import pytest
import soundfile

from dha_utils.core.errors import DataError
from dha_utils.criteria import CRITERIA
from dha_utils.criteria.filters import layer_weights
from dha_utils.criteria.selection import score_maps
from dha_utils.datasets.clips import Clips
from dha_utils.responses.maps import iterate_maps, selection_clips
from dha_utils.studies.scores import FoldScores, compute_scores


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(28):
        path = folder / f"{i}.wav"
        soundfile.write(path, rng.uniform(-0.5, 0.5, 8000) * (1 + i % 2), 22_050, subtype="FLOAT")
        row = {
            "clip": f"c{i:02d}",
            "path": str(path),
            "label": "ab"[i % 2],
            "fold": i // 14 + 1,
            "recording": f"r{i}",
        }
        rows.append(row)
    return Clips("made-up", folder, pd.DataFrame(rows))


def test_scores_are_those_of_the_training_clips(clips, random_network, tmp_path):
    scores = compute_scores(clips, rate=22_050, duration=0.35, model=random_network)
    scores.save(tmp_path / "scores.safetensors")
    loaded = FoldScores.load(tmp_path / "scores.safetensors")
    drawn = clips.take(selection_clips(clips.y, clips.folds != 2))
    maps = dict(iterate_maps(drawn, ["relu3"], model=random_network, duration=0.35))
    for name in ("apoz", "anova_time_corrected"):
        expected = score_maps(maps, name, y=drawn.y)["relu3"]
        got = loaded.get(name, 2)["relu3"]
        np.testing.assert_array_equal(got.score, expected.score)
        assert got.n_keep == expected.n_keep
    weights = score_maps({"relu3": layer_weights(random_network, "relu3")}, "l1")["relu3"]
    np.testing.assert_array_equal(loaded.get("l1", 1)["relu3"].score, weights.score)
    needed = {name for name, criterion in CRITERIA.items() if criterion.needs in ("maps", "weights")}
    assert {name for name, _ in loaded.scores} == needed
    with pytest.raises(DataError, match="no scores of criterion 'anova' for fold 1"):
        loaded.get("anova", 1)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such file; `dha bundle` computes it from audio"):
        FoldScores.load(tmp_path / "none.safetensors")
