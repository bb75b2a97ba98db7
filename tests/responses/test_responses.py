import numpy as np
import pandas as pd
import pytest

from dha_utils.core.errors import DataError
from dha_utils.core.tensor_files import load_tensors, save_tensors
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses


def assert_same(a, b):
    assert a.taps == b.taps
    for tap in a.taps:
        np.testing.assert_array_equal(a[tap], b[tap], err_msg=tap)


def test_saved_and_loaded(make_responses, tmp_path):
    responses = make_responses()
    responses.save(tmp_path / "a.safetensors")
    responses.save(tmp_path / "b.safetensors")
    loaded = Responses.load(tmp_path / "a.safetensors")
    assert_same(responses, loaded)
    pd.testing.assert_frame_equal(loaded.table, responses.table)
    assert loaded.provenance == responses.provenance
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_take_and_matrix(make_responses):
    responses = make_responses()
    part = responses.take(responses.folds == 2)
    assert set(part.folds) == {2}
    np.testing.assert_array_equal(part["relu7"], responses["relu7"][responses.folds == 2])
    np.testing.assert_array_equal(responses.matrix()[:, 12:], responses["relu7"])
    assert responses.matrix(["relu6"]).shape == (60, 12)


def test_shuffled_labels_keep_everything_else(make_responses):
    responses = make_responses()
    shuffled = responses.shuffle_labels(3)
    assert sorted(shuffled.y) == sorted(responses.y)
    assert (shuffled.y != responses.y).any()
    np.testing.assert_array_equal(shuffled.folds, responses.folds)
    np.testing.assert_array_equal(shuffled.y, responses.shuffle_labels(3).y)


def test_perturbed_responses_are_off_by_a_millionth(make_responses):
    responses = make_responses()
    perturbed = responses.perturb(3)
    ratio = perturbed["relu7"].astype(float) / responses["relu7"]
    assert 0.8e-6 < (ratio - 1).std() < 1.2e-6
    assert abs(ratio.mean() - 1) < 1e-6
    assert perturbed["relu7"].dtype == np.float32
    np.testing.assert_array_equal(perturbed["relu6"], responses.perturb(3)["relu6"])
    assert (perturbed["relu6"] != responses.perturb(4)["relu6"]).any()
    assert perturbed.table.equals(responses.table)
    heard = Responses(responses.arrays, responses.table.assign(sound="0"), responses.provenance)
    assert key_of("sweep", heard) != key_of("sweep", heard.perturb(3)) != key_of("sweep", heard.perturb(4))


def test_bad_files(tmp_path, make_responses):
    with pytest.raises(DataError, match=r"nothing\.safetensors: no such file; `dha extract` makes it"):
        Responses.load(tmp_path / "nothing.safetensors")
    path = tmp_path / "cut.safetensors"
    make_responses().save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match="not a file of responses, or damaged"):
        Responses.load(path)


def test_bad_content(make_responses):
    responses = make_responses()
    broken = responses["relu6"].copy()
    broken[3, 2] = np.nan
    with pytest.raises(DataError, match="relu6 to clip clip003 are not finite"):
        Responses({"relu6": broken}, responses.table)
    with pytest.raises(DataError, match=r"shape \(59, 12\), expected \(60, maps\)"):
        Responses({"relu6": broken[1:]}, responses.table)
    with pytest.raises(DataError, match=r"unknown tap 'relu5'.*; there are: relu6, relu7"):
        responses["relu5"]


def test_a_file_of_arrays_alone_is_read_and_not_taken_for_another(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"dog": np.ones((2, 3), np.float16)})
    header, arrays = load_tensors(path, "spectrograms", "make it")
    assert (header, arrays["dog"].shape) == ({}, (2, 3))
    with pytest.raises(
        DataError, match=r"not a file of responses, or damaged \(.*no provenance in its header"
    ):
        Responses.load(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a file of spectrograms, or damaged"):
        load_tensors(path, "spectrograms", "make it")


def test_what_the_responses_of_a_tap_are_like(make_responses):
    responses = make_responses()
    table = responses.take(np.arange(4)).describe().set_index("tap")
    for tap, row in table.iterrows():
        x = responses[tap][:4]
        assert (row["maps"], row["mean"]) == (x.shape[1], x.mean(dtype=float))
        assert row["silent maps"] / row["maps"] <= row["zero"] == np.mean(x == 0)
