"""Memory and time of whole long recordings: generated noise, stereo WAV at 44 100 Hz, one process per length.

Memory is the peak of the process less what it holds with PyTorch, the network and its weights loaded. The obvious way, for
the lengths given with --obvious (its memory grows with length), loads the file with `librosa.load` and runs
`SoundNet.taps` on all of it.

    python benchmarks/long_recordings.py [--minutes 1 5 20 60] [--obvious 1 5]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

RATE = 44_100


def write_noise(path, minutes):
    """Write noise whose loudness comes and goes."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16") as file:
        for minute in range(minutes):
            swell = 0.3 + 0.2 * np.sin(np.arange(60 * RATE) / RATE * (minute + 1))
            file.write(swell[:, None] * rng.uniform(-1, 1, (60 * RATE, 2)))


def measure(path, way):
    """Print seconds, peak memory in MiB and responses as JSON."""
    import librosa
    import torch

    import dha_utils as dha

    model = dha.load_soundnet()
    table = pd.DataFrame({"clip": ["a"], "path": [path], "label": ["a"], "fold": [1], "recording": ["a"]})
    clips = dha.Clips("noise", Path(path).parent, table)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    if way == "dha":
        responses = dha.extract_responses(clips, model=model, duration=None).matrix()[0]
    else:
        waveform = torch.from_numpy(librosa.load(path, sr=22_050)[0])[None]
        with torch.inference_mode():
            responses = torch.cat([maps[0].mean(dim=1) for _, maps in model.features(waveform)]).numpy()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([seconds, (peak - before) / 1024, responses.tolist()]))


def run(path, way):
    done = subprocess.run([sys.executable, __file__, "--measure", path, way], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{way} on {path} failed: {(done.stderr.splitlines() or ['killed'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 5, 20, 60])
    parser.add_argument(
        "--obvious", type=int, nargs="*", default=[1, 5], help="lengths for the obvious way too"
    )
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(*arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        for minutes in arguments.minutes:
            path = f"{folder}/{minutes}.wav"
            write_noise(path, minutes)
            seconds, mib, responses = run(path, "dha")
            line = f"{minutes:3d} min: {seconds:6.2f} s, {seconds / minutes:.3f} s per minute, {mib:4.0f} MiB"
            if minutes in arguments.obvious:
                slow, much, expected = run(path, "obvious")
                error = np.abs(np.subtract(responses, expected)).max() / np.abs(expected).max()
                line += f"; obvious {slow:.2f} s ({slow / seconds:.1f} times), {much:.0f} MiB; difference {error:.0e}"
            print(line, flush=True)
            Path(path).unlink()


if __name__ == "__main__":
    main()
