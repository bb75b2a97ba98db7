import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dha_utils.audio.inspection import identify, inspect_clips
from dha_utils.core.errors import DataError, FetchError
from dha_utils.core.paths import data_dir
from dha_utils.datasets import esc, fetch, load_clips
from dha_utils.datasets.esc import ESC50_META, read_index, read_index50
from dha_utils.datasets.esc_copies import describe_copy
from dha_utils.datasets.fetch import verify

ACROSS = (
    "4 recordings lie in two folds of the published split: 131943 (folds 2 and 3), 134049 (folds 2 and 3), "
    "209698 (folds 4 and 5), 234879 (folds 4 and 5)"
)
AT_16K = "not the published WAVs at 44100 Hz but a copy: FLAC at 16000 Hz, where nothing above 8 kHz survives"


def make_copy(root: Path, suffix: str = ".flac", rate: int = 16_000) -> Path:
    """Lay out all clips of ESC-50, without a table, as ten samples of noise each."""
    (root / "audio").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for file in read_index50()["file"]:
        soundfile.write(root / "audio" / Path(file).with_suffix(suffix), rng.uniform(-0.5, 0.5, 10), rate)
    return root


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return make_copy(tmp_path_factory.mktemp("data") / "ESC-50-16k")


@pytest.mark.parametrize("within", [False, True])
def test_a_whole_copy_at_another_rate_without_its_table(copy, within):
    clips = load_clips("esc50", copy.parent if within else copy)
    assert (len(clips), len(clips.classes), clips.root) == (2000, 50, copy)
    assert clips.notes == (AT_16K, ACROSS)
    row = clips.table.set_index("clip").loc["1-100032-A"]
    assert (row["label"], row["path"]) == ("dog", str(copy / "audio" / "1-100032-A-0.flac"))
    ten = load_clips("esc10", copy.parent if within else copy)
    columns = ["clip", "label", "fold", "recording"]
    assert ten.table[columns].equals(read_index()[columns])
    assert ten.notes == (AT_16K,)
    assert inspect_clips(ten).lines()[1] == f"  note: {AT_16K}"


def test_a_copy_is_not_taken_for_the_published_sounds(copy):
    ten = identify(load_clips("esc10", copy))
    files = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in ten.table["path"]]
    assert ten.table["sound"].tolist() == files
    assert not {*files} & {*read_index()["sha256"]}


def test_the_published_sounds_come_before_a_copy(copy, tmp_path):
    (tmp_path / "ESC-50-16k").symlink_to(copy)
    published = tmp_path / "ESC-50-master"
    (published / "audio").mkdir(parents=True)
    for file in read_index50()["file"]:
        (published / "audio" / file).touch()
    for name in ("esc10", "esc50"):
        assert load_clips(name, tmp_path).root == published
    (published / "audio" / "1-100032-A-0.wav").unlink()
    for name in ("esc10", "esc50"):
        assert load_clips(name, tmp_path).root == tmp_path / "ESC-50-16k"


def test_an_incomplete_copy_without_its_table(tmp_path):
    (tmp_path / "audio").mkdir()
    for file in read_index50()["file"][3:]:
        (tmp_path / "audio" / Path(file).with_suffix(".ogg")).touch()
    missing = (
        r"3 of the 2000 clips of ESC-50 are missing from .*, which has no meta/esc50\.csv .*1-100032-A-0\.ogg"
    )
    for allow_missing in (False, True):
        with pytest.raises(DataError, match=missing) as caught:
            load_clips("esc50", tmp_path, allow_missing=allow_missing)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"of the 400 clips of ESC-10 are missing .*audio/1-100032-A-0\.ogg"):
        load_clips("esc10", tmp_path)


def test_a_subset_by_its_table_in_another_format(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "audio").mkdir()
    index = read_index50().head(3)
    rows = index.rename(columns={"file": "filename", "label": "category"})
    rows.to_csv(tmp_path / "meta" / "esc50.csv", index=False)
    for file in index["file"][1:]:
        soundfile.write(tmp_path / "audio" / Path(file).with_suffix(".flac"), np.zeros(10), 44_100)
    clips = load_clips("esc50", tmp_path, allow_missing=True)
    assert clips.notes == (
        "a subset of 3 of the 2000 clips of ESC-50",
        "not the published WAVs at 44100 Hz but a copy: FLAC at 44100 Hz",
    )
    assert clips.table["path"][0].endswith("1-100032-A-0.flac")
    with pytest.raises(DataError, match="1 of the 3 clips of esc50 are missing"):
        load_clips("esc50", tmp_path)


def test_of_two_files_of_one_name_the_wav_is_taken(tmp_path):
    (tmp_path / "audio").mkdir()
    for file in read_index50()["file"]:
        (tmp_path / "audio" / file).touch()
    (tmp_path / "audio" / "1-100032-A-0.flac").touch()
    clips = load_clips("esc50", tmp_path)
    assert {Path(path).suffix for path in clips.table["path"]} == {".wav"}


def test_what_files_are(tmp_path):
    wavs = [tmp_path / f"{i}.wav" for i in range(120)]
    for i, path in enumerate(wavs):
        soundfile.write(path, np.full(10, i / 1000), 44_100)
    published = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in wavs}
    assert describe_copy(wavs, published) == ()
    assert describe_copy(wavs, {}) == (
        "not the published files but a copy, WAV at 44100 Hz (40 of 40 looked at are others)",
    )
    soundfile.write(tmp_path / "a.ogg", np.zeros(10), 22_050)
    (tmp_path / "empty.wav").touch()
    assert describe_copy([tmp_path / "empty.wav", tmp_path / "none.wav"], {}) == ()
    assert describe_copy([*wavs, tmp_path / "a.ogg", tmp_path / "empty.wav"], published) == (
        "not the published WAVs at 44100 Hz but a copy: 120 files, WAV at 44100 Hz and 1 files, OGG at 22050 Hz, where nothing "
        "above 11.025 kHz survives",
    )


def test_a_copy_is_not_verified_as_fetched(tmp_path):
    path = tmp_path / "audio" / read_index50()["file"][0]
    path.parent.mkdir()
    soundfile.write(path, np.zeros(10), 16_000)
    known = {f"audio/{path.name}": f"md5:{read_index50()['md5'][0]}"}
    assert known.items() <= esc.FILES["ESC-50"](tmp_path).items()
    assert esc.FILES["ESC-50"](tmp_path)["meta/esc50.csv"] == ESC50_META
    with pytest.raises(FetchError, match="is not the published file"):
        verify(tmp_path, known)
    assert any("to fetch" in line for line in fetch.plan("esc50", tmp_path))


def test_the_real_copy():
    root = data_dir() and data_dir() / "ESC-50-16k"
    if not root or not root.is_dir():
        pytest.skip("needs a folder ESC-50-16k in DHA_DATA: all clips of ESC-50 as FLAC at 16 kHz")
    assert load_clips("esc50", root).notes == (AT_16K, ACROSS)
    ten = load_clips("esc10")
    assert (ten.root.name, ten.notes) != (root.name, ())
