import json
import multiprocessing
import os
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dha_utils.core.errors import DataError
from dha_utils.core.hashing import hash_names
from dha_utils.responses import blocks
from dha_utils.responses.store import ResponseStore

BLOCK = 7


@pytest.fixture
def responses(make_responses):
    """60 clips: nine blocks, the last of four."""
    return make_responses()


def plan(folder, responses, block=BLOCK):
    return ResponseStore.plan(folder, responses.table, responses.provenance, responses.taps, block).begin()


def write(store, responses, number):
    part = responses.take(slice(number * BLOCK, (number + 1) * BLOCK))
    store.write(number, part.table, part.arrays)


def fill(folder, responses):
    store = plan(folder, responses)
    for number in store.missing():
        write(store, responses, number)
    return store.finish()


def assert_same(a, b):
    assert a.taps == b.taps
    for tap in a.taps:
        np.testing.assert_array_equal(a[tap], b[tap], err_msg=tap, strict=True)
    pd.testing.assert_frame_equal(a.table, b.table)
    assert a.provenance == b.provenance


def test_what_is_written_is_read(responses, tmp_path):
    fill(tmp_path / "store", responses)
    store = ResponseStore.open(tmp_path / "store")
    assert len(store) == 60
    assert store.taps == ("relu6", "relu7")
    pd.testing.assert_frame_equal(store.table, responses.table)
    assert_same(store.read(), responses)
    held = list(store.iterate(["relu7"]))
    assert [len(part) for part in held] == [7] * 8 + [4]
    np.testing.assert_array_equal(np.concatenate([part["relu7"] for part in held]), responses["relu7"])
    assert held[0].taps == ("relu7",)


@pytest.mark.parametrize("rows", [[3], [59, 0, 30, 31, 0], slice(5, 40, 3), np.arange(60) % 9 == 0, [-1]])
def test_some_rows_in_any_order(responses, tmp_path, rows):
    store = fill(tmp_path, responses)
    assert_same(store.read(rows=rows), responses.take(rows))


def test_blocks_that_are_not_asked_for_are_not_read(responses, tmp_path):
    store = fill(tmp_path, responses)
    store.path(4).unlink()
    assert_same(store.read(rows=slice(0, 28)), responses.take(slice(0, 28)))
    with pytest.raises(DataError, match=r"block-00004\.parquet: is damaged"):
        store.read()


def test_blocks_in_any_order_give_the_same_files(responses, tmp_path):
    fill(tmp_path / "a", responses)
    store = plan(tmp_path / "b", responses)
    for number in reversed(store.missing()):
        write(store, responses, number)
    store.finish()
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def die_in_the_third_block(folder, responses):
    plain = blocks.pq.write_table

    def mortal(table, where, **how):
        plain(table, where, **how)
        if len(list(folder.glob("block-*"))) == 2:
            os.truncate(where, 1000)
            os._exit(9)

    blocks.pq.write_table = mortal
    fill(folder, responses)


def test_a_killed_writer_leaves_whole_blocks_and_the_rest_to_do(responses, tmp_path):
    process = multiprocessing.get_context("spawn").Process(
        target=die_in_the_third_block, args=(tmp_path, responses)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert list(tmp_path.glob(".*.part"))  # the unfinished file, under a name that nobody reads
    with pytest.raises(DataError, match=r"is not finished: 2 of 9 blocks are there; run the same extraction"):
        ResponseStore.open(tmp_path)
    assert plan(tmp_path, responses).missing() == list(range(2, 9))
    fill(tmp_path, responses)
    assert_same(ResponseStore.open(tmp_path).read(), responses)


def cut_short(store):
    store.path(2).write_bytes(store.path(2).read_bytes()[:-100])


def of_the_same_length_but_cut(store):
    content = store.path(2).read_bytes()
    store.path(2).write_bytes(content[:-100] + bytes(100))


def from_another_place(store):
    store.path(2).write_bytes(store.path(3).read_bytes())


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda store: store.path(2).unlink(), "is missing"),
        (cut_short, r"has \d+ bytes, not \d+: it was not written to its end"),
        (of_the_same_length_but_cut, "is not a parquet file, or cut short"),
        (from_another_place, "is a block of another store, or of another place in this one"),
    ],
)
def test_bad_blocks_are_noticed_on_opening_and_only_they_are_made_again(responses, tmp_path, damage, fault):
    store = fill(tmp_path, responses)
    damage(store)
    with pytest.raises(DataError, match=rf"block-00002\.parquet: {fault}.*run the same extraction again"):
        ResponseStore.open(tmp_path)
    assert plan(tmp_path, responses).missing() == [2]
    fill(tmp_path, responses)
    assert_same(ResponseStore.open(tmp_path).read(), responses)


def test_a_block_made_in_another_way_is_noticed(make_responses, tmp_path):
    ours, theirs = make_responses(), make_responses()
    theirs.provenance["weights_sha256"] = "1"
    store, other = fill(tmp_path / "ours", ours), fill(tmp_path / "theirs", theirs)
    store.path(0).write_bytes(other.path(0).read_bytes())
    with pytest.raises(DataError, match=r"block-00000\.parquet: is a block of another store"):
        ResponseStore.open(tmp_path / "ours")


def test_a_changed_value_is_noticed_on_reading(responses, tmp_path):
    store = fill(tmp_path, responses)
    content = bytearray(store.path(1).read_bytes())
    at = content.find(responses["relu7"][7:9].tobytes()[:40])
    assert at > 0
    content[at] ^= 1
    store.path(1).write_bytes(content)
    with pytest.raises(DataError, match=r"block-00001\.parquet: is damaged .*remove it and run"):
        ResponseStore.open(tmp_path).read()


def test_a_file_that_is_not_listed_is_noticed(responses, tmp_path):
    store = fill(tmp_path, responses)
    store.path(9).write_bytes(store.path(0).read_bytes())
    with pytest.raises(DataError, match=r"block-00009\.parquet: is not in the manifest.*move it away"):
        ResponseStore.open(tmp_path)


def test_appended(make_responses, responses, tmp_path):
    more = make_responses(per_class=3, seed=5)
    more = type(more)(more.arrays, more.table.assign(clip="new" + more.table["clip"]), more.provenance)
    fill(tmp_path, responses).append(more)
    store = ResponseStore.open(tmp_path)
    assert len(store) == 72
    both = store.read()
    for tap in responses.taps:
        np.testing.assert_array_equal(both[tap], np.concatenate([responses[tap], more[tap]]))
    names = [*responses.table["clip"], *more.table["clip"]]
    assert both.table["clip"].tolist() == names
    assert (both.provenance["clips"], both.provenance["dataset"]) == (72, "made-up")
    assert both.provenance["clip_list_sha256"] == hash_names(names)
    with pytest.raises(DataError, match="clip newclip000 is there already"):
        store.append(more)
    with pytest.raises(DataError, match="holds taps relu6, relu7, not relu6"):
        store.append(type(more)({"relu6": more["relu6"]}, more.table, more.provenance))
    other = type(more)(more.arrays, more.table, more.provenance | {"parameters": {"rate": 44100}})
    with pytest.raises(DataError, match="was made with another parameters: not comparable"):
        store.append(other)
    assert len(ResponseStore.open(tmp_path)) == 72


def test_appended_says_of_both_what_was_left_out_and_cut(make_responses, responses, tmp_path):
    more = make_responses(per_class=3, seed=5)
    table = more.table.assign(clip="new" + more.table["clip"])
    bad = {"clip": "b", "fault": "is empty"}
    first = {"notes": ["a subset"], "cut": {"clip000": [[0.5, 1.0]]}}
    second = {"left_out": [bad], "cut": {"newclip001": [[0.0, 0.1]]}}
    kind = type(more)
    held = kind(responses.arrays, responses.table, responses.provenance | first)
    store = fill(tmp_path, held).append(kind(more.arrays, table, more.provenance | second))
    for provenance in (store.provenance, ResponseStore.open(tmp_path).provenance):
        assert (provenance["notes"], provenance["left_out"]) == (["a subset"], [bad])
        assert provenance["cut"] == first["cut"] | second["cut"]


def test_another_plan_is_refused_and_nothing_is_touched(responses, tmp_path):
    fill(tmp_path / "store", responses)
    before = {path: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    for other in (responses.take(slice(0, 50)), type(responses)(responses.arrays, responses.table, {"a": 1})):
        with pytest.raises(DataError, match=r"holds another extraction .*; remove it, or choose another"):
            plan(tmp_path / "store", other)
    with pytest.raises(DataError, match="holds another extraction"):
        plan(tmp_path / "store", responses, block=8)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("")
    with pytest.raises(DataError, match="exists and is not ours: move it away"):
        plan(tmp_path / "theirs", responses)
    assert before == {path: path.read_bytes() for path in (tmp_path / "store").iterdir()}


def test_folders_without_a_store(responses, tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(DataError, match=r"no store of responses is here \(manifest\.json is missing\)"):
            ResponseStore.open(folder)
    for text in ("", "[]", "{}", '{"format": "dha-responses 9"}', '{"format": "dha-responses 1"}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DataError, match=r"manifest\.json: is not the manifest of a store of responses"):
            ResponseStore.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be written .*; choose another folder"):
        plan(tmp_path / "file" / "store", responses)


def test_what_may_be_asked_for_and_written(responses, tmp_path):
    store = plan(tmp_path, responses)
    with pytest.raises(DataError, match="not the clips and taps that were planned"):
        store.write(1, responses.take(slice(0, 7)).table, responses.take(slice(0, 7)).arrays)
    with pytest.raises(DataError, match="not the clips and taps that were planned"):
        store.write(0, responses.take(slice(0, 7)).table, {"relu6": responses["relu6"][:7]})
    with pytest.raises(DataError, match=r"block-00000\.parquet: is missing; 9 blocks to go"):
        store.finish()
    store = fill(tmp_path, responses)
    with pytest.raises(DataError, match=r"unknown tap 'relu8' \(did you mean 'relu7'\?\)"):
        store.read(["relu8"])
    with pytest.raises(DataError, match="no clips are asked for; it holds 60"):
        store.read(rows=[])


def test_a_full_disk_is_one_line(responses, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    store = plan(tmp_path, responses)
    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(DataError, match=r"cannot be written .*No space left.*; make room, then go on"):
        write(store, responses, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_any_reader_of_parquet_reads_a_block(responses, tmp_path):
    store = fill(tmp_path, responses)
    frame = pd.read_parquet(store.path(0))
    np.testing.assert_array_equal(np.stack(frame["relu6"]), responses["relu6"][:7])
    assert frame["label"].tolist() == responses.table["label"][:7].tolist()
    assert json.loads((tmp_path / "manifest.json").read_text())["provenance"] == responses.provenance


def test_a_damaged_block_holds_the_same_or_says_so(responses, tmp_path):
    store = fill(tmp_path, responses)
    content = store.path(2).read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(
        len(content) - 3000, len(content) - 8, 40
    ):  # words on the rest, without a checksum
        store.path(2).write_bytes(content[:at] + bytes([rng.integers(256)]) + content[at + 1 :])
        with suppress(DataError):
            assert_same(ResponseStore.open(tmp_path).read(), responses)


@pytest.mark.parametrize(
    "change",
    [
        {"key": {}},
        {"key": [1]},
        {"key": None},
        {"provenance": 3},
        {"taps": 1},
        {"blocks": [{"rows": "7", "clips_sha256": ""}]},
        {"blocks": [1]},
    ],
)
def test_a_manifest_that_is_damaged_is_one_line(responses, tmp_path, change):
    fill(tmp_path, responses)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(DataError, match=r"is not the manifest of a store of responses \("):
        ResponseStore.open(tmp_path)


def test_a_column_that_is_no_text_any_more_is_noticed(responses, tmp_path):
    store = fill(tmp_path, responses)
    block = pq.read_table(store.path(2))
    number = block.schema.names.index("recording")
    block = block.set_column(number, "recording", block["recording"].cast(pa.binary()))
    pq.write_table(block, store.path(2))
    for read in (lambda: store.read(), lambda: store.table):
        with pytest.raises(
            DataError, match=r"block-00002\.parquet: holds other clips than manifest.json says"
        ):
            read()


def test_a_column_that_lost_its_name_is_noticed(responses, tmp_path):
    store = fill(tmp_path, responses)
    content = store.path(2).read_bytes()
    name = b"\x18\x09recording"  # in the list of columns, as Thrift writes it: no checksum covers that
    assert name in content
    store.path(2).write_bytes(content.replace(name, name.replace(b"ng", b"%g"), 1))
    for read in (lambda: store.read(), lambda: store.table):
        with pytest.raises(
            DataError, match=r"block-00002\.parquet: holds other clips than manifest.json says"
        ):
            read()
