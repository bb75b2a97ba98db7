import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dha_utils.audio.inspection import inspect_clips
from dha_utils.core.errors import DataError
from dha_utils.core.paths import data_dir
from dha_utils.datasets import DATASETS, default_duration, load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.datasets.esc import FOLDERS, read_index, read_index50
from dha_utils.datasets.registry import read_registry

NO_AUDIO = pytest.mark.skipif(data_dir() is None, reason="DHA_DATA is not set: no real audio at hand")

# The class numbers of ESC-50, which end its file names.
TARGETS = {
    "dog": 0,
    "rooster": 1,
    "rain": 10,
    "sea_waves": 11,
    "crackling_fire": 12,
    "crying_baby": 20,
    "sneezing": 21,
    "clock_tick": 38,
    "helicopter": 40,
    "chainsaw": 41,
}


def make_esc10(root: Path) -> Path:
    """Lay out all clips of ESC-10 as empty files in the original way."""
    for row in read_index().itertuples():
        path = root / FOLDERS[row.label] / f"{row.clip}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "README.md").touch()
    return root


def make_esc50(root: Path) -> Path:
    """Lay out all clips of ESC-10, and one that is not of it, as empty files in the way of ESC-50."""
    (root / "audio").mkdir(parents=True)
    (root / "meta").mkdir()
    rows = [(f"{row.clip}-{TARGETS[row.label]}.wav", row.label, True) for row in read_index().itertuples()]
    rows.insert(5, ("1-100038-A-14.wav", "chirping_birds", False))
    for name, _, _ in rows:
        (root / "audio" / name).touch()
    pd.DataFrame(rows, columns=["filename", "category", "esc10"]).to_csv(
        root / "meta" / "esc50.csv", index=False
    )
    return root


def make_folder(root: Path, **files: list[str]) -> Path:
    """Lay out a folder of classes with empty files."""
    for label, names in files.items():
        (root / label).mkdir(parents=True)
        for name in names:
            (root / label / name).touch()
    return root


def test_a_registry_says_which_entry_is_not_one(tmp_path):
    (tmp_path / "registry.json").write_text('{"mine": {"module": "mine", "files": []}}')
    with pytest.raises(DataError, match=r"an entry is not as `Published` says: .*files"):
        read_registry(tmp_path / "registry.json")


def test_no_clips_are_an_error(tmp_path):
    (tmp_path / "table.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="table"):
        load_clips(tmp_path / "table.csv")


def test_the_index_is_the_published_design():
    index = read_index()
    assert len(index) == 400
    assert index["clip"].is_unique
    assert index["clip"].is_monotonic_increasing
    assert (index.groupby(["label", "fold"]).size() == 8).all()
    assert sorted(index["label"].unique()) == sorted(FOLDERS) == sorted(TARGETS)
    assert sorted(index["fold"].unique()) == [1, 2, 3, 4, 5]
    assert (index.groupby("recording")["fold"].nunique() == 1).all()
    assert (
        index["clip"] == index["fold"].astype(str) + "-" + index["recording"] + "-" + index["clip"].str[-1]
    ).all()
    assert index["sha256"].str.fullmatch("[0-9a-f]{64}").all()
    assert index["sha256"].is_unique


def test_both_layouts_give_the_same_table(tmp_path):
    original = load_clips("esc10", make_esc10(tmp_path / "original"))
    inside = load_clips("esc10", make_esc50(tmp_path / "inside"))
    columns = ["clip", "label", "fold", "recording"]
    pd.testing.assert_frame_equal(original.table[columns], inside.table[columns])
    pd.testing.assert_frame_equal(original.table[columns], read_index()[columns])
    row = original.table.set_index("clip").loc["1-100032-A"]
    assert row.to_dict() == {
        "path": str(tmp_path / "original" / "001 - Dog bark" / "1-100032-A.ogg"),
        "label": "dog",
        "fold": 1,
        "recording": "100032",
    }
    assert inside.table.set_index("clip").loc["1-100032-A", "path"] == str(
        tmp_path / "inside" / "audio" / "1-100032-A-0.wav"
    )
    for clips in (original, inside):
        assert clips.name == "esc10"
        assert all(Path(path).is_file() for path in clips.table["path"])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_esc10, "ESC-10"),
        (make_esc10, "ESC-10-553c8f1"),
        (make_esc50, "ESC-50"),
        (make_esc50, "ESC-50-master"),
        (make_esc10, "."),
        (make_esc50, "."),
    ],
)
def test_the_copy_is_found(tmp_path, monkeypatch, make, name):
    copy = make((tmp_path / name).resolve())
    monkeypatch.setenv("DHA_DATA", str(tmp_path))
    assert load_clips("esc10").root == copy
    assert load_clips("esc10", str(tmp_path)).root == copy
    monkeypatch.delenv("DHA_DATA")
    assert load_clips("esc10", copy).root == copy


def test_a_whole_copy_comes_before_a_partial_one(tmp_path):
    partial = make_esc10(tmp_path / "ESC-10")
    (partial / "002 - Rain" / "1-17367-A.ogg").unlink()
    whole = make_esc50(tmp_path / "ESC-50")
    assert load_clips("esc10", tmp_path).root == whole


def test_a_partial_copy_says_what_is_missing(tmp_path):
    copy = make_esc10(tmp_path / "ESC-10")
    for clip in read_index().query("label == 'rain'")["clip"][:5]:
        (copy / "002 - Rain" / f"{clip}.ogg").unlink()
    with pytest.raises(DataError, match=r"5 of the 400 clips of ESC-10 are missing") as caught:
        load_clips("esc10", tmp_path)
    message = str(caught.value)
    for clip in read_index().query("label == 'rain'")["clip"][:3]:
        assert f"002 - Rain/{clip}.ogg" in message
    assert (
        ", ...; run `dha fetch esc10`, or unpack https://github.com/karolpiczak/ESC-10/archive/553c8f1.zip"
        in message
    )
    assert "\n" not in message


def test_one_missing_clip_of_esc50(tmp_path):
    copy = make_esc50(tmp_path)
    (copy / "audio" / "1-100032-A-0.wav").unlink()
    with pytest.raises(
        DataError, match=r"1 of the 400 clips .*: audio/1-100032-A-0\.wav; run `dha fetch esc10`"
    ):
        load_clips("esc10", tmp_path)


@pytest.mark.parametrize(
    "meta", ["", "filename,category\n1-100032-A-0.wav,dog\n", "filename,esc10\na,b,c\nd\ne,f,g,h\n"]
)
def test_a_damaged_table_of_esc50(tmp_path, meta):
    copy = make_esc50(tmp_path)
    whole = load_clips("esc10", copy).table
    (copy / "meta" / "esc50.csv").write_text(meta)
    assert load_clips("esc10", copy).table.equals(whole)  # which clips are of ESC-10 is known without it
    if "category" not in meta:
        with pytest.raises(
            DataError, match=r"esc50\.csv is not the one of ESC-50 .*dha fetch esc50"
        ) as caught:
            load_clips("esc50", copy)
        assert "\n" not in str(caught.value)


def test_no_copy_at_all(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"neither ESC-10 nor ESC-50 .* is in .*unpack https://"):
        load_clips("esc10", tmp_path)
    with pytest.raises(
        DataError, match=r"there is no folder .*gone; run `dha fetch esc10`, or unpack https://"
    ):
        load_clips("esc10", tmp_path / "gone")
    monkeypatch.setenv("DHA_DATA", "")
    with pytest.raises(DataError, match=r"unpack https://.* and set DHA_DATA to that folder"):
        load_clips("esc10")


@pytest.mark.parametrize("name", ["ESC-10", "esc_10", "esc1"])
def test_a_near_miss_of_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"no data set and no folder '{name}' .did you mean 'esc10'"):
        load_clips(name)


def test_a_name_like_no_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"'birdsong'; known are esc10, esc50, dcase2016, dcase2016-evaluation, any folder"
    ):
        load_clips("birdsong")


def test_any_folder(tmp_path, monkeypatch):
    make_folder(
        tmp_path / "mine", rain=["a.wav", "b.FLAC", "notes.txt", ".hidden.wav"], dog=["c.ogg", "d.mp3"]
    )
    (tmp_path / "mine" / ".git").mkdir()
    (tmp_path / "mine" / "README.md").touch()
    clips = load_clips(tmp_path / "mine")
    assert clips.name == "mine"
    assert clips.table["clip"].tolist() == ["dog/c.ogg", "dog/d.mp3", "rain/a.wav", "rain/b.FLAC"]
    assert clips.table["path"].tolist() == [str(tmp_path / "mine" / clip) for clip in clips.table["clip"]]
    assert clips.table["recording"].tolist() == ["dog/c", "dog/d", "rain/a", "rain/b"]
    assert clips.classes == ["dog", "rain"]
    assert clips.y.tolist() == [0, 0, 1, 1]
    pd.testing.assert_frame_equal(load_clips("mine", tmp_path).table, clips.table)
    monkeypatch.chdir(tmp_path)
    pd.testing.assert_frame_equal(load_clips("mine").table, clips.table)


def test_folds_of_a_folder_are_stratified_and_always_the_same(tmp_path):
    names = {label: [f"{label}{i}.wav" for i in range(10)] for label in ("dog", "rain", "wind")}
    clips = load_clips(make_folder(tmp_path, **names))
    sizes = clips.table.groupby(["label", "fold"]).size()
    assert len(sizes) == 3 * 5
    assert (sizes == 2).all()
    np.testing.assert_array_equal(clips.folds, load_clips(tmp_path).folds)


def test_a_link_that_leads_nowhere_is_a_missing_clip(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(3):
            (tmp_path / label / f"{number}.wav").touch()
    (tmp_path / "a" / "2.wav").unlink()
    (tmp_path / "a" / "2.wav").symlink_to("elsewhere")
    clips = load_clips(tmp_path)
    assert len(clips) == 6
    assert inspect_clips(clips).faults["a/2.wav"] == "no such file"


def test_files_of_one_recording_stay_in_one_fold(tmp_path):
    names = [f"{i}.{suffix}" for i in range(10) for suffix in ("wav", "flac", "ogg")]
    clips = load_clips(make_folder(tmp_path, dog=names, rain=[f"r{name}" for name in names]))
    assert (clips.table.groupby("recording")["fold"].nunique() == 1).all()
    assert (clips.table.groupby(["label", "fold"]).size() == 6).all()


def test_files_of_one_name_in_two_classes_are_two_recordings(tmp_path):
    names = [f"{i}.wav" for i in range(5)]
    clips = load_clips(make_folder(tmp_path, dog=names, rain=names))
    assert clips.table["recording"].nunique() == 10


def test_a_small_class_makes_fewer_folds(tmp_path):
    clips = load_clips(
        make_folder(tmp_path, dog=[f"{i}.wav" for i in range(9)], rain=["x.wav", "y.wav", "z.wav"])
    )
    assert sorted(set(clips.folds)) == [1, 2, 3]
    assert sorted(clips.table.query("label == 'rain'")["fold"]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"dog": ["a.wav", "b.wav"], "rain": ["c.wav"]}, "class 'rain' of .* has 1 recording"),
        ({"dog": ["a.wav", "b.wav"], "rain": ["c.wav", "c.ogg"]}, "class 'rain' of .* has 1 recording"),
        (
            {"dog": ["a.wav", "b.wav"], "notes": ["c.txt"]},
            "class 'notes' of .* has 0 recording.*move the folder away",
        ),
        ({"dog": ["a.wav", "b.wav"]}, r"has 1 folder\(s\) in it; at least 2"),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, files, match):
    with pytest.raises(DataError, match=match):
        load_clips(make_folder(tmp_path, **files))


@pytest.fixture
def clips():
    rows = [
        ("a", "/x/a.wav", "rain", 1, "1"),
        ("b", "/x/b.wav", "dog", 2, "2"),
        ("c", "/x/c.wav", "rain", 2, "1"),
    ]
    return Clips(
        "mine", Path("/x"), pd.DataFrame(rows, columns=["clip", "path", "label", "fold", "recording"])
    )


def test_clips_as_arrays(clips):
    assert len(clips) == 3
    assert clips.classes == ["dog", "rain"]
    np.testing.assert_array_equal(clips.y, np.array([1, 0, 1], np.int64), strict=True)
    np.testing.assert_array_equal(clips.folds, np.array([1, 2, 2], np.int64), strict=True)
    assert clips.recordings.tolist() == ["1", "2", "1"]


@pytest.mark.parametrize(
    ("indices", "expected"),
    [([2, 0], ["c", "a"]), (range(2), ["a", "b"]), (np.array([False, True, True]), ["b", "c"]), ([], [])],
)
def test_some_of_the_clips(clips, indices, expected):
    some = clips.take(indices)
    assert some.table["clip"].tolist() == expected
    assert some.table.index.tolist() == list(range(len(expected)))
    assert (some.name, some.root) == (clips.name, clips.root)


def test_a_clip_id_belongs_to_one_clip(clips):
    with pytest.raises(DataError, match="clip 'b' occurs more than once"):
        clips.take([1, 1])


@NO_AUDIO
def test_the_real_esc10_is_the_published_one():
    clips = load_clips("esc10")
    columns = ["clip", "label", "fold", "recording"]
    pd.testing.assert_frame_equal(clips.table[columns], read_index()[columns])
    if clips.table["path"].iloc[0].endswith(".wav"):
        pytest.skip("hashes are known of the original Ogg files only")
    hashes = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in clips.table["path"]]
    assert hashes == read_index()["sha256"].tolist()


def make_whole_esc50(root: Path, n_clips: int = 2000) -> Path:
    """Lay out ESC-50, or its first clips, as empty files."""
    index = read_index50().head(n_clips)
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    for file in index["file"]:
        (root / "audio" / file).touch()
    table = index.rename(columns={"file": "filename", "label": "category", "recording": "src_file"})
    table.to_csv(root / "meta" / "esc50.csv", index=False)
    return root


def test_esc50_is_the_published_design(tmp_path):
    clips = load_clips("esc50", make_whole_esc50(tmp_path / "ESC-50-master").parent)
    assert (len(clips), len(clips.classes)) == (2000, 50)
    assert (clips.table.groupby(["label", "fold"]).size() == 8).all()
    # Four recordings gave clips of two classes each, in neighbouring folds; so it was published.
    split = clips.table.groupby("recording")["fold"].nunique()
    assert sorted(split.index[split > 1]) == ["131943", "134049", "209698", "234879"]
    row = clips.table.set_index("clip").loc["1-100032-A"]
    assert (row["label"], row["fold"], row["recording"]) == ("dog", 1, "100032")
    assert row["path"].endswith("ESC-50-master/audio/1-100032-A-0.wav")
    assert read_index50()["md5"].is_unique
    ten = read_index().set_index("clip")
    fifty = clips.table.set_index("clip").loc[ten.index]
    assert (fifty[["label", "fold", "recording"]] == ten[["label", "fold", "recording"]]).all(axis=None)


def test_esc50_partial_subset_and_strange(tmp_path):
    copy = make_whole_esc50(tmp_path / "ESC-50", 60)
    assert load_clips("esc50", tmp_path).notes == ("a subset of 60 of the 2000 clips of ESC-50",)
    (copy / "audio" / "1-100032-A-0.wav").unlink()
    with pytest.raises(
        DataError, match=r"1 of the 60 clips of esc50 are missing: .*`dha fetch esc50` gets them"
    ):
        load_clips("esc50", tmp_path)
    assert len(load_clips("esc50", tmp_path, allow_missing=True)) == 60
    (copy / "meta" / "esc50.csv").write_text("filename,category\n1-1-A-0.wav,dog\n")
    with pytest.raises(DataError, match="is not the one of ESC-50"):
        load_clips("esc50", tmp_path)


def test_a_table_with_everything(tmp_path):
    text = "label\tPath\tfold\trecording\tnote\nrain\tx/b.wav\t2\tr1\t\ndog\tx/a.wav\t1\td1\thm\nrain\tx/c.wav\t0\tr2\t\n"
    (tmp_path / "mine.tsv").write_text("\ufeff" + text, "utf-8")
    (tmp_path / "x").mkdir()
    for name in "abc":
        (tmp_path / "x" / f"{name}.wav").touch()
    clips = load_clips("mine.tsv", tmp_path)
    assert (clips.name, clips.root) == ("mine", tmp_path)
    assert clips.table["clip"].tolist() == ["x/a.wav", "x/b.wav", "x/c.wav"]
    assert clips.table["path"].tolist() == [str(tmp_path / "x" / f"{name}.wav") for name in "abc"]
    assert clips.folds.tolist() == [1, 2, 0]
    assert clips.recordings.tolist() == ["d1", "r1", "r2"]
    assert clips.test_folds == [1, 2]


def test_folds_of_a_table_are_made(tmp_path):
    rows = [
        (f"{label}/{i}.{suffix}", label) for label in "ab" for i in range(6) for suffix in ("wav", "flac")
    ]
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(tmp_path / "mine.csv", index=False)
    clips = load_clips(tmp_path / "mine.csv", allow_missing=True)
    assert clips.test_folds == [1, 2, 3, 4, 5]
    assert (clips.table.groupby("recording")["fold"].nunique() == 1).all()
    assert clips.table["recording"].nunique() == 12


def test_a_data_set_is_an_entry_and_a_module():
    for name, published in DATASETS.items():
        assert callable(published.code.LOADERS[name])
        assert published.comes_with in ("", *(other for other, one in DATASETS.items() if one.sets))
        assert bool(published.sets) != bool(published.comes_with)
    assert [default_duration(name) for name in ("esc50", "dcase2016-evaluation", "mine.csv")] == [
        5.0,
        30.0,
        5.0,
    ]
