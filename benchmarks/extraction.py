"""Time the extraction of ESC-10 against the obvious way, from Ogg and from WAV, and say where the time goes.

The obvious way: clip by clip, ``librosa.load(path, sr=22050)``, zero-padding to 5 s, a batch of one through
`SoundNet.taps`; once with PyTorch's default threads and once with one thread, since on a busy machine threads that wait for
one another take longer than one alone. Every way is warmed up, then they take turns on the whole set, so that a
drift of the machine's speed meets all; ratios are medians over turns, against the faster of the two obvious ways.

Then, in one thread and interleaved: decoding, the network, its convolutions alone, and a matrix product of 1024 x 1024
as the measure of what the machine can do.

    DHA_DATA=... python benchmarks/extraction.py [--clips 400] [--turns 5]
"""

import argparse
import resource
import tempfile
import time
import warnings
from pathlib import Path

import joblib
import librosa
import numpy as np
import soundfile
import torch

import dha_utils as dha
from dha_utils.networks.fused import Convolution, FusedTaps
from dha_utils.responses.pooling import decode, pool_maps

BATCH = 8
SECONDS, RATE = 5.0, 22_050


def obvious(clips, model, threads):
    default = torch.get_num_threads()
    torch.set_num_threads(threads or default)
    rows = []
    for path in clips.table["path"]:
        waveform = librosa.util.fix_length(librosa.load(path, sr=RATE)[0], size=int(SECONDS * RATE))
        with torch.inference_mode():
            taps = model.features(torch.from_numpy(waveform)[None])
            rows.append(np.concatenate([maps.mean(dim=2).numpy()[0] for _, maps in taps]))
    torch.set_num_threads(default)
    return np.stack(rows)


def ours(clips, model):
    return dha.extract_responses(clips, model=model, device="cpu").matrix()


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def timed_twice(function, *arguments):
    """Return seconds on the clock and seconds of processor time, over all threads."""
    start = time.process_time()
    seconds, result = timed(function, *arguments)
    return (seconds, time.process_time() - start), result


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def as_wav(clips, folder):
    """Return the same clips as 16-bit WAV files."""
    paths = []
    for clip, path in zip(clips.table["clip"], clips.table["path"], strict=True):
        paths.append(str(Path(folder) / f"{clip}.wav"))
        soundfile.write(paths[-1], *soundfile.read(path), subtype="PCM_16")
    return dha.Clips(clips.name, Path(folder), clips.table.assign(path=paths))


def end_to_end(name, clips, model, turns):
    ours(clips.take(range(8)), model)
    for threads in (None, 1):
        obvious(clips.take(range(4)), model, threads)
    seconds, difference = [], 0.0
    for _ in range(turns):
        fast, got = timed_twice(ours, clips, model)
        default, expected = timed_twice(obvious, clips, model, None)
        single, _ = timed_twice(obvious, clips, model, 1)
        difference = max(difference, np.abs(got - expected).max() / np.abs(expected).max())
        seconds.append(np.array([default, single, fast]) / len(clips))
    (default, single, fast), processor = np.array(seconds).transpose(2, 1, 0)
    labels = ("obvious, default threads", "obvious, one thread", "dha")
    for label, spent, busy in zip(labels, (default, single, fast), processor, strict=True):
        per_clip = np.median(spent)
        print(
            f"{name}: {label:24s} {1e3 * per_clip:6.1f} ms per clip, {SECONDS / per_clip:5.0f} x real time; processor "
            f"{1e3 * np.median(busy):6.1f} ms per clip"
        )
    ratios = np.minimum(default, single) / fast
    print(
        f"{name}: dha is {np.median(ratios):.2f} times as fast as the obvious way (quartiles "
        f"{np.quantile(ratios, 0.25):.2f} to {np.quantile(ratios, 0.75):.2f}, {turns} turns on {len(clips)} clips); "
        f"largest difference {difference:.1e} of the largest response"
    )


def stages(sets, model, repeats=15):
    taps = FusedTaps(model)
    samples = int(SECONDS * RATE)
    flops = 2 * dha.count_macs(model, samples)["macs"].sum()
    square = torch.randn(1024, 1024)
    spent = {name: [] for name in ("GEMM", "network", "convolutions", *(f"decoding {kind}" for kind in sets))}
    for repeat in range(repeats):
        rows = [(BATCH * repeat + i) % len(next(iter(sets.values()))) for i in range(BATCH)]
        for kind, clips in sets.items():
            paths = clips.table["path"].iloc[rows]
            took, waveforms = timed(lambda paths=paths: [decode(path, RATE, SECONDS) for path in paths])
            spent[f"decoding {kind}"].append(took / BATCH)
        spent["GEMM"].append(timed(torch.mm, square, square)[0])
        spent["network"].append(timed(pool_maps, taps, waveforms)[0] / BATCH)
        spent["convolutions"].append(convolution_seconds(taps, torch.from_numpy(np.stack(waveforms))) / BATCH)
    median = {name: np.median(seconds[1:]) for name, seconds in spent.items()}
    gemm, network = 2 * 1024**3 / median["GEMM"] / 1e9, flops / median["network"] / 1e9
    print(f"one thread: GEMM {gemm:.0f} GFLOP/s; network {flops / 1e9:.3f} GFLOP per clip,", end=" ")
    print(f"{1e3 * median['network']:.2f} ms, {network:.0f} GFLOP/s: {network / gemm:.0%} of GEMM")
    for kind in sets:
        whole = median[f"decoding {kind}"] + median["network"]
        print(
            f"one thread, {kind}: decoding {1e3 * median[f'decoding {kind}']:.2f} ms per clip, "
            f"{median[f'decoding {kind}'] / whole:.0%} of the time; convolution {median['convolutions'] / whole:.0%}"
        )


@torch.inference_mode()
def convolution_seconds(taps, waveforms):
    """Time of the matrix products and the copies they need."""
    x, total = taps.prepare(waveforms), 0.0
    for step in taps.steps:
        start = time.perf_counter()
        maps = list(step(x, step.padding, step.padding))
        total += (time.perf_counter() - start) * isinstance(step, Convolution)
        x = maps[-1][1]
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=400, help="how many clips of ESC-10 (default: all)")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args()
    clips = dha.load_clips("esc10").take(range(given.clips))
    model = dha.load_soundnet()
    warnings.simplefilter("ignore")  # librosa.load's own deprecation warnings
    before = peak_mib()
    ours(clips.take(range(100)), model)
    print(
        f"{joblib.cpu_count()} threads; memory of dha: {peak_mib() - before:.0f} MiB above {before:.0f} MiB with PyTorch loaded"
    )
    with tempfile.TemporaryDirectory() as folder:
        sets = {"Ogg": clips, "WAV": as_wav(clips, folder)}
        for kind, same in sets.items():
            end_to_end(kind, same, model, given.turns)
        torch.set_num_threads(1)
        stages(sets, model)


if __name__ == "__main__":
    main()
