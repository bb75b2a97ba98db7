"""Time the extraction of ESC-10 against the obvious way, in one run.

The obvious way: clip by clip, ``librosa.load(path, sr=22050)``, zero-padding to 5 s, a batch of one, PyTorch's
default threads. Both ways are warmed up, then take turns on blocks of the same clips, so that a drift of the machine's speed
meets both; the ratio is the median over blocks.

    DHA_DATA=... python benchmarks/extraction.py [--clips 400]
"""

import argparse
import time
import warnings

import librosa
import numpy as np
import torch

import dha_utils as dha

BLOCK = 80


def obvious(clips, model):
    rows = []
    for path in clips.table["path"]:
        waveform = librosa.util.fix_length(librosa.load(path, sr=22_050)[0], size=5 * 22_050)
        with torch.inference_mode():
            taps = model.taps(torch.from_numpy(waveform)[None])
            rows.append(np.concatenate([maps.mean(dim=2).numpy()[0] for _, maps in taps]))
    return np.stack(rows)


def ours(clips, model):
    return dha.extract_responses(clips, model=model, progress=False).matrix()


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--clips", type=int, default=400, help="how many clips of ESC-10 to use (default: all)"
    )
    n_clips = parser.parse_args().clips
    clips, model = dha.load_clips("esc10"), dha.load_soundnet()
    warnings.simplefilter("ignore")  # librosa.load's own deprecation warnings
    for function in (obvious, ours):
        function(clips.take(range(4)), model)
    seconds = []
    for start in range(0, n_clips, BLOCK):
        block = clips.take(range(start, min(start + BLOCK, n_clips)))
        (slow, expected), (fast, got) = timed(obvious, block, model), timed(ours, block, model)
        scale = np.abs(expected).max()
        print(
            f"clips {start:3d}-{start + len(block) - 1:3d}: obvious {slow:5.2f} s, dha {fast:5.2f} s, ratio "
            f"{fast / slow:.2f}, largest difference {np.abs(got - expected).max() / scale:.1e} of the largest response"
        )
        seconds.append((slow, fast))
    slow, fast = np.array(seconds).T
    print(
        f"{n_clips} clips: obvious {slow.sum():.2f} s, dha {fast.sum():.2f} s; median ratio {np.median(fast / slow):.2f}"
    )


if __name__ == "__main__":
    main()
