"""A folder as people have them: ``python benchmarks/mixed_folder.py --clips 720``, an hour in clips of 5 s.

Files of all formats and oddities of `tests/peculiar.py`, one in ten of them damaged, go through ``dha inspect``, ``extract
--skip-bad`` and ``run --skip-bad``. Every file is accounted for: read, refused with a line, or passed over with a note.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from dha_utils.cli.main import app
from dha_utils.datasets.folder import SUFFIXES
from dha_utils.responses.table import Responses

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import peculiar

CLASSES = ("low", "high", "noise")
LENGTHS = "66150|66152|33076|60(?= MPEG)"
"""Of the sounds of the tests, in what is said of them."""

DAMAGED = [name for name, case in peculiar.CASES.items() if case.fault]
WHOLE = [name for name, case in peculiar.CASES.items() if not case.fault]


def samples(label: str, number: int, seconds: float) -> np.ndarray:
    """Return a sound of a class, another one for every number."""
    rng = np.random.default_rng(number)
    t = np.arange(round(seconds * peculiar.RATE)) / peculiar.RATE
    pitch = rng.uniform(200, 400) * (4 if label == "high" else 1)
    tone = 0 if label == "noise" else 0.3 * np.sin(2 * np.pi * pitch * t)
    return (tone + rng.normal(0, 0.1, len(t))).clip(-1, 1)


def make_folder(folder: Path, n_clips: int, seconds: float) -> dict[str, str]:
    """Write the clips; return file -> name of its case."""
    made = {}
    for number in range(n_clips):
        label = CLASSES[number % len(CLASSES)]
        bad = number % 10 == 9
        name = DAMAGED[number // 10 % len(DAMAGED)] if bad else WHOLE[number % len(WHOLE)]
        case = peculiar.CASES[name]
        peculiar.sound_like(samples(label, number, seconds))
        path = folder / label / f"{number:04d}.{case.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.content())
        made[f"{label}/{path.name}"] = name
    return made


def call(*arguments) -> tuple[int, str, float]:
    """Run a command; return its exit code, what it said, and the seconds that it took."""
    began = time.monotonic()
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=720)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dha-mixed-") as place:
        folder, out = Path(place).resolve() / "mixed", Path(place).resolve() / "out"
        made = make_folder(folder, asked.clips, asked.seconds)
        passed = {file for file in made if not file.lower().endswith(SUFFIXES)}
        minutes = asked.clips * asked.seconds / 60
        kinds = f"{len({*made.values()})} cases, {len(passed)} with endings of no sound"
        print(f"{len(made)} files, {minutes:.0f} minutes, {kinds}")

        code, said, took = call("inspect", folder)
        faults = dict(re.findall(r"^  (\w+/\S+): (.+)$", said, re.M))
        notes = re.findall(r"skipped as no sound that can be read: (.*), such as", said)
        noted = sum(map(int, re.findall(r"\((\d+)\)", " ".join(notes))))
        print(f"inspect: {took:.0f} s, exit code {code}")
        kinds = Counter(re.sub(r"\d+", "N", fault) for fault in faults.values())
        print(*(f"  {count:3d}  {fault}" for fault, count in kinds.most_common()), sep="\n")
        print(*(line for line in said.splitlines() if line.startswith("  note: ")), sep="\n")

        code, said, took = call("extract", folder, "-o", out / "responses.safetensors", "--skip-bad")
        extracted = Responses.load(out / "responses.safetensors") if code == 0 else print(said)
        print(f"extract --skip-bad: {took:.0f} s, exit code {code}, {len(extracted)} clips")
        left_out = {one["clip"]: one["fault"] for one in extracted.provenance["left_out"]}

        os.environ["DHA_OUT"] = str(out)
        code, said, took = call("run", "--dataset", folder, "--skip-bad", "--only", "01")
        ran = (
            Responses.load(out / "results" / "mixed" / "responses_22050.safetensors")
            if code == 0
            else print(said)
        )
        print(f"run --skip-bad --only 01: {took:.0f} s, exit code {code}, {len(ran)} clips")

        expected = {file for file, name in made.items() if peculiar.CASES[name].fault} - passed
        good = {file for file in made if file not in expected | passed}
        otherwise = [
            f"{made[file]}: {fault}"
            for file, fault in faults.items()
            if not re.search(re.sub(LENGTHS, r"\\d+", peculiar.CASES[made[file]].fault or "$^"), fault)
        ]
        checks = {
            "refused by inspect is what was damaged": {*faults} == expected,
            "each with the line of its kind": not otherwise,
            "passed over is noted": noted == len(passed),
            "extract has the others": {*extracted.table["clip"]} == good,
            "extract says what it left out": left_out == faults,
            "run has the same": {*ran.table["clip"]} == good
            and all(np.array_equal(ran[tap], extracted[tap]) for tap in ran.taps),
        }  # fmt: skip
        total = len(good) + len(faults) + noted
        print(f"sum: {len(good)} read + {len(faults)} refused + {noted} passed over = {total} of {len(made)}")
        print(*(f"  {'yes' if holds else 'NO '}  {what}" for what, holds in checks.items()), sep="\n")
        if not all(checks.values()):
            print(
                "not as expected:", sorted({*faults} ^ expected), {*extracted.table["clip"]} ^ good, otherwise
            )
            raise SystemExit(1)


if __name__ == "__main__":
    main()
