import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from dha_utils.audio.waveforms import load_audio
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.core.work import workers
from dha_utils.datasets.clips import Clips
from dha_utils.networks.soundnet import TAP_MAPS, TAPS, SoundNet
from dha_utils.responses import maps as maps_module
from dha_utils.responses.maps import iterate_maps, selection_clips, split_into_passes

RATE = 11_025
DURATION = 0.5
Y = np.array([0, 1, 2] * 12 + [3] * 4)
TRAIN = np.arange(40) % 4 != 0


@pytest.fixture(scope="module")
def model() -> SoundNet:
    torch.manual_seed(0)
    return SoundNet().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Clips:
    """Five clips of noise, so that the last batch of four is a lone clip."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(5):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(6_000), RATE)
        rows.append((str(number), str(path), "noise", 1, str(number)))
    return Clips("noise", folder, pd.DataFrame(rows, columns=["clip", "path", "label", "fold", "recording"]))


def all_maps(clips, model, **how) -> dict[str, np.ndarray]:
    settings = {"rate": RATE, "duration": DURATION} | how
    return dict(iterate_maps(clips, model=model, **settings))


def test_so_many_clips_per_class_are_drawn_from_the_training_part():
    rows = selection_clips(Y, TRAIN, per_class=5)
    assert TRAIN[rows].all()
    assert np.bincount(Y[rows]).tolist() == [5, 5, 5, 3]  # the last class has three training clips
    assert (np.diff(rows) > 0).all()


def test_the_draw_depends_on_the_seed_alone():
    draws = [selection_clips(Y, TRAIN, 5, seed).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    shuffled_rows = np.random.default_rng(0).permutation(np.flatnonzero(TRAIN))
    assert selection_clips(Y, shuffled_rows, 5).tolist() == draws[0]


def test_over_seeds_every_training_clip_is_drawn_and_no_other():
    drawn = set(np.concatenate([selection_clips(Y, TRAIN, 2, seed) for seed in range(60)]))
    assert drawn == set(np.flatnonzero(TRAIN))


def test_a_draw_of_nothing_is_refused():
    with pytest.raises(ParameterError, match="per_class is 0, expected at least 1"):
        selection_clips(Y, TRAIN, 0)
    with pytest.raises(DataError, match="holds no clips: check the folds"):
        selection_clips(Y, np.zeros(40, dtype=bool))


def test_maps_are_those_of_the_network_in_its_order(clips, model):
    got = all_maps(clips, model)
    assert tuple(got) == TAPS
    waveforms = np.stack([load_audio(path, RATE, DURATION) for path in clips.table["path"]])
    with torch.inference_mode():
        expected = dict(model.features(torch.from_numpy(waveforms)))
    for tap, maps in got.items():
        assert maps.shape[:2] == (5, TAP_MAPS[tap])
        assert maps.dtype == np.float32
        np.testing.assert_allclose(maps, expected[tap], rtol=1e-4, atol=1e-4)


def test_maps_do_not_depend_on_workers_nor_on_what_else_is_asked_for(clips, model, monkeypatch):
    everything = all_maps(clips, model)
    with workers(n=3):
        some = all_maps(clips, model, taps=("bn5", "pool1"))
    assert tuple(some) == ("pool1", "bn5")
    monkeypatch.setattr(maps_module, "PASS_BYTES", 1)  # a pass of the network for every tap
    apart = all_maps(clips, model, taps=("relu2", "pool2"))
    for tap, maps in (some | apart).items():
        np.testing.assert_array_equal(maps, everything[tap])


def test_taps_share_a_pass_while_they_fit():
    shapes = {"pool1": (10, 16, 100), "bn2": (10, 32, 40), "relu2": (10, 32, 40), "pool2": (10, 32, 5)}
    sizes = [64_000, 51_200, 51_200, 6_400]
    with pytest.MonkeyPatch.context() as patch:
        for limit, groups in (
            (sum(sizes), [["pool1", "bn2", "relu2", "pool2"]]),
            (sum(sizes) - 1, [["pool1", "bn2", "relu2"], ["pool2"]]),
            (60_000, [["pool1"], ["bn2"], ["relu2", "pool2"]]),
            (1, [["pool1"], ["bn2"], ["relu2"], ["pool2"]]),
        ):
            patch.setattr(maps_module, "PASS_BYTES", limit)
            assert split_into_passes(shapes) == groups


def test_maps_of_nothing_are_refused(clips, model):
    with pytest.raises(ParameterError, match=r"unknown tap 'pool9' .did you mean 'pool5'"):
        all_maps(clips, model, taps=["pool9"])
    with pytest.raises(ParameterError, match="duration is None, expected seconds"):
        all_maps(clips, model, duration=None)
    with pytest.raises(ParameterError, match="no taps are asked for"):
        all_maps(clips, model, taps=[])
    with pytest.raises(DataError, match="there are no clips"):
        all_maps(clips.take([]), model)
    with pytest.raises(DataError, match="at least 4574 samples: pad the clips"):
        all_maps(clips, model, duration=0.1)


def test_a_missing_file_is_named(clips, model):
    table = clips.table.assign(path="/nowhere/x.wav")
    with pytest.raises(ValueError, match=r"/nowhere/x.wav: no such file"):
        all_maps(Clips("gone", clips.root, table), model)
