"""What is kept belongs to its data, wherever it is kept: keys, and what changed data do to what an earlier run has left."""

import hashlib
import json
import os

import numpy as np
import pandas as pd
import pytest
from miniatures import make_sounds, write_clip

from dha_utils.audio.inspection import identify
from dha_utils.book import plan, runner
from dha_utils.cli import prune as cli_prune
from dha_utils.core import artifacts
from dha_utils.core.artifacts import hash_rows, load_json, obtain, short
from dha_utils.core.errors import DataError
from dha_utils.datasets import esc, load_clips, sound
from dha_utils.datasets.sound import hash_sound
from dha_utils.responses.provenance import clips_of, key_of
from dha_utils.responses.table import Responses
from dha_utils.studies import grid, sweeps
from dha_utils.studies.scores import load_fold_scores
from dha_utils.studies.sweeps import Cell


def with_provenance(responses, **changes):
    return Responses(responses.arrays, responses.table, responses.provenance | changes)


def with_table(responses, **columns):
    return Responses(responses.arrays, responses.table.assign(**columns), responses.provenance)


@pytest.fixture
def heard(make_responses):
    """Responses whose sound is known."""
    responses = make_responses()
    return with_table(responses, sound=[f"{i:064d}" for i in range(60)])


def test_a_key_changes_with_all_that_counts_and_with_nothing_else(heard, monkeypatch):
    key = key_of("sweep", heard)
    parameters = heard.provenance["parameters"]
    others = [
        with_table(heard, label=heard.table["label"].tolist()[::-1]),
        with_table(heard, fold=heard.table["fold"].tolist()[::-1]),
        with_table(heard, recording=[f"r{i}" for i in range(60)]),
        with_table(heard, clip=[f"c{i}" for i in range(60)]),
        with_table(heard, sound=heard.table["sound"].tolist()[::-1]),
        heard.take(slice(0, 59)),
        with_provenance(heard, cut={"clip003": [[0.5, 1.0]]}),
        with_provenance(heard, weights_sha256="1"),
        with_provenance(heard, version=2),
        *(
            with_provenance(heard, parameters=parameters | change)
            for change in ({"rate": 44100}, {"duration": None}, {"channel": "left"}, {"precision": "float16"})
        ),
        Responses({"relu6": heard["relu6"]}, heard.table, heard.provenance),
    ]
    keys = [json.dumps(key_of("sweep", other), sort_keys=True) for other in [heard, *others]]
    assert len({*keys}) == len(keys) == len({short(json.loads(text)) for text in keys})
    assert key_of("trials", heard) != key != key_of("sweep", heard, seed=1)

    same = [
        with_provenance(heard, versions={"numpy": "9"}, dataset="another", cut={"of another clip": [[0, 1]]}),
        with_provenance(
            heard, parameters=parameters | {"channel": "mean", "batch_size": 3, "device": "cuda"}
        ),
        with_provenance(heard, parameters={"duration": 5, "rate": 22050}),
        Responses({tap: array + 1e-6 for tap, array in heard.arrays.items()}, heard.table, heard.provenance),
    ]
    assert all(key_of("sweep", other) == key for other in same)
    assert json.loads(json.dumps(key)) == key  # as it comes back from a file
    monkeypatch.setitem(artifacts.VERSIONS, "sweep", 99)
    assert key_of("sweep", heard) != key


def test_where_no_sound_is_known_the_values_count(make_responses):
    one, other = make_responses(), make_responses(seed=1)
    assert key_of("sweep", one)["sound"] == key_of("sweep", make_responses())["sound"]
    assert key_of("sweep", one)["sound"] != key_of("sweep", other)["sound"]


def test_the_wav_form_of_a_published_clip_is_the_same_sound(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(b"as published")
    md5, sha = hashlib.md5(b"as published").hexdigest(), "5" * 64
    monkeypatch.setattr(sound, "published_wavs", lambda: {"a.wav": (md5, sha)})
    assert hash_sound(tmp_path / "a.wav") == sha
    (tmp_path / "a.wav").write_bytes(b"something else")
    assert hash_sound(tmp_path / "a.wav") == hashlib.sha256(b"something else").hexdigest()
    assert len(esc.published_wavs()) == 400


def test_bundled_else_kept_else_made(tmp_path):
    key, made = {"a": 1}, []

    def get(*names):
        where = [(tmp_path / name, name) for name in names]
        return obtain(
            key, where, lambda p: ((c := load_json(p, "x"))["x"], c["key"]), lambda: made.append(1) or 0
        )

    assert get("nowhere") == (0, "computed now")
    (tmp_path / "damaged").write_text('{"key": {"a"')
    (tmp_path / "empty").write_text("[]")
    (tmp_path / "other").write_text('{"key": {"a": 2}, "x": 5}')
    (tmp_path / "mine").write_text('{"key": {"a": 1}, "x": 6}')
    assert get("damaged", "empty", "other") == (0, "computed now")
    assert len(made) == 2
    assert get("damaged", "empty", "other", "mine") == (6, "mine")


def test_the_bundled_artifacts_of_esc10_are_of_the_published_clips(esc10):
    index = esc.read_index()
    assert esc10.table["sound"].tolist() == index["sha256"].tolist()
    assert esc10.table["label"].tolist() == index["label"].tolist()
    folder = artifacts.bundled("esc10")
    for kind in ("sweep", "trials"):
        with (folder / f"{kind}_22050.jsonl").open() as file:
            assert json.loads(file.readline()) == key_of(kind, esc10)


def test_bundled_scores_are_not_those_of_other_labels(esc10, tmp_path, monkeypatch):
    load_fold_scores(esc10, tmp_path)
    monkeypatch.setenv("DHA_DATA", str(tmp_path))
    with pytest.raises(DataError, match="neither ESC-10 nor ESC-50"):
        load_fold_scores(esc10.shuffle_labels(0), tmp_path)


# Changes to a table of sounds of one's own after a first run.


@pytest.fixture
def table(tmp_path):
    """Twelve sounds of two classes that are easily told apart, in a table with folds."""
    return write_table(make_sounds(tmp_path / "sounds", seconds=0.5))


def write_table(folder, labels=None, folds=None):
    files = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.wav"))
    labels = labels or [file.split("/")[0] for file in files]
    folds = folds or [i % 3 + 1 for i in range(len(files))]
    rows = pd.DataFrame({"path": files, "label": labels, "fold": folds})
    rows.to_csv(folder / "mine.csv", index=False)
    return folder / "mine.csv"


def relabel(table):
    write_table(table.parent, labels=["dog", "rain"] * 6)
    return table


def refold(table):
    write_table(table.parent, folds=[1, 1, 1, 2, 2, 2, 3, 3, 3, 1, 2, 3])
    return table


def replace_sounds(table):
    """Other sounds under the same names, as large and as old as those before."""
    for i in range(3):
        path = table.parent / "dog" / f"dog{i}.wav"
        before = path.stat()
        write_clip(path, 1, 77 + i, 0.5, 1)
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return table


def move(table):
    """Another folder with files of the same names, and a table of the same name."""
    folder = table.parents[1] / "elsewhere"
    make_sounds(folder, seconds=0.5)
    for path in folder.glob("rain/*.wav"):
        write_clip(path, 0, 500 + int(path.stem[-1]), 0.5, 1)
    return write_table(folder)


CHANGES = [relabel, refold, replace_sounds, move]


def test_the_grid_is_computed_anew_where_data_changed_and_only_there(table, tmp_path, monkeypatch):
    computed = []

    def spy(module, name):
        plain = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **o: computed.append(name) or plain(*a, **o))

    spy(grid, "compute_inputs")
    spy(sweeps, "cross_validate_many")

    def accuracy(table, results):
        computed.clear()
        how = {"rate": 22_050, "results": tmp_path / results}
        return grid.run_grid({str(table): [Cell("anova", 0.25)]}, **how)["mean"][0]

    first = accuracy(table, "results")
    assert computed == ["compute_inputs", "cross_validate_many"]
    assert (accuracy(table, "results"), computed) == (first, [])
    for number, change in enumerate(CHANGES):
        table = change(table)
        got = accuracy(table, "results")
        assert computed == ["compute_inputs", "cross_validate_many"], change.__name__
        assert got == accuracy(table, f"fresh{number}"), change.__name__


def test_the_first_notebook_is_run_before_others_where_data_changed(table, tmp_path, monkeypatch, capsys):
    """The notebooks themselves are tried in test_pipeline; here only which of them are run."""
    ran = []
    declared = {
        "dataset": "'mine'",
        "results": "None",
        "rates": "[22050]",
        "fractions": "[0.1]",
        "seeds": "2",
    }
    declared |= {"budgets": "[0.5]", "criteria_at": "[]", "others": "[]", "classifier": "'least_squares'"}
    declared |= {"only_claims": "True", "other_seeds": "None"}
    taken = {name: {"default": value} for name, value in declared.items()}
    monkeypatch.setattr(runner.papermill, "inspect_notebook", lambda path: taken)
    monkeypatch.setattr(runner, "NEIGHBOURS", 1)  # few clips do where no notebook is run

    def run(source, output, given, fingerprint, *_):
        ran.append(source.stem[:2])
        content = {"dha": {"fingerprint": fingerprint, "files": {}}, "papermill": {"parameters": given}}
        output.write_text(json.dumps({"metadata": content}))

    monkeypatch.setattr(plan, "run_one", run)

    def again(table):
        ran.clear()
        given = {"dataset": str(table), "results": str(tmp_path / "results")}
        runner.run_notebooks(given, only=["03"], executed=tmp_path / "executed")
        return ran

    assert again(table) == ["01", "03"]
    assert "01_responses is out of date and is run as well" in capsys.readouterr().out
    assert again(table) == []
    for change in CHANGES:
        before, table = table, change(table)
        if table != before:
            before.unlink()  # a namesake that is still there is refused
        assert again(table) == ["01", "03"], change.__name__
        assert again(table) == []


@pytest.mark.parametrize("change", CHANGES)
def test_what_goes_with_responses_is_not_computed_from_other_clips(table, change):
    clips = identify(load_clips(table))
    arrays = {"relu6": np.zeros((len(clips), 3), np.float32)}
    responses = Responses(arrays, clips.table.drop(columns="path"), {"dataset": "mine"})
    assert clips_of(responses, table).table.equals(clips.table)
    with pytest.raises(DataError, match="s are not those of the responses: run notebook 01 again"):
        clips_of(responses, change(table))


def test_prune_learns_from_the_labels_as_they_are(table, tmp_path, monkeypatch):
    """Nothing is kept between two runs: the second one sees the corrected table."""
    seen = []

    class Stop(Exception):
        """So far, and no further: what follows takes long."""

    def run_network(model, waveforms, empty):
        seen.append(empty.table)
        raise Stop

    monkeypatch.setattr("dha_utils.studies.product.network_responses", run_network)
    for change in (lambda table: table, relabel):
        with pytest.raises(Stop):
            cli_prune.prune(tmp_path / "small.safetensors", str(change(table)), root=None)
    assert seen[0]["label"].tolist() == ["dog"] * 6 + ["rain"] * 6
    assert seen[1]["label"].tolist() == ["dog", "rain"] * 6


def test_rows_say_what_is_cut_of_their_own_clips(heard):
    rows = hash_rows(heard.table, {"another": [[0, 1]]})
    assert rows == hash_rows(heard.table) != hash_rows(heard.table, {"clip000": [(0.0, 1.0)]})
    assert hash_rows(heard.table, {"clip000": [(0.0, 1.0)]}) == hash_rows(
        heard.table, {"clip000": [[0.0, 1.0]]}
    )
