"""How long networks take, side by side: wall-clock of the taps for a batch of clips.

Conventions: all networks take turns within one run, so that whatever else the machine does hits them alike; times are medians.
Times depend on the machine and are never part of a test; what counts is their ratio.
"""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dha_utils.core.artifacts import VERSIONS, load_json, obtain, places
from dha_utils.core.paths import write_json
from dha_utils.networks.base import Network
from dha_utils.networks.registry import NETWORKS, outline
from dha_utils.pruning.cost import count_macs
from dha_utils.responses.table import Responses

HOW = {"batch_size": 8, "threads": 2, "repeats": 21}
"""What the book measures."""


def measure_speed(
    models: Mapping[str, Network],
    n_samples: int,
    *,
    batch_size: int = HOW["batch_size"],
    threads: int = HOW["threads"],
    repeats: int = HOW["repeats"],
) -> dict[str, float]:
    """Return the seconds that each network takes for a batch of clips.

    Parameters
    ----------
    models : dict of str to Network
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
    taps = {name: model.fast() for name, model in models.items()}
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


def times_key(widths: Mapping[str, list[int]], n_samples: int) -> dict:
    """Return what times depend on (`dha_utils.core.artifacts`), but for the machine."""
    versions = {"speed": VERSIONS["speed"]}
    return {"kind": "speed", "versions": versions, "widths": dict(widths), "n_samples": n_samples} | HOW


def time_networks(widths: Mapping[str, list[int]], n_samples: int) -> dict:
    """Return what was measured of the full network and of networks of these widths, in JSON types, with its key.

    The weights do not matter, but that they are no zeros, so any will do.
    """
    full = NETWORKS["soundnet8"].make().eval().requires_grad_(False)
    models = {"full": full} | {name: _narrow(full, counts) for name, counts in widths.items()}
    seconds = measure_speed(models, n_samples)
    return {"key": times_key(widths, n_samples), "seconds": seconds, "torch": version("torch")}


def load_times(responses: Responses, folder: Path, trials: Iterable[Mapping]) -> pd.DataFrame:
    """Return how long the networks of trials take: bundled times, those in `folder`, or new ones, kept there.

    Parameters
    ----------
    responses : Responses
        Name the data set, and the rate and the duration of clips.
    folder : Path
        Where new times are kept.
    trials : iterable of dict
        Results of trials; the networks of the first fold of those by explained variance are timed.

    Returns
    -------
    DataFrame
        Columns size, macs and time (fractions of the full network's), ratio (time saved over multiply-accumulates saved).
    """
    parameters = responses.provenance["parameters"]
    n_samples = round(parameters["rate"] * parameters["duration"])
    widths = {r["size"]: r["layer_maps"][0] for r in trials if r["criterion"] == "explained_variance"}
    name = f"speed_{parameters['rate']}.json"

    def keep_times() -> dict:
        times = time_networks(widths, n_samples)
        write_json(folder / name, times)
        return times

    times, _ = obtain(
        times_key(widths, n_samples),
        places(responses.provenance["dataset"], folder, name),
        lambda path: (held := load_json(path, "seconds"), held["key"]),
        keep_times,
    )
    return speed_table(times)


def speed_table(times: Mapping) -> pd.DataFrame:
    """Return the table of `load_times` from what `time_networks` returns."""
    n_samples = times["key"]["n_samples"]
    full = count_macs(outline(), n_samples)["macs"].sum()
    rows = []
    for size, counts in times["key"]["widths"].items():
        macs = int(count_macs(_narrow(outline(), counts), n_samples)["macs"].sum()) / int(full)
        seconds = times["seconds"][size] / times["seconds"]["full"]
        rows.append({"size": size, "macs": macs, "time": seconds, "ratio": (1 - seconds) / (1 - macs)})
    return pd.DataFrame(rows)


def _narrow(full: Network, widths: Sequence[int]) -> Network:
    """Return a network of so many maps per layer."""
    return full.narrow({layer: np.arange(n) for layer, n in zip(full.layers, widths, strict=True)})
