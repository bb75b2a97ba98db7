"""Refitting brings a smaller network nearer to the full one."""

import numpy as np
import torch

from dha_utils.networks import crepe
from dha_utils.pruning.surgery import prune_network
from dha_utils.studies.pitch_sounds import draw_sounds
from dha_utils.studies.pitch_teacher import Teacher, hear, kept


def test_hears_what_the_network_says(small_crepe, pitched):
    waveforms = pitched.waveforms[:3]
    expected = crepe.pitch_of(small_crepe(torch.from_numpy(waveforms.reshape(1, -1))))[0]
    np.testing.assert_allclose(hear(small_crepe, waveforms), expected, rtol=1e-4)


def test_the_teacher_holds_what_the_network_gives(small_crepe, pitched):
    teacher = Teacher(small_crepe, pitched)
    stages = dict(small_crepe.stages(torch.from_numpy(pitched.waveforms.reshape(1, -1))))
    assert list(teacher.outputs) == [*(f"conv{n}" for n in range(2, 7)), "classifier"]
    for layer, outputs in teacher.outputs.items():
        torch.testing.assert_close(outputs, stages[layer][0].transpose(0, 1), rtol=1e-4, atol=1e-4)
    covariance = np.cov(stages["pool3"][0].flatten(1).numpy(), bias=True)
    np.testing.assert_allclose(teacher.statistics["conv3"].covariance, covariance, rtol=1e-3, atol=1e-5)


def test_nothing_removed_is_nothing_changed(small_crepe, pitched):
    teacher = Teacher(small_crepe, pitched)
    (same,) = teacher.refitted(teacher.orders(seed=0), [[*small_crepe.widths.values()][:-1]])
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), small_crepe.parameters(), strict=True))


def test_refitting_comes_nearer_to_the_full_network(small_crepe, pitched):
    teacher = Teacher(small_crepe, pitched)
    size = (9, 4, 4, 4, 5, 6)
    for seed in (None, 0):
        orders = teacher.orders(seed=seed)
        (fitted,) = teacher.refitted(orders, [size])
        cut = prune_network(small_crepe, kept(orders, size))
        assert [*fitted.widths.values()] == [*size, crepe.BINS]
        other = torch.from_numpy(draw_sounds(50, seed=3).waveforms.reshape(1, -1))
        wanted = small_crepe(other)
        assert (fitted(other) - wanted).square().mean() < (cut(other) - wanted).square().mean()


def test_a_map_that_another_repeats_is_not_missed(small_crepe, pitched):
    """With the second map a copy of the first, the network without it can be refitted to say the same."""
    double = small_crepe.narrow({"conv1": [0, 0, 1, 2, 3]})
    teacher = Teacher(double.eval().requires_grad_(False), pitched)
    orders = teacher.orders(seed=0) | {"conv1": np.array([0, 2, 3, 4, 1])}
    (fitted,) = teacher.refitted(orders, [(4, *[*small_crepe.widths.values()][1:-1])], ridge=1e-6)
    other = torch.from_numpy(draw_sounds(50, seed=3).waveforms.reshape(1, -1))
    torch.testing.assert_close(fitted(other), double(other), rtol=0, atol=1e-3)


def test_components_are_a_mark_for_any_choice_of_maps(small_crepe, pitched):
    """All of them say what the network says; fewer hold more of what it says than as many random maps."""
    teacher, widths = Teacher(small_crepe, pitched), [*small_crepe.widths.values()][:-1]
    other = torch.from_numpy(draw_sounds(50, seed=3).waveforms.reshape(1, -1))
    torch.testing.assert_close(teacher.of_components(widths)(other), small_crepe(other), rtol=0, atol=1e-3)
    few = (6, 3, 3, 3, 3, 4)
    (drawn,) = teacher.refitted(teacher.orders(seed=0), [few])
    marked = teacher.of_components(few)
    assert (marked(other) - small_crepe(other)).square().mean() < (
        drawn(other) - small_crepe(other)
    ).square().mean()
