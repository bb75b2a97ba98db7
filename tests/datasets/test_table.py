"""Tables as people write them: read where there is one reading, else answered with one line that says what to do."""

import codecs
import csv
import io
import os
import time
import unicodedata

import numpy as np
import pandas as pd
import pytest
from cases import NEEDED, make_case
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from dha_utils.core.errors import DataError
from dha_utils.datasets import load_clips
from dha_utils.datasets.folds import _spread, make_folds
from dha_utils.datasets.table import load_table

FILES = [f"{label}/{label}{i}.wav" for label in ("dog", "rain") for i in range(6)]


def rows(*columns, header="path,label"):
    """Return a table of the twelve files with their labels and further columns, functions of the row's number."""
    lines = [header]
    for i, file in enumerate(FILES):
        lines.append(",".join([file, file.partition("/")[0], *(str(column(i)) for column in columns)]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    """A function that writes a table beside twelve empty files."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()

    def write(content, name="mine.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return write


PLAIN = rows()
READ = {
    "as it should be": PLAIN,
    "Windows line ends and a byte order mark": codecs.BOM_UTF8 + PLAIN.replace("\n", "\r\n").encode(),
    "line ends of old": PLAIN.replace("\n", "\r"),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, the other way round": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "separator said": "sep=,\n" + PLAIN,
    "another separator said": "sep=:\n" + PLAIN.replace(",", ":"),
    "comments": "# made by a script\n\n#, twice\n" + PLAIN,
    "header in a comment": "# " + PLAIN,
    "empty lines": PLAIN.replace("\n", "\n\n"),
    "rows of nothing": PLAIN + ",,\n , \n",
    "empty cells at the end": "path,label,,\n" + PLAIN.partition("\n")[2].replace("\n", ",,\n"),
    "empty cells at the end of rows alone": "path,label\n" + PLAIN.partition("\n")[2].replace("\n", ",\n"),
    "numbers of rows": ",path,label\n" + "".join(f"{i},{line}\n" for i, line in enumerate(PLAIN.split()[1:])),
    "quotation marks": '"path","label"\n' + PLAIN.partition("\n")[2].replace(",", '","').replace("\n", '"\n').replace(
        "dog/", '"dog/').replace("rain/", '"rain/'),
    "spaces around": PLAIN.replace(",", " , "),
    "spaces that do not break": PLAIN.replace("\n", "\u00a0\n"),
    "capitals": PLAIN.replace("path,label", "Path,LABEL"),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_what_has_one_reading_is_read(write, case):
    clips = load_clips(write(READ[case]))
    assert clips.table["clip"].tolist() == FILES
    assert clips.table["label"].tolist() == [file.partition("/")[0] for file in FILES]
    assert clips.test_folds == [1, 2, 3, 4, 5]
    assert clips.notes == ()


def test_a_cell_may_hold_what_separates_and_a_mark(write):
    clips = load_clips(write('path,label\ndog/dog0.wav,"a, ""b"""\ndog/dog1.wav,"a, ""b"""\n'
                             'rain/rain0.wav,5" pipe\nrain/rain1.wav,5" pipe\n'))  # fmt: skip
    assert clips.classes == ['5" pipe', 'a, "b"']


REFUSED = {
    "label with a comma": (PLAIN.replace("dog\n", "dog, far\n"), "line 2: has 3 cells where the first line names 2"),
    "short row": (PLAIN + "x.wav\n", "line 14: has 1 cell where the first line names 2"),
    "row names that the header has not": (
        "path,label\n" + "".join(f"{i},{line}\n" for i, line in enumerate(PLAIN.split()[1:])), "line 2: has 3 cells",
    ),
    "column twice": (rows(lambda i: i % 2, header="path,label,label"), "columns 'label' and 'label' could each be"),
    "column under two names": (
        rows(lambda i: i % 2, header="path,class,category"), "columns 'class' and 'category' could each be the label",
    ),
    "Windows-1252": (PLAIN.replace(",rain", ",flüssig").encode("cp1252"),
                     "line 8: is not UTF-8; as Windows-1252 it reads 'rain/rain0.wav,flüssig'; save the table as UTF-8"),
    "half a character of UTF-16": (PLAIN.encode("utf-16")[:-1], "line 13: is not UTF-16"),
    "UTF-16 without its mark": (PLAIN.encode("utf-16-le"), "is no text, or UTF-16 without its mark"),
    "mark never closed": (PLAIN.replace("dog/dog3", '"dog/dog3'), "line 5: is a quotation mark missing"),
    "two marks never closed": (
        PLAIN.replace("dog/dog3", '"dog/dog3').replace("rain/rain2", '"rain/rain2'), "line 5: is a quotation mark missing",
    ),
    "rows inside a label": (
        PLAIN.replace("dog3.wav,", 'dog3.wav,"').replace("rain0.wav,rain", 'rain0.wav,rain"'),
        r"line 5: label 'dog\\ndog/dog4.*' holds a control character or a line break",
    ),
    "NUL": (PLAIN + "a\0b.wav,dog\n", r"line 14: path 'a\\x00b.wav' holds a control character"),
    "nothing but comments": ("# path\n# label\n", "is empty"),
    "path twice in two spellings": (PLAIN + "./dog/dog0.wav,dog\n", "line 14: './dog/dog0.wav' is listed twice, in line 2"),
    "several labels": (
        'fname,labels\na,"Dog,Animal"\nb,Dog\n', "line 2: labels 'Dog,Animal' are several labels of one clip",
    ),
    "segments of AudioSet": (
        '# Segments csv\n# YTID, start_seconds, end_seconds, positive_labels\nab-1, 30.0, 40.0, "/m/0b,/m/0j"\n',
        "line 3: positive_labels '/m/0b,/m/0j' are several labels of one clip",
    ),
    "a name too long": (PLAIN + "x" * 300 + ".wav,dog\n", "1 of the 13 clips of mine are missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_several_readings_is_refused_in_one_line(write, case):
    content, error = REFUSED[case]
    with pytest.raises(DataError, match=error) as caught:
        load_clips(write(content))
    assert "\n" not in str(caught.value)


def test_columns_that_resemble_others_are_ignored_and_named(write):
    text = rows(lambda i: "a", lambda i: "me", header="path,label,folder,recordist")
    clips = load_clips(write(text))
    assert clips.test_folds == [1, 2, 3, 4, 5]
    assert clips.notes == ("columns not used: folder, recordist",)


PUBLISHED = {
    "ESC-50": (
        "filename,fold,target,category,esc10,src_file,take",
        lambda i, name: f"{name},{i % 5 + 1},0,{name[:3]},True,{1000 + i},A",
        "columns taken: filename for path, category for label, src_file for recording",
    ),
    "UrbanSound8K": (
        "slice_file_name,fsID,start,end,salience,fold,classID,class",
        lambda i, name: f"{name},{100 + i},0.0,1.0,1,{i % 10 + 1},0,{name[:3]}",
        "columns taken: slice_file_name for path, class for label, fsID for recording",
    ),
    "Freesound Audio Tagging": (
        "fname,label,manually_verified", lambda i, name: f"{name},{name[:3]},1", "columns taken: fname for path",
    ),
    "FSD50K with one label each": (
        "fname,labels,mids,split",
        lambda i, name: f"{name[:-4]},{name[:3]},/m/0b,{'train' if i % 3 else 'val'}",
        "columns taken: fname for path, labels for label, split for fold",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PUBLISHED)
def test_columns_of_published_tables(write, tmp_path, case):
    header, line, note = PUBLISHED[case]
    # As most of them lie: the table in one folder, the sounds in another, in subfolders or not.
    for file in FILES:
        sound = tmp_path / "audio" / f"fold{len(file) % 3}" / file.partition("/")[2]
        sound.parent.mkdir(parents=True, exist_ok=True)
        sound.touch()
    lines = [header, *(line(i, file.partition("/")[2]) for i, file in enumerate(FILES))]
    clips = load_clips(write("\n".join(lines), "meta/table.csv"))
    assert clips.classes == ["dog", "rai"]
    assert clips.notes[0] == note
    assert clips.notes[-1].startswith("sounds found by their names in ../audio/fold")
    assert clips.table["recording"].nunique() == 12


def test_a_table_of_acoustic_scenes(write):
    lines = [f"{file}\t{file.partition('/')[0]}\tx-{i // 2}\ta" for i, file in enumerate(FILES)]
    clips = load_clips(write("\n".join(["filename\tscene_label\tidentifier\tsource_label", *lines])))
    assert clips.notes[0] == (
        "columns taken: filename for path, scene_label for label, identifier for recording"
    )
    assert clips.table["recording"].nunique() == 6


def test_a_name_of_two_files_is_not_guessed(write, tmp_path):
    for folder in ("dog", "rain"):
        (tmp_path / folder / "same.wav").touch()
    with pytest.raises(DataError, match=r"1 of the 13 clips of mine are missing: .*/same.wav"):
        load_clips(write(PLAIN.replace("dog/", "").replace("rain/", "") + "same.wav,dog\n"))


def test_paths_of_windows(write, tmp_path):
    clips = load_clips(write(PLAIN.replace("/", "\\")))
    assert clips.table["path"].tolist() == [str(tmp_path / file) for file in FILES]
    assert clips.notes == ("a backslash in a path was taken for a slash",)


def test_paths_that_this_disk_has_in_capitals_or_with_other_accents(write, tmp_path):
    (tmp_path / "dog" / "dog0.wav").rename(tmp_path / "dog" / unicodedata.normalize("NFD", "flüssig.wav"))
    (tmp_path / "rain" / "rain0.wav").rename(tmp_path / "rain" / "RAIN0.WAV")
    clips = load_clips(write(PLAIN.replace("dog/dog0", "dog/flüssig").replace("rain/rain1", "Rain/Rain1")))
    assert all(map(os.path.isfile, clips.table["path"]))
    assert clips.notes == (
        "paths taken although capitals or the coding of accents differ on this disk: 3, 'dog/flüssig.wav' is "
        f"{unicodedata.normalize('NFD', 'dog/flüssig.wav')!r}",
    )
    (tmp_path / "rain" / "Rain0.wav").touch()  # two files that could be meant
    with pytest.raises(DataError, match=r"1 of the 12 clips of mine are missing: .*/rain/rain0.wav"):
        load_clips(write(PLAIN.replace("dog/dog0", "dog/flüssig")))
    with pytest.raises(DataError, match="2 of the 13 clips of mine are missing"):
        load_clips(
            write(
                PLAIN.replace("dog/dog0", "dog/flüssig").replace("rain0", "rain1b")
                + "a/" * 1500
                + "a.wav,dog\n"
            )
        )


def test_paths_from_home_and_of_browsers(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for begin in ("~/", f"file://{tmp_path}/", f"FILE://localhost{tmp_path}/%64%6F%67/../"):
        clips = load_clips(
            write(PLAIN.replace("dog/dog", f"{begin}dog/dog").replace("rain/rain", f"{begin}rain/rain"))
        )
        assert clips.table["path"].tolist() == [str(tmp_path / file) for file in FILES]
    with pytest.raises(
        DataError, match=r"line 8: path 'https://x.org/rain0.wav' is an address; get the files"
    ):
        load_clips(write(PLAIN.replace("rain/rain0", "https://x.org/rain0")))


def test_folds_are_those_of_scikit_learn_and_soon_there():
    rng = np.random.default_rng(0)
    for n_folds in (2, 3, 4, 5):
        for n_labels, n_recordings in ((2, 30), (5, 60), (9, 200)):
            recordings = np.r_[0:n_recordings, rng.integers(0, n_recordings, 60)]
            labels = rng.integers(0, n_labels, len(recordings)) if n_folds % 2 else recordings % n_labels
            table = pd.DataFrame({"label": labels.astype(str), "recording": recordings.astype(str)})
            splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
            expected = np.zeros(len(table), int)
            for fold, (_, test) in enumerate(splitter.split(table, table["label"], table["recording"])):
                expected[test] = fold
            np.testing.assert_array_equal(_spread(table["label"], table["recording"], n_folds), expected)
    many = pd.DataFrame(
        {"label": [f"{i % 50}" for i in range(5000)], "recording": [f"{i}" for i in range(5000)]}
    )
    began = time.process_time()
    assert np.bincount(make_folds(many, "many"))[1:].tolist() == [1000] * 5
    assert time.process_time() - began < 3


FOLDS = {
    "numbers": ([1, 2, 3], lambda i: i % 3 + 1),
    "numbers with a point": ([1, 2, 3], lambda i: f"{i % 3 + 1}.0"),
    "words with numbers": ([1, 2, 3], lambda i: f"fold{i % 3 + 1}"),
    "words apart": ([1, 2, 3], lambda i: f"Fold_{i % 3 + 1}"),
    "parts of a split": ([0, 1], lambda i: "train" if i % 3 else "test"),
    "parts by other names": ([0, 1], lambda i: "Training" if i % 3 else "Validation"),
}


@pytest.mark.parametrize("case", FOLDS)
def test_folds_however_written(write, case):
    expected, fold = FOLDS[case]
    for name, note in (("fold", ()), ("split", ("columns taken: split for fold",))):
        clips = load_clips(write(rows(fold, header=f"path,label,{name}")))
        assert sorted(set(clips.folds)) == expected
        assert clips.notes == note
    if case.startswith("parts"):
        assert (clips.folds == 1).tolist() == [i % 3 == 0 for i in range(12)]


@pytest.mark.parametrize(
    ("fold", "error"),
    [
        (
            lambda i: ("train", "val", "test")[i % 3],
            "column fold says test, train, val, which is not one part",
        ),
        (lambda i: "train", "column fold says train, which is not one part"),
        (lambda i: "train" if i else "1", "line 2: fold '1' is no fold|line 3: fold 'train' is no fold"),
        (lambda i: "2.5", "line 2: fold '2.5' is no fold: number all of them"),
        (lambda i: "-1", "line 2: fold '-1' is no fold"),
        (lambda i: "", "line 2: fold '' is no fold"),
    ],
)
def test_folds_that_cannot_be_told(write, fold, error):
    with pytest.raises(DataError, match=error):
        load_clips(write(rows(fold, header="path,label,fold")))


def test_a_recording_in_two_folds(write):
    text = rows(lambda i: i % 2 + 1, lambda i: f"r{i // 2}", header="path,label,fold,recording")
    with pytest.raises(
        DataError, match=r"recordings in several folds: r0 \(folds 1 and 2\).* and 2 more; .*leave the"
    ):
        load_clips(write(text))
    clips = load_clips(write(text.replace("recording", "src_file")))
    assert clips.notes[1].startswith("recordings in several folds: r0 (folds 1 and 2), r1")
    assert clips.notes[1].endswith("and 2 more")
    assert load_clips(write(text.replace(",fold,", ",unknown,"))).test_folds == [1, 2, 3]


OF_PEOPLE = {
    "audioset.csv": "line 4: positive_labels .* are several labels",
    "cp1252.csv": "line 8: is not UTF-8",
    "empty_label.csv": "line 2: label is empty",
    "fsd50k.csv": "line 2: labels .* are several labels",
    "header_twice.csv": "columns 'label' and 'label'",
    "longpath.csv": "1 of the 13 clips of longpath are missing",
    "nul.csv": "line 14: path .* holds a control character",
    "tilde.csv": "12 of the 12 clips of tilde are missing",
    "twice.csv": "line 14: 'dog/dog0.wav' is listed twice",
    "twice_spelled.csv": "line 14: './dog/dog0.wav' is listed twice",
    "unbalanced.csv": "line 5: is a quotation mark missing",
    "unbalanced_two.csv": "line 5: is a quotation mark missing",
    "unquoted_comma.csv": "line 2: has 3 cells",
    "unquoted_comma2.csv": "line 2: has 3 cells",
    "unquoted_some.csv": "line 3: has 3 cells",
    "urbansound8k.csv": "12 of the 12 clips of urbansound8k are missing",
    "url.csv": "line 2: path 'https://.*' is an address; get the files",
    "windows.csv": "12 of the 12 clips of windows are missing",
}
"""The line that each of these tables is answered with; all others hold the twelve sounds."""

LABELS = {
    "case_label.csv": 4, "nan_label.csv": 3, "zero_width.csv": 4,
}  # fmt: skip
"""Classes, where they are not two: what is odd about them is said by `dha inspect`."""


@NEEDED
def test_tables_of_people(tmp_path, monkeypatch):
    folder = make_case(monkeypatch, "tables", tmp_path)
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
    assert len(tables) >= 55
    for table in tables:
        if table.name in OF_PEOPLE:
            with pytest.raises(DataError, match=OF_PEOPLE[table.name]):
                load_clips(table)
            continue
        clips = load_clips(table)
        assert len(clips) == 12, table
        assert len(clips.classes) == LABELS.get(table.name, 2), table
        assert clips.table["path"].nunique() == 12, table


def test_a_table_that_may_not_be_read(write, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    table = write(PLAIN)
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(DataError, match=r"mine.csv: cannot be read \(Permission denied\)"):
        load_table(table)


CELL = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="./\\"), min_size=1, max_size=12
)
CELLS = CELL.map(str.strip).filter(bool)


@settings(max_examples=60, deadline=None, database=None)
@given(
    paths=st.lists(CELLS, min_size=4, max_size=9, unique=True),
    labels=st.lists(CELLS, min_size=2, max_size=2, unique=True),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_programs_write_is_read_cell_by_cell(
    tmp_path_factory, paths, labels, separator, quoting, end, encoding
):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)
    rows = [(path, labels[i % 2]) for i, path in enumerate(paths)]
    writer.writerows([("path", "label"), *rows])
    file = tmp_path_factory.mktemp("table") / "x.csv"
    file.write_bytes(text.getvalue().encode(encoding))
    clips = load_table(file)
    assert dict(zip(clips.table["clip"], clips.table["label"], strict=True)) == dict(rows)


PARTS = [*',;\t|#\n\r ="\\\0\u200bab1', "path", "label", "fold", "sep=", "dog/dog0.wav", "rain.wav"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)


@settings(max_examples=100, deadline=None, database=None)
@given(TEXTS, st.sampled_from(["", "path,label\n", "path;label;fold\n", "filename\tclass\tsplit\n"]))
def test_any_text_is_a_table_or_refused_in_one_line(tmp_path_factory, text, header):
    file = tmp_path_factory.mktemp("table") / "x.csv"
    file.write_text(header + text, encoding="utf-8", newline="")
    clips, refusal = attempt(file)
    assert "\n" not in refusal
    assert refusal or len(clips.classes) >= 2


def attempt(file):
    try:
        return load_table(file), ""
    except DataError as error:
        return None, str(error)
