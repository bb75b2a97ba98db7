"""Refitting and training bring a smaller network nearer to the full one."""

import json

import numpy as np
import pytest
import torch

from dha_utils.studies import pitch


def test_the_nearest_is_found_by_what_networks_say_alone(small_crepe, pitched):
    teacher = pitch.Teacher(small_crepe, pitched)
    orders = {name: teacher.orders(seed=number) for number, name in enumerate("abc")}
    teacher.orders, size = orders.get, (6, 3, 3, 3, 3, 4)
    logits = pitch.logits_of(small_crepe, pitched.waveforms)
    losses, network = pitch.find_nearest(teacher, "abc", size, pitched.waveforms, logits)
    nearest = min(losses, key=losses.get)
    assert [*losses] == sorted("abc", key=losses.get)
    (same,) = teacher.refitted(orders[nearest], [size])
    found, expected = (pitch.logits_of(each, pitched.waveforms) for each in (network, same))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)


def test_training_comes_nearer_to_the_full_network(small_crepe, pitched):
    waveforms = pitched.waveforms[:5]
    keep = pitch.kept(
        {layer: np.arange(width) for layer, width in small_crepe.widths.items()}, (9, 4, 4, 4, 5, 6, 360)
    )
    network, wanted = pitch.prune_network(small_crepe, keep), pitch.logits_of(small_crepe, waveforms)

    def loss():
        said = pitch.logits_of(network, waveforms)
        return torch.nn.functional.binary_cross_entropy_with_logits(said, wanted.sigmoid())

    before = loss()
    pitch.train(network, waveforms, wanted, epochs=30)
    assert loss() < before


@pytest.fixture
def one_size(small_crepe, monkeypatch):
    """A study of one size and few frames."""
    monkeypatch.setattr(pitch, "load_crepe", lambda name="crepe", hop=0: small_crepe)
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
    named = ["all", "all", "unfitted", "random", *pitch.COMPARED, "components", "nearest_trained"]
    named += ["explained_variance", "trained"]
    assert rows == [(name, 0) for name in named]
    assert all(row["clips"] == 50 and 0 <= row["accuracy"] <= 1 for row in kept["networks"])
    assert kept["provenance"]["frames"]["fitted"] == 50
    (losses,) = (row["losses"] for row in kept["networks"] if "losses" in row)
    assert {*losses} == {"explained_variance", *pitch.COMPARED}
    assert [*losses.values()] == sorted(losses.values())

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
