import torch

from dha_utils.pruning import prune_network
from dha_utils.speed import measure_speed


def test_every_network_is_timed_and_threads_are_put_back(random_network):
    before = torch.get_num_threads()
    models = {"full": random_network, "small": prune_network(random_network, {"conv1": [0]})}
    times = measure_speed(models, 8_000, batch_size=2, threads=1, repeats=2)
    assert list(times) == ["full", "small"]
    assert min(times.values()) > 0
    assert torch.get_num_threads() == before
