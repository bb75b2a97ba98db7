"""Synthetic frames have the pitch that they are said to have; refitting reproduces what it can."""

import json

import numpy as np
import pytest
import torch
from scipy.signal import correlate

from dha_utils.networks import crepe
from dha_utils.networks.crepe import FRAME, RATE, WIDTHS, Crepe
from dha_utils.studies import pitch


@pytest.fixture(scope="module")
def small():
    """A CREPE of few maps, with seeded random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WIDTHS, "crepe-tiny", (12, 6, 5, 5, 6, 8))
        torch.manual_seed(0)
        return Crepe("crepe-tiny", hop=FRAME).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def sounds():
    return pitch.draw_sounds(100, seed=0)


def test_steady_sounds_repeat_at_their_period(monkeypatch):
    monkeypatch.setattr(pitch, "NOISE", (60.0, 60.0))
    sounds = pitch.draw_sounds(60, seed=1)
    for waveform, hz in list(zip(sounds.waveforms, sounds.hz, strict=True))[::2]:
        period = RATE / hz
        own = correlate(waveform, waveform, method="fft")[FRAME - 1 :] / np.arange(FRAME, 0, -1)
        lags = np.arange(int(0.7 * period), int(1.3 * period) + 2)
        assert abs(lags[own[lags].argmax()] - period) <= 1


def test_glides_move_around_their_pitch(monkeypatch):
    monkeypatch.setattr(pitch, "NOISE", (90.0, 90.0))
    monkeypatch.setattr(pitch, "HARMONICS", 1)
    sounds = pitch.draw_sounds(40, seed=2)
    for waveform, hz in list(zip(sounds.waveforms, sounds.hz, strict=True))[1::2]:
        if hz < 300:  # too few periods to count crossings
            continue
        crossings = np.flatnonzero(np.diff(np.signbit(waveform)))
        assert RATE / 2 / np.diff(crossings).mean() == pytest.approx(hz, rel=0.03)


def test_drawn_again_is_the_same(sounds):
    again = pitch.draw_sounds(100, seed=0)
    np.testing.assert_array_equal(again.waveforms, sounds.waveforms)
    assert not np.array_equal(pitch.draw_sounds(100, seed=1).hz, sounds.hz)


def test_hears_what_the_network_says(small, sounds):
    waveforms = sounds.waveforms[:3]
    expected = crepe.pitch_of(small(torch.from_numpy(waveforms.reshape(1, -1))))[0]
    np.testing.assert_allclose(pitch.hear(small, waveforms), expected, rtol=1e-4)


def test_the_teacher_holds_what_the_network_gives(small, sounds):
    teacher = pitch.Teacher(small, sounds.waveforms)
    stages = dict(small.stages(torch.from_numpy(sounds.waveforms.reshape(1, -1))))
    assert list(teacher.outputs) == [*(f"conv{n}" for n in range(2, 7)), "classifier"]
    for layer, outputs in teacher.outputs.items():
        torch.testing.assert_close(outputs, stages[layer][0].transpose(0, 1), rtol=1e-4, atol=1e-4)
    covariance = np.cov(stages["pool3"][0].flatten(1).numpy(), bias=True)
    np.testing.assert_allclose(teacher.covariances["conv3"], covariance, rtol=1e-3, atol=1e-5)


def test_nothing_removed_is_nothing_changed(small, sounds):
    teacher = pitch.Teacher(small, sounds.waveforms)
    (same,) = teacher.refitted(teacher.orders(0), [[*small.widths.values()][:-1]])
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), small.parameters(), strict=True))


def test_refitting_comes_nearer_to_the_full_network(small, sounds):
    teacher = pitch.Teacher(small, sounds.waveforms)
    size = (9, 4, 4, 4, 5, 6)
    for seed in (None, 0):
        orders = teacher.orders(seed)
        (fitted,) = teacher.refitted(orders, [size])
        cut = pitch.prune_network(small, pitch.kept(orders, size))
        assert [*fitted.widths.values()] == [*size, crepe.BINS]
        other = torch.from_numpy(pitch.draw_sounds(50, seed=3).waveforms.reshape(1, -1))
        wanted = small(other)
        assert (fitted(other) - wanted).square().mean() < (cut(other) - wanted).square().mean()


def test_a_map_that_another_repeats_is_not_missed(small, sounds):
    """With the second map a copy of the first, the network without it can be refitted to say the same."""
    double = small.narrow({"conv1": [0, 0, 1, 2, 3]})
    teacher = pitch.Teacher(double.eval().requires_grad_(False), sounds.waveforms)
    orders = teacher.orders(0) | {"conv1": np.array([0, 2, 3, 4, 1])}
    (fitted,) = teacher.refitted(orders, [(4, *[*small.widths.values()][1:-1])], ridge=1e-6)
    other = torch.from_numpy(pitch.draw_sounds(50, seed=3).waveforms.reshape(1, -1))
    torch.testing.assert_close(fitted(other), double(other), rtol=0, atol=1e-3)


def test_measures_all_selections(small, sounds, monkeypatch, tmp_path):
    monkeypatch.setattr(pitch, "load_crepe", lambda name="crepe", hop=0: small)
    monkeypatch.setattr(pitch, "SIZES", ((6, 3, 3, 3, 3, 4),))
    monkeypatch.setattr(pitch, "FITTED", 50)
    monkeypatch.setattr(pitch, "TESTED", 50)
    pitch.keep_pitch(tmp_path)
    kept = json.loads((tmp_path / "pitch.json").read_text())
    selections = [row["selection"] for row in kept["networks"]]
    assert selections == ["all", "all", "unfitted", "explained_variance", *["random"] * pitch.DRAWS]
    assert all(row["clips"] == 50 and 0 <= row["accuracy"] <= 1 for row in kept["networks"])
    assert kept["provenance"]["frames"]["fitted"] == 50
