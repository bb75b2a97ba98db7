"""Error and speed of half precision against float32 on ESC-10, and what it does to the mean responses of every tap.

The error of a tap is the largest difference of a response, relative to the largest response of that tap, and the median
difference likewise. Precisions take turns on batches of four clips; the ratio of times is the median over batches.

    DHA_DATA=... python benchmarks/precision.py [--clips 40] [--device auto] [--precisions bfloat16 float16]
"""

import argparse
import time

import numpy as np
import torch

import dha_utils as dha
from dha_utils.core.hardware import choose_device, choose_precision
from dha_utils.networks.fused import FusedTaps
from dha_utils.responses.pooling import decode, pool_maps


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", default=["bfloat16", "float16"])
    arguments = parser.parse_args()
    clips, model, device = dha.load_clips("esc10"), dha.load_soundnet(), choose_device(arguments.device)
    paths = clips.table["path"].iloc[np.linspace(0, len(clips) - 1, arguments.clips).astype(int)].tolist()
    torch.set_num_threads(1)
    names = ["float32", *arguments.precisions]
    networks = {name: FusedTaps(model, device, choose_precision(name)) for name in names}
    pooled, seconds = {name: [] for name in names}, {name: [] for name in names}
    for start in range(0, len(paths), 4):
        waveforms = [decode(path, dha.NATIVE_RATE, 5.0) for path in paths[start : start + 4]]
        for name, network in networks.items():
            began = time.perf_counter()
            pooled[name].append(pool_maps(network, waveforms))
            seconds[name].append((time.perf_counter() - began) / len(waveforms))
    for name in arguments.precisions:
        ratio = np.median(np.divide(seconds[name], seconds["float32"])[1:])
        print(
            f"{name} on {device}: {1e3 * np.median(seconds[name]):.2f} ms per clip, {ratio:.2f} of float32's time"
        )
        for tap in dha.TAPS:
            half, full = (np.concatenate([part[tap] for part in pooled[n]]) for n in (name, "float32"))
            error = np.abs(half - full) / np.abs(full).max()
            print(f"  {tap:6s} largest {error.max():.1e}, median {np.median(error):.1e}")


if __name__ == "__main__":
    main()
