"""Folders as people have them: what is taken, what is skipped and said, what is refused."""

import os
import shutil

import pytest
import soundfile
from cases import NEEDED, make_case

from dha_utils.core.errors import DataError
from dha_utils.datasets import load_clips
from dha_utils.datasets.folder import SUFFIXES
from dha_utils.datasets.given import name_of


@pytest.fixture
def folder(tmp_path):
    """Two classes of three empty files."""
    root = tmp_path / "mine"
    for label in ("dog", "rain"):
        (root / label).mkdir(parents=True)
        for i in range(3):
            (root / label / f"{i}.wav").touch()
    return root


def test_all_that_libsndfile_reads_is_sound(folder):
    endings = {
        "AIFF": ".aiff",
        "MP3": ".m1a",
        "OGG": ".oga",
        "RF64": ".rf64",
        "IRCAM": ".sf",
        "SVX": ".iff",
        "WAVEX": ".wav",
    }
    not_taken = {"MAT4", "MAT5", "MPC2K", "RAW", "XI"}
    for name in soundfile.available_formats().keys() - not_taken:
        assert endings.get(name, f".{name.lower()}") in SUFFIXES
    for suffix in SUFFIXES:
        (folder / "dog" / f"a{suffix}").touch()
        (folder / "dog" / f"B{suffix.upper()}").touch()
    clips = load_clips(folder)
    assert len(clips) == 6 + 2 * len(SUFFIXES)
    assert clips.notes == ()


def test_all_classes_that_are_too_small_are_named_at_once(folder):
    for label in ("cat", "cow"):
        (folder / label).mkdir()
        (folder / label / "a.wav").touch()
    message = r"class 'cat' of .* has 1 recording\(s\), and others have fewer than 2 as well \('cow'\); .*folders away"
    with pytest.raises(DataError, match=message):
        load_clips(folder)


def test_what_is_skipped_is_said_once_per_kind(folder):
    for name in ("dog/3.m4a", "dog/4.M4A", "rain/notes.txt", "rain/bare", "beside.wav", "readme.md"):
        (folder / name).touch()
    (folder / "dog" / "spaniel" / "young").mkdir(parents=True)
    for i in range(3):
        (folder / "dog" / "spaniel" / "young" / f"{i}.wav").touch()
    clips = load_clips(folder)
    assert len(clips) == 6
    assert clips.notes == (
        "skipped as no sound that can be read: .m4a (2), none (1), .txt (1), such as 'dog/3.m4a'",
        "skipped as not directly in the folder of a class: 4 sounds, such as 'beside.wav'",
    )


def test_what_machines_leave_is_skipped_without_a_word(folder):
    for name in ("__MACOSX/dog", "@eaDir", "dog/@eaDir", ".git", "lost+found"):
        (folder / name).mkdir(parents=True)
    for name in (
        "__MACOSX/dog/._0.wav",
        "dog/._0.wav",
        "dog/Thumbs.db",
        "dog/0.wav:Zone.Identifier",
        "dog/@eaDir/0.wav",
    ):
        (folder / name).touch()
    clips = load_clips(folder)
    assert clips.classes == ["dog", "rain"]
    assert (len(clips), clips.notes) == (6, ())


def test_an_empty_subfolder_is_skipped_with_a_note(folder):
    (folder / "unused").mkdir()
    clips = load_clips(folder)
    assert (clips.classes, clips.notes) == (["dog", "rain"], ("skipped as empty: 'unused'",))
    shutil.rmtree(folder / "rain")
    with pytest.raises(DataError, match=r"class 'unused' of .* has 0 recording"):
        load_clips(folder)


@pytest.mark.parametrize(
    "names", [("fold1", "fold2"), ("train", "test"), ("Training", "validation"), ("split_0", "split_1")]
)
def test_parts_of_a_data_set_are_no_classes(folder, names):
    for old, new in zip(("dog", "rain"), names, strict=True):
        (folder / old).rename(folder / new)
    with pytest.raises(
        DataError, match=f"its folders .*{names[0]}.* are parts of a data set and no classes; give"
    ):
        load_clips(folder)


def test_trains_are_a_class(folder):
    (folder / "dog").rename(folder / "train")
    assert load_clips(folder).classes == ["rain", "train"]


@pytest.mark.parametrize("harmed", ["dog/0.wav", "dog"])
def test_names_that_are_not_utf8(folder, harmed):
    strange = os.fsencode(folder / harmed).replace(b"dog", b"chi\xedo", 1 if harmed == "dog" else 0)
    strange = strange if harmed == "dog" else strange.replace(b"0.wav", b"chi\xedo.wav")
    os.rename(folder / harmed, strange)
    with pytest.raises(
        DataError, match=r"chi\\udcedo.*: names that are not UTF-8; rename them, as with `convmv"
    ) as caught:
        load_clips(folder)
    assert str(caught.value).encode()


def test_a_folder_without_rights(folder, monkeypatch):
    listed = os.listdir

    def refuse(path):
        if os.path.basename(path) == "rain":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr("os.listdir", refuse)
    with pytest.raises(
        DataError, match=r"mine/rain: cannot be read \(Permission denied\); see to its rights"
    ):
        load_clips(folder)


def test_a_name_that_is_too_long(folder):
    with pytest.raises(DataError, match="there is no data set and no folder"):
        load_clips("x" * 300)


LATIN1 = "names that are not UTF-8"
NAMES = {
    "latin1": LATIN1, "latin1_class": LATIN1, "newline": 12, "dash": 12, "spaces": 12, "long": 12, "upper": 12, "hidden": 12,
    "macosx": 12, "synology": 12, "loop": "class 'up' of .* has 0 recording", "broken": 13, "fifo": 12, "mixed": 9,
    "mixed_au": 12, "nested": 9, "nfd": 18,
}  # fmt: skip
"""Kind of case -> the clips that are found, or the line that it is answered with."""


@NEEDED
@pytest.mark.parametrize("kind", NAMES)
def test_names_of_people(tmp_path, monkeypatch, kind):
    folder = make_case(monkeypatch, "file_names", tmp_path / "mine", kind)
    if isinstance(NAMES[kind], str):
        with pytest.raises(DataError, match=NAMES[kind]):
            load_clips(folder)
        return
    clips = load_clips(folder)
    assert len(clips) == NAMES[kind]
    assert len(clips.notes) == (kind in ("mixed", "nested", "fifo"))


@NEEDED
@pytest.mark.parametrize("kind", ["folds", "splits"])
def test_splits_of_people(tmp_path, monkeypatch, kind):
    with pytest.raises(DataError, match="are parts of a data set and no classes"):
        load_clips(make_case(monkeypatch, "split_folders", tmp_path / "mine", kind))


def test_a_class_that_would_break_lines_is_refused(folder):
    (folder / "dog").rename(folder / "do\x1b[31mg\n")
    with pytest.raises(
        DataError,
        match=r"class 'do\\x1b\[31mg\\n' holds a control character or a line break",
    ):
        load_clips(folder)


def test_sounds_of_ones_own_are_not_taken_for_a_published_data_set(folder):
    own = folder.rename(folder.with_name("esc10"))
    table = own.parent / "esc50.csv"
    table.write_text(
        "path,label\n" + "".join(f"esc10/{c}/{i}.wav,{c}\n" for c in ("dog", "rain") for i in range(3))
    )
    assert [load_clips(path).name for path in (own, table)] == ["esc10-own", "esc50-own"]
    assert [name_of(str(path)) for path in (own, table)] == ["esc10-own", "esc50-own"]
