"""Bad input of every kind, each with the one line that it is answered with; and properties of the parsers."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from miniatures import DEVELOPMENT, EVALUATION, make_dcase2016, make_sounds
from typer.testing import CliRunner

from dha_utils.cli.main import app
from dha_utils.cli.options import parse_value
from dha_utils.core.errors import DataError, DhaError
from dha_utils.datasets import load_clips
from dha_utils.datasets.table import load_table
from dha_utils.datasets.tut import parse_name, read_list

FEW = settings(max_examples=60, deadline=None, database=None)


def answer(*arguments) -> str:
    """Return what the command says of bad input: one line on stderr, exit code 1, nothing else."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 1, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dha: ")
    return last


@pytest.fixture
def sounds(tmp_path):
    return make_sounds(tmp_path / "sounds", seconds=0.1)


def files_below(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ROWS = "".join(f"{c}{i}.wav,{c}\n" for c in "ab" for i in range(3))
TABLES = {
    "no columns": ("x.csv", "a.wav,b\n", "has no column 'path'"),
    "misspelled column": ("x.csv", "paths,label\na,b\n", "has no column 'path', nor .* first line is 'paths, label'"),
    "no label": ("x.csv", "path,fold\na,1\n", "has no column 'label'"),
    "column twice": ("x.csv", "path,label,Label\na,b,c\n", "columns 'label' and 'Label' could each be the label"),
    "no rows": ("x.csv", "path,label\n", "lists no clips"),
    "nothing": ("x.csv", "", "is empty"),
    "empty label": ("x.csv", "path,label\na.wav,x\nb.wav, \n", "line 3: label is empty"),
    "empty path": ("x.csv", "path,label\n,x\n", "line 2: path is empty"),
    "path twice": ("x.csv", "path,label\na.wav,x\na.wav,y\n", "line 3: 'a.wav' is listed twice"),
    "one class": ("x.csv", "path,label\na.wav,x\nb.wav,x\n", "all rows have the label 'x'"),
    "fold no number": ("x.csv", "path,label,fold\na,x,1\nb,y,one\n", "line 3: fold 'one' is no fold"),
    "fold missing in a row": ("x.csv", "path,label,fold\na,x,1\nb,y,\n", "line 3: fold '' is no fold"),
    "negative fold": ("x.csv", "path,label,fold\na,x,-1\nb,y,1\n", "line 2: fold '-1'"),
    "recording in two folds": (
        "x.csv", "path,label,fold,recording\na,x,1,r\nb,y,2,r\n", r"recordings in several folds: r \(folds 1 and 2\)",
    ),
    "short row": ("x.csv", "path,label\na,x\nb\n", "line 3: has 1 cell where the first line names 2"),
    "class with one recording": ("x.csv", f"path,label\n{ROWS}c.wav,once\n", r"class 'once' of .* has 1 recording"),
    "semicolons": ("x.csv", "path;label\na;b\n", "all rows have the label 'b'"),
    "not UTF-8": ("x.csv", "path,label\n\xff\xfe,x\n".encode("latin1"), "line 2: is not UTF-8"),
    "binary": ("x.csv", bytes(range(256)), "is not UTF-8"),
    "another suffix": ("x.txt", "path,label\na,b\n", "is neither a folder nor a .csv or .tsv table"),
    "files that are not there": ("x.csv", f"path,label\n{ROWS}", "6 of the 6 clips of x are missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_tables(tmp_path, case):
    name, content, error = TABLES[case]
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=error) as caught:
        load_clips(file)
    assert "\n" not in str(caught.value)
    before = files_below(tmp_path)
    assert answer("extract", file, "-o", tmp_path / "out") == f"dha: {caught.value}"
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("out", ["responses.safetensors", "store/", "dog/x.safetensors", "."])
def test_an_output_among_the_sounds_is_refused_and_leaves_nothing(sounds, out):
    before = files_below(sounds)
    said = answer("extract", sounds, "-o", f"{sounds}/{out}")
    assert said == f"dha: {sounds}/{out}: lies among the sounds of {sounds}; choose a place outside"
    assert files_below(sounds) == before


def test_an_output_by_another_format_s_name_is_refused(sounds, tmp_path):
    said = answer("extract", sounds, "-o", tmp_path / "out.npz")
    assert said.startswith(
        f"dha: {tmp_path}/out.npz: responses are written as safetensors; give a name that ends in"
    )
    assert not (tmp_path / "out.npz").exists()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-500])


def duplicate(path):
    shutil.copy(path.with_name("dog0.wav"), path)


def relabel(path):
    shutil.copy(path.with_name("dog0.wav"), path.parents[1] / "rain" / "rain3.wav")


FAULTS = {
    "empty file": (lambda path: path.write_bytes(b""), "dog/dog3.wav: is empty"),
    "not sound": (lambda path: path.write_text("words"), "dog/dog3.wav: is not a sound file"),
    "truncated": (truncate, "dog/dog3.wav: is truncated"),
    "no samples": (lambda path: soundfile.write(path, np.zeros(0), 8000), "dog/dog3.wav: holds no samples"),
    "NaN": (
        lambda path: soundfile.write(path, np.full(50, np.nan), 8000, subtype="FLOAT"),
        "dog/dog3.wav: 50 of 50 samples are NaN",
    ),
    "duplicate": (duplicate, "dog/dog3.wav: the same content as dog/dog0.wav"),
    "duplicate under another label": (relabel, "the same content under different labels"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_sounds_that_cannot_be_used(sounds, tmp_path, case):
    harm, error = FAULTS[case]
    harm(sounds / "dog" / "dog3.wav")
    before = files_below(sounds)
    said = answer("extract", sounds, "-o", tmp_path / "out")
    assert error in said
    assert "or leave them out with --skip-bad" in said
    assert "cannot be used" in answer("inspect", sounds)
    assert files_below(sounds) == before
    assert not (tmp_path / "out").exists()


def test_what_a_name_holds_ends_no_line_and_steers_no_terminal(sounds, tmp_path):
    strange = (sounds / "dog" / "dog0.wav").rename(sounds / "dog" / "a\n\x1b[31mb.wav")
    truncate(strange)
    for arguments in (["inspect", sounds], ["extract", sounds, "-o", tmp_path / "out"]):
        said = CliRunner().invoke(app, [str(argument) for argument in arguments]).output
        assert "\x1b" not in said
        assert r"dog/a\n\x1b[31mb.wav: is truncated" in said


def one_line(path, number, text):
    lines = path.read_text().splitlines()
    lines[number] = text
    path.write_text("\n".join(lines) + "\n")


SETUP = f"{DEVELOPMENT}/evaluation_setup"
LISTS = {
    "meta with spaces": (f"{DEVELOPMENT}/meta.txt", "audio/a010_0_30.wav beach", "line 1: expected 2 columns"),
    "meta leads out": (f"{DEVELOPMENT}/meta.txt", "../a010_0_30.wav\tbeach", "leads out of the data set"),
    "meta is absolute": (f"{DEVELOPMENT}/meta.txt", "/a010_0_30.wav\tbeach", "leads out of the data set"),
    "another scene in a fold": (f"{SETUP}/fold1_train.txt", "audio/a020_0_30.wav\ttram", "is 'tram' there and 'beach' in"),
    "file in both lists": (f"{SETUP}/fold1_train.txt", "audio/a010_0_30.wav\tbeach", "do not share out meta.txt"),
    "fold of a stranger": (f"{SETUP}/fold2_evaluate.txt", "audio/z1_0_30.wav\tbeach", "and None in meta.txt"),
    "test list of another fold": (f"{SETUP}/fold3_test.txt", "audio/a010_0_30.wav", "lists other files than fold3_evaluate"),
    "error without times": (f"{DEVELOPMENT}/error.txt", "audio/a010_0_30.wav\tx\ty\tradio", "which are no seconds"),
    "error backwards": (f"{DEVELOPMENT}/error.txt", "audio/a010_0_30.wav\t3\t2\tradio", "from 3 s to 2 s"),
    "original name": (
        f"{EVALUATION}/evaluation_setup/evaluate.txt", "audio/0.wav\tbeach\tb000.wav", "'b000.wav' is not the name of a clip",
    ),
    "recording in both sets": (
        f"{EVALUATION}/evaluation_setup/evaluate.txt", "audio/0.wav\tbeach\ta010_60_90.wav", "recording 'a010' is in both",
    ),
    "unknown scene": (
        f"{EVALUATION}/evaluation_setup/evaluate.txt", "audio/0.wav\tmoon\tb000_0_30.wav", "scene 'moon' does not occur",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
def test_lists_of_dcase2016(tmp_path, case):
    file, line, error = LISTS[case]
    one_line(make_dcase2016(tmp_path / "data", seconds=0.01) / file, 0, line)
    said = answer("inspect", "dcase2016-evaluation", "--root", tmp_path / "data")
    assert error in said


def test_a_partial_copy_of_dcase2016(tmp_path):
    make_dcase2016(tmp_path, seconds=0.01)
    (tmp_path / DEVELOPMENT / "audio" / "a010_0_30.wav").unlink()
    said = answer("extract", "dcase2016", "--root", tmp_path, "-o", tmp_path / "out")
    assert "1 of the 24 clips of dcase2016 are missing" in said
    assert "`dha fetch dcase2016` gets them" in said
    (tmp_path / DEVELOPMENT / "meta.txt").unlink()
    assert "meta.txt: cannot be read (FileNotFoundError)" in answer(
        "inspect", "dcase2016", "--root", tmp_path
    )


COMMANDS = {
    "unknown data set": (["inspect", "esc5O"], "no data set and no folder 'esc5O'"),
    "no such folder": (["inspect", "no/such/folder"], "no data set and no folder 'no/such/folder'"),
    "no such table": (["inspect", "none.csv"], "there is no file"),
    "esc50 is not there": (
        ["inspect", "esc50", "--root", "."],
        "ESC-50 (its folder audio, or its meta/esc50.csv) is not in",
    ),
    "dcase2016 is not there": (["inspect", "dcase2016", "--root", "."], "is not in"),
    "root is not there": (["inspect", "esc10", "--root", "gone"], "there is no folder"),
    "unknown channel": (
        ["extract", "esc10", "-o", "x", "--channel", "both"],
        "parameter channel: expected 'mean', 'left' or",
    ),
    "rate of 0": (
        ["extract", "esc10", "-o", "x", "--rate", "0"],
        "parameter rate: expected a whole number in [8000",
    ),
    "duration of 0": (
        ["extract", "esc10", "-o", "x", "--duration", "0"],
        "parameter duration: expected a number in (0",
    ),
    "endless duration": (
        ["extract", "esc10", "-o", "x", "--duration", "inf"],
        "parameter duration: expected",
    ),
    "duration with a comma": (["extract", "esc10", "-o", "x", "--duration", "2,5"], "or 'whole': write 2.5"),
    "unknown parameter": (
        ["run", "-p", "chanel", "left"],
        "unknown parameter 'chanel' (did you mean 'channel'?)",
    ),
    "parameter of another type": (
        ["run", "-p", "skip_bad", "1"],
        "parameter skip_bad: expected True or False, got 1",
    ),
    "parameter twice": (["run", "--skip-bad", "-p", "skip_bad", "true"], "parameter skip_bad is given twice"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_commands(tmp_path, monkeypatch, case):
    arguments, error = COMMANDS[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dha_utils.networks.weights.fetch_weights", lambda: None)
    assert error in answer(*arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["/dev/full/out", "file/out"])
def test_outputs_that_cannot_be_written(sounds, tmp_path, monkeypatch, random_network, target):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr("dha_utils.responses.extraction.load_network", lambda: random_network)
    assert "cannot be written" in answer("extract", sounds, "-o", target)
    assert (tmp_path / "file").read_text() == "mine"


def test_there_are_enough_of_them():
    assert len({**TABLES, **FAULTS, **LISTS, **COMMANDS}) >= 40


# Properties of the parsers


@FEW
@given(st.text(max_size=30))
def test_a_value_is_itself_or_json(text):
    value = parse_value(text)
    if isinstance(value, str) and value != text:
        assert json.loads(text) == value
    if value is None:
        assert text.lower() in ("null", "none")


@FEW
@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.integers())))
def test_numbers_and_lists_come_back(value):
    assert parse_value(json.dumps(value)) == value


@FEW
@given(st.from_regex(r"[A-Za-z0-9-]{1,8}", fullmatch=True), st.integers(0, 99_998), st.integers(1, 999))
def test_names_of_clips_come_back(recording, start, length):
    assert parse_name(f"audio/{recording}_{start}_{start + length}.wav") == (recording, start, start + length)


def attempt(function, *arguments):
    """Return what a parser makes of something, or None and what it says against it."""
    try:
        return function(*arguments), ""
    except DhaError as error:
        return None, str(error)


@FEW
@given(st.text(max_size=40))
def test_any_other_name_is_refused_in_one_line(text):
    name, refusal = attempt(parse_name, text)
    assert "\n" not in refusal
    assert refusal or name.end > name.start


@FEW
@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_refused_in_one_line(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("list") / "meta.txt"
    file.write_bytes(content)
    rows, refusal = attempt(read_list, file, 2)
    assert "\n" not in refusal
    for row in rows or []:
        assert len(row) == 2
        assert ".." not in row[0].split("/")
        assert not row[0].startswith("/")


@FEW
@given(st.binary(max_size=200).map(lambda content: b"path,label\n" + content))
def test_any_bytes_are_a_table_or_refused_in_one_line(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("table") / "x.csv"
    file.write_bytes(content)
    clips, refusal = attempt(load_table, file)
    assert "\n" not in refusal
    assert refusal or len(clips.classes) >= 2


WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)


@FEW
@given(
    st.lists(st.tuples(WORDS, st.sampled_from("abc")), min_size=12, max_size=40, unique_by=lambda row: row[0])
)
def test_folds_of_any_table_keep_recordings_together(tmp_path_factory, rows):
    table = pd.DataFrame(rows, columns=["path", "label"])
    # The first letter stands for the recording, so that some hold several clips.
    table["recording"] = table["path"].str[0]
    file = tmp_path_factory.mktemp("table") / "x.tsv"
    table.to_csv(file, sep="\t", index=False)
    clips, refusal = attempt(load_table, file)
    if refusal:
        few = table.groupby("label")["recording"].nunique()
        assert few.min() < 2 or len(few) < 2
    else:
        assert (clips.table.groupby("recording")["fold"].nunique() == 1).all()
        assert sorted(clips.table["clip"]) == sorted(table["path"])
        assert clips.folds.min() >= 1
