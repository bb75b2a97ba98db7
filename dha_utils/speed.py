"""How long networks take, side by side: wall-clock of the taps for a batch of clips.

Conventions: all networks take turns within one run, so that whatever else the machine does hits them alike; times are medians.
Times depend on the machine and are never part of a test; what counts is their ratio.
"""

import statistics
import time
from collections.abc import Mapping

import torch

from dha_utils.fused import FusedTaps
from dha_utils.soundnet import SoundNet


def measure_speed(
    models: Mapping[str, SoundNet],
    n_samples: int,
    *,
    batch_size: int = 8,
    threads: int = 2,
    repeats: int = 21,
) -> dict[str, float]:
    """Return the seconds that each network takes for a batch of clips.

    Parameters
    ----------
    models : dict of str to SoundNet
    n_samples : int
        Length of the clips.
    batch_size, threads, repeats : int
        Clips at a time, threads of PyTorch, rounds in which every network has a turn.

    Returns
    -------
    dict of str to float
        Name -> median over the rounds.
    """
    waveforms = torch.sin(torch.arange(batch_size * n_samples, dtype=torch.float32) / 50).view(batch_size, -1)
    taps = {name: FusedTaps(model) for name, model in models.items()}
    times: dict[str, list[float]] = {name: [] for name in models}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            for _ in range(repeats + 1):
                for name, network in taps.items():
                    start = time.perf_counter()
                    for _tap in network(waveforms):
                        pass
                    times[name].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    return {name: statistics.median(measured[1:]) for name, measured in times.items()}  # the first warms up
