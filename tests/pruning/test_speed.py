import pandas as pd
import pytest
import torch

from dha_utils.pruning import speed
from dha_utils.pruning.speed import load_times, measure_speed, speed_table, times_key
from dha_utils.pruning.surgery import prune_network


def test_every_network_is_timed_and_threads_are_put_back(random_network):
    before = torch.get_num_threads()
    models = {"full": random_network, "small": prune_network(random_network, {"conv1": [0]})}
    times = measure_speed(models, 8_000, batch_size=2, threads=before + 1, repeats=2)
    assert list(times) == ["full", "small"]
    assert min(times.values()) > 0
    assert torch.get_num_threads() == before


def test_table_gives_shares_and_their_ratio():
    half = [8, 16, 32, 64, 128, 256, 512]
    key = times_key({"half": half}, 110_250)
    table = speed_table({"key": key, "seconds": {"full": 0.04, "half": 0.01}})
    assert table.loc[0, "time"] == 0.25
    # Half of the maps on both sides of each layer: a quarter of the products, but half for conv1.
    share = (56_449_024 / 2 + (146_397_184 - 56_449_024) / 4) / 146_397_184
    assert table.loc[0, "macs"] == pytest.approx(share)
    assert table.loc[0, "ratio"] == pytest.approx(0.75 / (1 - share))


def test_times_are_measured_once(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    trials = [{"criterion": "explained_variance", "size": "0.1", "layer_maps": [[1, 2, 3, 4, 5, 6, 7]]}]
    monkeypatch.setattr(speed, "measure_speed", lambda models, n, **how: dict.fromkeys(models, 0.5))
    first = load_times(responses, tmp_path, trials)
    kept = tmp_path / "speed_22050.json"
    content = kept.read_text()
    kept.write_text(content[:100])  # damaged: measured anew
    pd.testing.assert_frame_equal(load_times(responses, tmp_path, trials), first)
    assert kept.read_text() == content
    monkeypatch.setattr(speed, "measure_speed", None)  # not called again
    pd.testing.assert_frame_equal(load_times(responses, tmp_path, trials), first)
    trials[0]["layer_maps"] = [[1, 2, 3, 4, 5, 6, 8]]
    with pytest.raises(TypeError, match="not callable"):
        load_times(responses, tmp_path, trials)
