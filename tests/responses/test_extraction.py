import multiprocessing
import os
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from dha_utils.audio.waveforms import load_audio
from dha_utils.core.errors import AudioError, DataError, ParameterError
from dha_utils.core.paths import bundled, data_dir
from dha_utils.core.work import workers
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.networks.fused import FusedTaps
from dha_utils.networks.soundnet import TAPS
from dha_utils.networks.streamed import StreamedTaps
from dha_utils.responses import outputs, pooling
from dha_utils.responses.extraction import extract_mfcc, extract_responses, extract_to_store
from dha_utils.responses.pooling import pool_maps
from dha_utils.responses.store import ResponseStore
from dha_utils.responses.table import Responses


@pytest.fixture
def clips(tmp_path):
    """Seven noisy clips of two lengths."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(7):
        path = tmp_path / f"{i}.wav"
        n_samples = 6000 if i % 3 else 9000
        soundfile.write(path, rng.uniform(-0.5, 0.5, n_samples), 22_050, subtype="FLOAT")
        rows.append(
            {
                "clip": f"c{i}",
                "path": str(path),
                "label": "ab"[i % 2],
                "fold": i % 2 + 1,
                "recording": f"r{i}",
            }
        )
    return Clips("made-up", tmp_path, pd.DataFrame(rows))


def extract(clips, network, **options):
    return extract_responses(clips, model=network, **({"duration": 0.4} | options))


def assert_same(a, b):
    assert a.taps == b.taps
    for tap in a.taps:
        np.testing.assert_array_equal(a[tap], b[tap], err_msg=tap)


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 7}, {}])
@pytest.mark.parametrize("duration", [0.4, None])
def test_batches_and_workers_change_nothing(clips, random_network, options, duration, monkeypatch):
    expected = extract(clips, random_network, duration=duration)
    monkeypatch.setattr(outputs, "BLOCK", 7 if "batch_size" in options else 2)
    with workers(n=5):
        got = extract(clips, random_network, duration=duration, **options)
    for tap in expected.taps:
        scale = np.abs(expected[tap]).max()
        np.testing.assert_allclose(got[tap], expected[tap], rtol=1e-5, atol=1e-7 * scale, err_msg=tap)


def test_a_network_in_training_mode_is_refused(clips, random_network):
    with pytest.raises(ParameterError, match=r"training mode.*call its eval\(\) first"):
        extract_responses(clips, deepcopy(random_network).train())


def test_padding_never_leaks_into_another_clip(clips, random_network):
    together = extract(clips, random_network, duration=None, batch_size=7)
    for row in range(len(clips)):
        alone = extract(clips.take([row]), random_network, duration=None)
        for tap in alone.taps:
            np.testing.assert_allclose(together[tap][[row]], alone[tap], rtol=1e-5, atol=1e-6)


def test_pooling_is_the_mean_over_time(random_network):

    waveform = np.random.default_rng(0).uniform(-1, 1, 6000).astype(np.float32)
    pooled = pool_maps(FusedTaps(random_network), [waveform])
    with torch.inference_mode():
        for tap, maps in random_network.features(torch.from_numpy(waveform)[None]):
            expected = maps.double().mean(dim=2).numpy()
            np.testing.assert_allclose(pooled[tap], expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_one_bad_clip_names_the_file_and_leaves_no_output(clips, random_network, tmp_path):
    (tmp_path / "3.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"3\.wav: is empty"):
        extract(clips, random_network, out=tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def die_at_the_second_block(clips, network, out):
    outputs.BLOCK = 2
    plain, calls = pooling.stream_audio, []

    def mortal(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 4:
            while not Path(f"{out}.partial/block-00000.parquet").exists():
                time.sleep(0.01)
            os._exit(9)
        return plain(*arguments, **options)

    pooling.stream_audio = mortal
    with workers(n=1):
        extract(clips, network, out=out)


def test_goes_on_after_a_kill(clips, random_network, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "BLOCK", 2)
    expected = extract(clips, random_network)
    out = tmp_path / "out.safetensors"
    process = multiprocessing.get_context("spawn").Process(
        target=die_at_the_second_block, args=(clips, random_network, out)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not out.exists()
    finished = sorted(path.name for path in tmp_path.glob("out.safetensors.partial/*.parquet"))
    assert finished == ["block-00000.parquet"]

    decoded = []
    plain = pooling.stream_audio
    monkeypatch.setattr(pooling, "stream_audio", lambda *a, **k: decoded.append(a[0]) or plain(*a, **k))
    resumed = extract(clips, random_network, out=out)
    assert len(decoded) == len(clips) - 2
    assert_same(resumed, expected)
    assert_same(Responses.load(out), expected)
    assert not (tmp_path / "out.safetensors.partial").exists()


def test_partial_work_of_other_parameters_is_not_used(clips, random_network, tmp_path):
    out = tmp_path / "out.safetensors"
    (tmp_path / "out.safetensors.partial").mkdir()
    (tmp_path / "out.safetensors.partial" / "00000.safetensors").write_bytes(b"somebody's")
    with pytest.raises(DataError, match="exists and is not ours: move it away"):
        extract(clips, random_network, out=out)


def test_output_that_is_there_is_kept(clips, random_network, tmp_path, monkeypatch):
    out = tmp_path / "out.safetensors"
    first = extract(clips, random_network, out=out)
    monkeypatch.setattr(pooling, "stream_audio", None)  # nothing is decoded again
    assert_same(extract(clips, random_network, out=out), first)
    (tmp_path / "thesis.txt").write_text("mine")
    for theirs in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(DataError, match="is there and is no file of responses, or damaged; remove it"):
            extract(clips, random_network, out=theirs)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def relabelled(clips):
    return replace(clips, table=clips.table.assign(label=[*"abbbaaa"]))


def refolded(clips):
    return replace(clips, table=clips.table.assign(fold=[1, 1, 2, 2, 2, 1, 2]))


def recut(clips):
    return replace(clips, table=clips.table.assign(cut=[[(0.05, 0.1)]] + [[]] * 6))


def other_sound_under_the_same_name(clips):
    samples = np.random.default_rng(5).uniform(-0.5, 0.5, 9000)
    soundfile.write(clips.table["path"][0], samples, 22_050, subtype="FLOAT")
    return clips


@pytest.mark.parametrize("change", [relabelled, refolded, recut, other_sound_under_the_same_name])
def test_an_output_of_other_data_is_made_anew_and_stays_until_then(
    clips, random_network, tmp_path, monkeypatch, change, capsys
):
    monkeypatch.setattr(outputs, "BLOCK", 3)
    out, folder = tmp_path / "out.safetensors", tmp_path / "store"
    options = {"model": random_network, "duration": 0.4, "device": "cpu"}
    extract_responses(clips, out=out, **options)
    extract_to_store(clips, folder, **options)
    before = out.read_bytes(), (folder / "manifest.json").read_bytes()
    clips = change(clips)
    expected = extract_responses(clips, **options)
    capsys.readouterr()

    written, plain = [], outputs.ResponseStore.write

    def write(*arguments):
        written.append(arguments)
        assert (out.read_bytes(), (folder / "manifest.json").read_bytes()) == before
        if len(written) == 2:
            raise KeyboardInterrupt
        plain(*arguments)

    monkeypatch.setattr(outputs.ResponseStore, "write", write)
    with pytest.raises(KeyboardInterrupt):
        extract_responses(clips, out=out, **options)
    assert f"{out}: holds another extraction" in capsys.readouterr().err
    written.clear()
    with pytest.raises(KeyboardInterrupt):
        extract_to_store(clips, folder, **options)
    assert f"{folder}: holds another extraction" in capsys.readouterr().err
    assert (out.read_bytes(), (folder / "manifest.json").read_bytes()) == before

    monkeypatch.setattr(outputs.ResponseStore, "write", plain)
    for got in (
        extract_responses(clips, out=out, **options),
        extract_to_store(clips, folder, **options).read(),
    ):
        assert_same(got, expected)
        assert got.table.equals(expected.table)
    assert_same(ResponseStore.open(folder).read(), expected)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".wav") == [
        "out.safetensors",
        "store",
    ]


def test_blocks_of_other_labels_are_not_mixed_in(clips, random_network, tmp_path, monkeypatch):
    """A run was stopped, then the labels of some clips were corrected: only the blocks of the others are used."""
    monkeypatch.setattr(outputs, "BLOCK", 2)
    out, plain = tmp_path / "out.safetensors", outputs.ResponseStore.write

    def write(store, number, *arguments):
        if number == 2:
            raise KeyboardInterrupt
        plain(store, number, *arguments)

    monkeypatch.setattr(outputs.ResponseStore, "write", write)
    with pytest.raises(KeyboardInterrupt):
        extract(clips, random_network, out=out, device="cpu")
    monkeypatch.setattr(outputs.ResponseStore, "write", plain)
    table = clips.table.assign(label=["b", *clips.table["label"][1:]])
    corrected = replace(clips, table=table)
    decoded, read = [], pooling.stream_audio
    monkeypatch.setattr(pooling, "stream_audio", lambda *a, **k: decoded.append(a[0]) or read(*a, **k))
    got = extract(corrected, random_network, out=out, device="cpu")
    assert len(decoded) == len(clips) - 2
    assert got.table["label"].tolist() == table["label"].tolist()
    assert_same(got, extract(clips, random_network, device="cpu"))


def test_a_store_that_was_being_replaced_is_found_again(clips, random_network, tmp_path):
    options = {"model": random_network, "duration": 0.4}
    extract_to_store(clips, tmp_path / "store.partial", **options)
    extract_to_store(refolded(clips), tmp_path / "store.replaced", **options)
    modified = (tmp_path / "store.partial" / "manifest.json").stat().st_mtime_ns
    extract_to_store(clips, tmp_path / "store", **options)
    assert (tmp_path / "store" / "manifest.json").stat().st_mtime_ns == modified
    assert not [*tmp_path.glob("store.*")]


def test_output_that_cannot_be_written_is_refused_before_any_work(
    clips, random_network, tmp_path, monkeypatch
):
    monkeypatch.setattr(pooling, "stream_audio", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        extract(clips, random_network, out=tmp_path / "file" / "out.safetensors")


def test_mfcc_is_one_tap(clips):
    mfcc = extract_mfcc(clips, rate=22_050, duration=0.4)
    assert mfcc.taps == ("mfcc",)
    assert mfcc["mfcc"].shape == (7, 26)


@pytest.mark.skipif(data_dir() is None, reason="DHA_DATA is not set: no real audio at hand")
@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_bundled_responses_are_recomputed_from_audio(rate):
    stored = Responses.load(bundled("esc10") / f"responses_{rate}.safetensors")
    clips = load_clips("esc10")
    assert clips.table["clip"].tolist() == stored.table["clip"].tolist()
    rows = np.arange(0, len(clips), 10)
    fresh = extract_responses(clips.take(rows), rate=rate)
    for tap in fresh.taps:
        scale = np.abs(stored[tap]).max()
        np.testing.assert_allclose(fresh[tap], stored[tap][rows], rtol=1e-4, atol=1e-5 * scale, err_msg=tap)
    assert fresh.provenance["weights_sha256"] == stored.provenance["weights_sha256"]


@pytest.mark.skipif(data_dir() is None, reason="DHA_DATA is not set: no real audio at hand")
def test_bundled_mfcc_is_recomputed_from_audio():
    stored = Responses.load(bundled("esc10") / "mfcc.safetensors")
    rows = np.arange(0, 400, 20)
    fresh = extract_mfcc(load_clips("esc10").take(rows))
    np.testing.assert_allclose(fresh["mfcc"], stored["mfcc"][rows], rtol=1e-3, atol=1e-3)


def test_long_sounds_are_streamed_and_the_same(clips, random_network, monkeypatch):
    expected = extract(clips, random_network, duration=None)
    monkeypatch.setattr(pooling, "STREAM_SECONDS", 0.3)  # 6615 samples: the clips of 9000 are long
    streamed = []
    plain = StreamedTaps.stream
    monkeypatch.setattr(StreamedTaps, "stream", lambda *a: streamed.append(a) or plain(*a))
    got = extract(clips, random_network, duration=None)
    assert len(streamed) == 3
    for duration, n_streamed in ((0.25, 3), (0.4, 10)):  # of a part of a long file nothing is streamed
        extract(clips, random_network, duration=duration)
        assert len(streamed) == n_streamed
    for tap in expected.taps:
        scale = np.abs(expected[tap]).max()
        np.testing.assert_allclose(got[tap], expected[tap], rtol=1e-5, atol=1e-6 * scale, err_msg=tap)


def test_channel_and_erroneous_seconds(clips, random_network, tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    for i, path in enumerate(clips.table["path"]):
        soundfile.write(path, rng.uniform(-0.5, 0.5, (9000 + i, 2)), 22_050, subtype="FLOAT")
    table = clips.table.assign(cut=[[(0.05, 0.1)] if i == 2 else [] for i in range(7)])
    marked = Clips("made-up", tmp_path, table)
    options = {"model": random_network, "duration": None, "channel": "right"}
    expected = extract_responses(marked, **options)
    assert list(expected.table) == ["clip", "label", "fold", "recording", "sound"]
    assert expected.provenance["cut"] == {"c2": [[0.05, 0.1]]}
    assert expected.provenance["parameters"]["channel"] == "right"
    for i, (path, cut) in enumerate(zip(table["path"], marked.cuts, strict=True)):
        pooled = pool_maps(FusedTaps(random_network), [load_audio(path, 22_050, channel="right", cut=cut)])
        for tap in expected.taps:
            # Here matrix products have all threads of PyTorch, in a worker one: they round differently.
            scale = np.abs(expected[tap]).max()
            np.testing.assert_allclose(expected[tap][[i]], pooled[tap], rtol=1e-5, atol=1e-6 * scale)
    # Where a run was stopped, and where all is there, the next one knows the same extraction again.
    out, folder = tmp_path / "out.safetensors", tmp_path / "store"
    for _ in range(2):
        assert_same(extract_responses(marked, out=out, **options), expected)
        assert_same(extract_to_store(marked, folder, **options).read(), expected)
    monkeypatch.setattr(pooling, "STREAM_SECONDS", 0.3)
    streamed = extract_responses(marked, **options)
    for tap in expected.taps:
        scale = np.abs(expected[tap]).max()
        np.testing.assert_allclose(streamed[tap], expected[tap], rtol=1e-5, atol=1e-6 * scale, err_msg=tap)


def test_a_store_holds_the_same(clips, random_network, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "BLOCK", 3)
    expected = extract(clips, random_network)
    options = {"model": random_network, "duration": 0.4}
    store = extract_to_store(clips, tmp_path / "store", **options)
    assert_same(store.read(), expected)
    assert store.read().provenance == expected.provenance
    store.path(1).unlink()
    decoded = []
    plain = pooling.stream_audio
    monkeypatch.setattr(pooling, "stream_audio", lambda *a, **k: decoded.append(a[0]) or plain(*a, **k))
    assert_same(extract_to_store(clips, tmp_path / "store", **options).read(), expected)
    assert len(decoded) == 3
    shorter = extract_to_store(clips, tmp_path / "store", **options | {"duration": 0.3})
    assert shorter.provenance["parameters"]["duration"] == 0.3


def test_precision_is_part_of_what_was_computed(clips, random_network):
    half, whole = (extract(clips, random_network, precision=name) for name in ("bfloat16", "float32"))
    assert half["relu7"].dtype == np.float32
    assert half.provenance["parameters"]["precision"] == "bfloat16"
    assert 1e-5 < np.abs(half["relu7"] - whole["relu7"]).max() / np.abs(whole["relu7"]).max() < 5e-2


def test_padding_is_part_of_what_was_computed(clips, random_network, output_padded_network, monkeypatch):
    monkeypatch.setattr(
        "dha_utils.responses.extraction.load_network",
        lambda padding: {"released": output_padded_network}[padding],
    )
    long = {"duration": 2.5}
    theirs = extract_responses(clips, padding="released", **long)
    assert theirs.provenance["parameters"]["padding"] == "released"
    ours = extract(clips, random_network, duration=2.5)
    assert ours.provenance["parameters"]["padding"] == "input"
    waveform = load_audio(clips.table["path"][3], 22_050, 2.5)
    expected = pool_maps(output_padded_network.features, [waveform])
    for tap in TAPS:
        np.testing.assert_allclose(
            theirs[tap][3], expected[tap][0], rtol=0, atol=1e-5 * np.abs(theirs[tap]).max()
        )
    assert np.abs(theirs["relu7"] - ours["relu7"]).max() > 0.1 * np.abs(ours["relu7"]).max()
    assert_same(extract(clips, output_padded_network, duration=2.5), theirs)
    with pytest.raises(
        ParameterError, match="padding is 'released', but the network that is given has 'input'"
    ):
        extract(clips, random_network, padding="released")


def test_a_gpu_that_is_not_there_is_refused_before_any_work(clips, monkeypatch):
    monkeypatch.setattr("dha_utils.responses.extraction.load_network", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match="device 'cuda' is not available"):
        extract_responses(clips, device="cuda")
    with pytest.raises(ParameterError, match="unknown precision 'half'"):
        extract_responses(clips, precision="half")


def test_bundled_responses_of_esc50_are_recomputed_from_the_copy():
    root = data_dir() and data_dir() / "ESC-50-16k"
    if not root or not root.is_dir():
        pytest.skip("needs a folder ESC-50-16k in DHA_DATA: all clips of ESC-50 as FLAC at 16 kHz")
    stored = Responses.load(bundled("esc50") / "responses_22050.safetensors")
    clips = load_clips("esc50", root)
    columns = ["clip", "label", "fold", "recording"]
    assert stored.table[columns].equals(clips.table[columns])
    assert stored.provenance["notes"] == list(clips.notes)
    rows = np.arange(0, 2000, 333)
    fresh, stored = extract_responses(clips.take(rows)), stored.take(rows)
    assert fresh.table["sound"].tolist() == stored.table["sound"].tolist()
    for tap in stored.taps:
        np.testing.assert_allclose(fresh[tap], stored[tap], rtol=1e-4, atol=1e-5 * np.abs(stored[tap]).max())


def test_a_kill_while_the_blocks_are_removed(clips, random_network, tmp_path, monkeypatch):
    def killed(folder):
        raise KeyboardInterrupt

    out = tmp_path / "out.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("dha_utils.responses.outputs.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            extract(clips, random_network, out=out)
    assert [path.name for path in (tmp_path / "out.safetensors.partial").iterdir()] == ["manifest.json"]
    extract(clips, random_network, out=out)
    assert not (tmp_path / "out.safetensors.partial").exists()
