"""Refitting and training bring a smaller network nearer to the full one."""

import json

import numpy as np
import pytest
import torch

from dha_utils.networks import crepe
from dha_utils.networks.crepe import FRAME, WIDTHS, Crepe
from dha_utils.studies import pitch
from dha_utils.studies.pitch_sounds import draw_sounds


@pytest.fixture(scope="module")
def small():
    """A CREPE of few maps, with seeded random weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WIDTHS, "crepe-tiny", (12, 6, 5, 5, 6, 8))
        torch.manual_seed(0)
        return Crepe("crepe-tiny", hop=FRAME).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def sounds():
    return draw_sounds(100, seed=0)


def test_hears_what_the_network_says(small, sounds):
    waveforms = sounds.waveforms[:3]
    expected = crepe.pitch_of(small(torch.from_numpy(waveforms.reshape(1, -1))))[0]
    np.testing.assert_allclose(pitch.hear(small, waveforms), expected, rtol=1e-4)


def test_the_teacher_holds_what_the_network_gives(small, sounds):
    teacher = pitch.Teacher(small, sounds)
    stages = dict(small.stages(torch.from_numpy(sounds.waveforms.reshape(1, -1))))
    assert list(teacher.outputs) == [*(f"conv{n}" for n in range(2, 7)), "classifier"]
    for layer, outputs in teacher.outputs.items():
        torch.testing.assert_close(outputs, stages[layer][0].transpose(0, 1), rtol=1e-4, atol=1e-4)
    covariance = np.cov(stages["pool3"][0].flatten(1).numpy(), bias=True)
    np.testing.assert_allclose(teacher.statistics["conv3"].covariance, covariance, rtol=1e-3, atol=1e-5)


def test_nothing_removed_is_nothing_changed(small, sounds):
    teacher = pitch.Teacher(small, sounds)
    (same,) = teacher.refitted(teacher.orders(seed=0), [[*small.widths.values()][:-1]])
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), small.parameters(), strict=True))


def test_refitting_comes_nearer_to_the_full_network(small, sounds):
    teacher = pitch.Teacher(small, sounds)
    size = (9, 4, 4, 4, 5, 6)
    for seed in (None, 0):
        orders = teacher.orders(seed=seed)
        (fitted,) = teacher.refitted(orders, [size])
        cut = pitch.prune_network(small, pitch.kept(orders, size))
        assert [*fitted.widths.values()] == [*size, crepe.BINS]
        other = torch.from_numpy(draw_sounds(50, seed=3).waveforms.reshape(1, -1))
        wanted = small(other)
        assert (fitted(other) - wanted).square().mean() < (cut(other) - wanted).square().mean()


def test_a_map_that_another_repeats_is_not_missed(small, sounds):
    """With the second map a copy of the first, the network without it can be refitted to say the same."""
    double = small.narrow({"conv1": [0, 0, 1, 2, 3]})
    teacher = pitch.Teacher(double.eval().requires_grad_(False), sounds)
    orders = teacher.orders(seed=0) | {"conv1": np.array([0, 2, 3, 4, 1])}
    (fitted,) = teacher.refitted(orders, [(4, *[*small.widths.values()][1:-1])], ridge=1e-6)
    other = torch.from_numpy(draw_sounds(50, seed=3).waveforms.reshape(1, -1))
    torch.testing.assert_close(fitted(other), double(other), rtol=0, atol=1e-3)


def test_components_are_a_mark_for_any_choice_of_maps(small, sounds):
    """All of them say what the network says; fewer hold more of what it says than as many random maps."""
    teacher, widths = pitch.Teacher(small, sounds), [*small.widths.values()][:-1]
    other = torch.from_numpy(draw_sounds(50, seed=3).waveforms.reshape(1, -1))
    torch.testing.assert_close(teacher.of_components(widths)(other), small(other), rtol=0, atol=1e-3)
    few = (6, 3, 3, 3, 3, 4)
    (drawn,) = teacher.refitted(teacher.orders(seed=0), [few])
    marked = teacher.of_components(few)
    assert (marked(other) - small(other)).square().mean() < (drawn(other) - small(other)).square().mean()


def test_training_comes_nearer_to_the_full_network(small, sounds):
    waveforms = sounds.waveforms[:5]
    keep = pitch.kept(
        {layer: np.arange(width) for layer, width in small.widths.items()}, (9, 4, 4, 4, 5, 6, 360)
    )
    network, wanted = pitch.prune_network(small, keep), pitch.logits_of(small, waveforms)

    def loss():
        said = pitch.logits_of(network, waveforms)
        return torch.nn.functional.binary_cross_entropy_with_logits(said, wanted.sigmoid())

    before = loss()
    pitch.train(network, waveforms, wanted, epochs=30)
    assert loss() < before


@pytest.fixture
def one_size(small, monkeypatch):
    """A study of one size and few frames."""
    monkeypatch.setattr(pitch, "load_crepe", lambda name="crepe", hop=0: small)
    monkeypatch.setattr(pitch, "SIZES", ((6, 3, 3, 3, 3, 4),))
    monkeypatch.setattr(pitch, "MORE_DRAWS", 1)
    monkeypatch.setattr(pitch, "COMPARED", ("anova", "lasso"))
    monkeypatch.setattr(pitch, "EPOCHS", 1)
    monkeypatch.setattr(pitch, "DRAWN", 50)
    for name in ("FITTED", "TRAINED", "TESTED"):
        monkeypatch.setattr(pitch, name, 50)


def test_measures_all_selections(one_size, tmp_path, monkeypatch):
    pitch.keep_pitch(tmp_path)
    kept = json.loads((tmp_path / "pitch.json").read_text())
    rows = [(row["selection"], row["seed"]) for row in kept["networks"]]
    named = [
        "all",
        "all",
        "unfitted",
        "random",
        *pitch.COMPARED,
        "components",
        "explained_variance",
        "trained",
    ]
    assert rows == [(name, 0) for name in named]
    assert all(row["clips"] == 50 and 0 <= row["accuracy"] <= 1 for row in kept["networks"])
    assert kept["provenance"]["frames"]["fitted"] == 50

    monkeypatch.setattr(pitch, "describe_network", None)  # nothing is measured twice
    pitch.keep_pitch(tmp_path)
    assert json.loads((tmp_path / "pitch.json").read_text()) == kept


def test_goes_on_where_it_was_stopped(one_size, tmp_path, monkeypatch):
    row = {"network": "crepe", "selection": "all", "widths": [1]}
    given, rows = [], [row | {"seed": 1}, row | {"seed": 2}]

    def measure(*how):
        given.append(how[-1])
        yield rows[0]
        if len(given) in (1, 3):
            raise KeyboardInterrupt
        yield rows[1]

    monkeypatch.setattr(pitch, "measure_pitch", measure)
    with pytest.raises(KeyboardInterrupt):
        pitch.keep_pitch(tmp_path)
    pitch.keep_pitch(tmp_path)
    assert json.loads((tmp_path / "pitch.json").read_text())["networks"] == rows
    with pytest.raises(KeyboardInterrupt):
        pitch.keep_pitch(tmp_path)
    assert json.loads((tmp_path / "pitch.json").read_text())["networks"] == rows  # the second is not lost
    monkeypatch.setattr(pitch, "RIDGE", 0.5)  # what was measured otherwise is not taken for this
    pitch.keep_pitch(tmp_path)
    assert given == [[], rows[:1], rows, []]
