"""How many clips a core gets through: inspection and extraction by Dask workers, and what that makes for a million clips.

Three kinds of files, made from ESC-10's sounds in a temporary folder: ESC-10's own, 10 s of 24-bit WAV in two channels at 48 kHz
(the form of TAU Urban Acoustic Scenes 2019), and 10 s of FLAC in two channels at 44.1 kHz (a common form of AudioSet). One and
two workers, of one thread each, started before the clock; medians of several turns, all kinds in turn. ``--bundle`` keeps the
numbers for the book.

    DHA_DATA=... python benchmarks/cluster.py [--clips 400] [--turns 5] [--bundle]
"""

import argparse
import json
import resource
import tempfile
import time
from itertools import product
from pathlib import Path

import librosa
import numpy as np
import soundfile

import dha_utils as dha
from dha_utils.audio.inspection import inspect_clips
from dha_utils.core.paths import atomic_write, bundled

WORKERS = (1, 2)
MILLION = 1_000_000
CORES = 64


def as_files(clips, folder, rate, kind, **how):
    """Return the clips as files of 10 s in two channels: each sound twice over."""
    paths = []
    for clip, path in zip(clips.table["clip"], clips.table["path"], strict=True):
        samples = librosa.load(path, sr=rate)[0]
        samples = np.resize(samples, 10 * rate).clip(-1, 1)
        paths.append(str(Path(folder) / f"{clip}.{kind}"))
        soundfile.write(paths[-1], np.stack([samples, samples], 1), rate, **how)
    return dha.Clips("benchmark", Path(folder), clips.table.assign(path=paths))


def peak_gigabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def seconds_of(function, *arguments, **options):
    start = time.perf_counter()
    function(*arguments, **options)
    return time.perf_counter() - start


def measure(sets, turns):
    """Return the medians of clips per second per worker: (kind of file, step, workers) -> number."""
    model, spent = dha.load_soundnet(), {}
    for n in WORKERS:
        with dha.workers("local", n) as client, tempfile.TemporaryDirectory() as folder:
            for turn, (name, (clips, duration)) in product(range(turns + 1), sets.items()):
                inspection = seconds_of(inspect_clips, clips)
                out = Path(folder) / f"{name}-{turn}"
                extraction = seconds_of(dha.extract_to_store, clips, out, model=model, duration=duration)
                if turn:  # the first one finds workers that have loaded nothing yet
                    spent.setdefault((name, "inspect", n), []).append(inspection)
                    spent.setdefault((name, "extract", n), []).append(extraction)
                stored = sum(path.stat().st_size for path in out.iterdir()) / len(clips)
            memory = max(client.run(peak_gigabytes).values())
    counts = {name: len(clips) for name, (clips, _) in sets.items()}
    speeds = {key: counts[key[0]] / np.median(seconds) / key[2] for key, seconds in spent.items()}
    return speeds, stored, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--bundle", action="store_true")
    given = parser.parse_args()
    clips = dha.load_clips("esc10")
    clips = clips.take(np.linspace(0, len(clips) - 1, given.clips).astype(int))
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "Ogg, 5 s": (clips, 5.0),
            "WAV, 10 s": (as_files(clips, folder, 48_000, "wav", subtype="PCM_24"), 10.0),
            "FLAC, 10 s": (as_files(clips, folder, 44_100, "flac"), 10.0),
        }
        speeds, stored, memory = measure(sets, given.turns)
    rows = []
    for name in sets:
        row = {"files": name}
        for n in WORKERS:
            both = 1 / sum(1 / speeds[name, step, n] for step in ("inspect", "extract"))
            row[f"workers{n}"] = {step: speeds[name, step, n] for step in ("inspect", "extract")} | {
                "both": both
            }
        per_core = row[f"workers{WORKERS[-1]}"]["both"]
        row |= {"core_hours": MILLION / per_core / 3600, "hours": MILLION / per_core / 3600 / CORES}
        rows.append(row)
        for n in WORKERS:
            steps = ", ".join(f"{step} {speed:.1f}" for step, speed in row[f"workers{n}"].items())
            print(f"{name}, {n} workers: {steps} clips per second and core")
        print(f"{name}: a million: {row['core_hours']:.1f} core hours, {row['hours']:.2f} h on {CORES} cores")
    result = {"clips": given.clips, "turns": given.turns, "cores": CORES, "rows": rows}
    result["gigabytes"] = stored * MILLION / 1e9
    result["worker_gigabytes"] = memory
    print(f"responses of a million clips: {result['gigabytes']:.1f} GB; a worker takes {memory:.2f} GB")
    if given.bundle:
        with atomic_write(bundled("esc10") / "throughput.json") as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
