"""The data set that the page "How this is built" adds, added as it is written there."""

import sys
from types import ModuleType

import numpy as np
import pytest
import soundfile

from dha_utils.audio.inspection import inspect_clips
from dha_utils.core.errors import DataError, NoAudioError
from dha_utils.core.paths import repository
from dha_utils.datasets import DATASETS, load_clips
from dha_utils.datasets.registry import read_registry

SECTION = (repository() / "book" / "built.md").read_text("utf-8").partition("### A data set")[2]


def block(language):
    return SECTION.partition(f"```{language}\n")[2].partition("```")[0]


@pytest.fixture
def added(tmp_path, monkeypatch):
    (tmp_path / "registry.json").write_text(f"{{{block('json')}}}")
    for name, entry in read_registry(tmp_path / "registry.json").items():
        monkeypatch.setitem(DATASETS, name, entry)
    module = ModuleType("dha_utils.datasets.mine")
    exec(block("python"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_the_page_adds_a_data_set(added, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / "mine" / ("dog", "rain")[i % 2] / f"{i // 4 + 1}-{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.normal(size=8_000), 16_000)
    clips = load_clips("mine", tmp_path)
    assert (clips.name, clips.classes, clips.test_folds) == ("mine", ["dog", "rain"], [1, 2])
    assert clips.table["recording"].is_unique
    assert not inspect_clips(clips).faults
    with pytest.raises(DataError, match=r"no clips of mine in .*; `dha fetch mine` gets them"):
        load_clips("mine", tmp_path / "nowhere")
    monkeypatch.setenv("DHA_DATA", "")
    with pytest.raises(NoAudioError, match="the audio of My sounds is needed: `dha fetch mine`"):
        load_clips("mine")
