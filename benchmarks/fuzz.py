"""Damaged input of every kind: ``python benchmarks/fuzz.py --target sound --seconds 600 --out FOLDER``.

Whole files are changed byte by byte and read as the commands read them. What is wrong with one is said in one line; a traceback,
something lost without a word, more than 10 s or more than 1 GiB is a finding. The input of each is left in FOLDER, once per kind.

With atheris (``pip install atheris``) changes are guided by the code that they reach, else they are drawn at random.
"""

import argparse
import io
import json
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from zlib import crc32

try:
    import atheris
except ImportError:
    atheris = None

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

with atheris.instrument_imports(include=["dha_utils"]) if atheris else nullcontext():
    import numpy as np
    import pandas as pd
    import peculiar

    from dha_utils.audio.inspection import check_sound
    from dha_utils.audio.waveforms import load_audio
    from dha_utils.core.artifacts import load_json
    from dha_utils.core.errors import DhaError
    from dha_utils.core.hashing import hash_file
    from dha_utils.core.tensor_files import load_tensors
    from dha_utils.core.work import workers
    from dha_utils.datasets.delimited import SEPARATORS
    from dha_utils.datasets.table import load_table
    from dha_utils.datasets.unpack import unpack
    from dha_utils.evaluation.crossvalidation import tap_layers
    from dha_utils.evaluation.ensemble import LayerEnsemble
    from dha_utils.pruning.export import load_ensemble, save_ensemble
    from dha_utils.responses.store import ResponseStore
    from dha_utils.responses.table import Responses
    from dha_utils.studies.runs import kept_runs, load_run
    from dha_utils.studies.sweep_store import load_results, results_key
    from dha_utils.studies.sweeps import Cell

SECONDS, MEMORY = 10.0, 2**30
LARGEST = 2**20
"""Bytes of an input."""
TOKENS = (
    *(bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80"),
    *(b"\n", b'"', b",", b"9" * 20, b"NaN", b"[]", b"{}"),
)


class Finding(AssertionError):
    """Something was lost, or taken for whole, without a word."""


def said_in_one_line(read: Callable, *arguments):
    """Return what a function gives, or None where it says in one line why it gives nothing."""
    try:
        return read(*arguments)
    except DhaError as error:
        if "\n" in str(error) or not str(error).strip():
            raise Finding(f"not one line: {str(error)[:200]!r}") from error
        return None


class Sounds:
    """What inspection passes is decoded, and to as many seconds."""

    def __init__(self, folder: Path):
        self.folder = folder

    def seeds(self) -> Iterator[bytes]:
        """Yield whole files and odd ones of all formats that libsndfile writes."""
        yield from (case.content() for case in peculiar.CASES.values())
        short = peculiar.TONES[:2000]
        for kind, coding in peculiar.KINDS:
            yield peculiar.written(kind, coding, short, 8000)

    def __call__(self, content: bytes) -> None:
        path = self.folder / ("a.mp3" if content[:1] == b"\0" else "a.snd")
        path.write_bytes(content)
        heard = said_in_one_line(check_sound, path)
        sound = said_in_one_line(load_audio, path, heard.rate if heard else 8000, 1.0)
        if heard is None:
            return
        if sound is None or not np.isfinite(sound).all():
            raise Finding("inspection passes what is not decoded")
        if heard.seconds < 100:
            whole = load_audio(path, heard.rate)
            if abs(len(whole) / heard.rate - heard.seconds) > 1.5 / heard.rate:
                raise Finding(f"{len(whole)} samples, where inspection heard {heard.seconds} s")


class Tables:
    """Every row that holds something is a clip, with what is written there."""

    def __init__(self, folder: Path):
        self.folder = folder
        for label in ("dog", "rain"):
            (folder / label).mkdir()
            for i in range(6):
                (folder / label / f"{label}{i}.wav").touch()

    def seeds(self) -> Iterator[bytes]:
        """Yield tables as programs write them."""
        names = [f"{label}/{label}{i}.wav,{label}" for label in ("dog", "rain") for i in range(6)]
        plain = "\n".join(["path,label", *names]) + "\n"
        folds = "\n".join(
            ["filename,category,fold,src_file", *(f"{n},{i % 3},{n}" for i, n in enumerate(names))]
        )
        semicolons = f"sep=;\n{plain.replace(',', ';')}"
        for text in (plain, folds, semicolons, f"# a comment\n\n{plain}", plain.replace("\n", "\r\n")):
            yield text.encode()
            yield text.encode("utf-16")
        yield plain.replace(",", "\t").encode("utf-8-sig")
        yield plain.replace(",", '","').replace("\n", '"\n"').encode()
        yield plain.replace("wav,dog", "wav,train").replace("wav,rain", "wav,test").encode()

    def __call__(self, content: bytes) -> None:
        path = self.folder / "mine.csv"
        path.write_bytes(content)
        clips = said_in_one_line(load_table, path)
        if clips is None:
            return
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        text = content.decode(encoding)
        if '"' not in text:
            lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            empty = "".join({*SEPARATORS.values(), *",;\t|"})
            filled = [line for line in lines if line.strip().strip(empty).strip()]
            n_above = sum(line.startswith(("#", "sep=")) for line in filled) + 1
            if not len(filled) - n_above <= len(clips) <= len(filled) - 1 or len(clips.table) != len(clips):
                raise Finding(f"{len(clips)} clips of {len(filled)} lines that hold something")
            if lost := [name for name in clips.table["clip"] if name not in text]:
                raise Finding(f"clip {lost[0]!r} is not written in the table")
        if clips.table.isna().any(axis=None) or clips.table["clip"].duplicated().any():
            raise Finding("a cell is missing, or a clip is there twice")


class Archives:
    """Every member is unpacked as it is, into the folder and no further, or none is believed."""

    def __init__(self, folder: Path):
        self.folder = folder

    def seeds(self) -> Iterator[bytes]:
        """Yield archives: stored, deflated, with folders."""
        for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", how) as archive:
                archive.writestr("set-1/a.wav", peculiar.written("WAV")[:3000])
                archive.writestr("set-1/below/b.txt", "words\n" * 50)
                archive.writestr("set-1/empty/", "")
            yield file.getvalue()

    def __call__(self, content: bytes) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            archive, target = Path(place) / "set.zip", Path(place) / "in" / "set"
            archive.write_bytes(content)
            found = said_in_one_line(lambda: unpack(archive, target, max_bytes=100_000))
            files = {path for path in Path(place).rglob("*") if path.is_file()} - {archive}
            if any(not path.is_relative_to(target) or path.name.startswith(".") for path in files):
                raise Finding(f"files outside or unfinished: {sorted(map(str, files))}")
            if sum(path.stat().st_size for path in files) > 100_000:
                raise Finding("more was unpacked than is allowed")
            if found is not None:
                with zipfile.ZipFile(archive) as opened:
                    n = sum(not info.is_dir() for info in opened.infolist())
                if {target / name for name in found} != files or len(found) > n:
                    raise Finding(f"{len(files)} files of {n} members, {len(found)} said")
                if any(hash_file(target / name) != digest for name, digest in found.items()):
                    raise Finding("a file is not what was said of it")


def made_up(n: int = 12) -> Responses:
    """Return responses with all that belongs to them."""
    rng = np.random.default_rng(0)
    labels = ["dog", "rain"] * (n // 2)
    table = pd.DataFrame(
        {
            "clip": [f"{label}/{i}.wav" for i, label in enumerate(labels)],
            "label": labels,
            "fold": np.arange(n) % 3 + 1,
            "recording": [str(i) for i in range(n)],
            "sound": [f"{i:064x}" for i in range(n)],
        }
    )
    arrays = {
        "pool1": rng.normal(size=(n, 4)).astype(np.float32),
        "relu2": rng.normal(size=(n, 3)).astype(np.float32),
    }
    provenance = {
        "dataset": "made-up",
        "version": 1,
        "weights_sha256": "0",
        "parameters": {"rate": 22050, "duration": 5.0},
    }
    return Responses(arrays, table, provenance)


class Stores:
    """A store that opens and is read holds what was written; its pages have checksums."""

    FILES = ("manifest.json", "block-00000.parquet", "block-00001.parquet")

    def __init__(self, folder: Path):
        self.folder, self.whole = folder / "store", made_up()
        store = ResponseStore.plan(
            self.folder, self.whole.table, self.whole.provenance, self.whole.taps, 6
        ).begin()
        for number in range(2):
            part = self.whole.take(np.arange(6 * number, 6 * number + 6))
            store.write(number, part.table, part.arrays)
        store.finish()
        self.content = [(self.folder / name).read_bytes() for name in self.FILES]

    def seeds(self) -> Iterator[bytes]:
        """Yield each file behind a byte that says which it is."""
        yield from (bytes([number]) + content for number, content in enumerate(self.content))

    def __call__(self, content: bytes) -> None:
        for number, name in enumerate(self.FILES):
            changed = content[:1] and content[0] % len(self.FILES) == number
            (self.folder / name).write_bytes(content[1:] if changed else self.content[number])
        read = said_in_one_line(lambda: ResponseStore.open(self.folder).read())
        said_in_one_line(lambda: ResponseStore.open(self.folder).read(["relu2"], slice(3, 8)))
        if (
            read is not None and content[:1] and content[0] % 3
        ):  # a manifest may be of another store, in words
            same = read.taps == self.whole.taps and all(
                np.array_equal(read[t], self.whole[t]) for t in read.taps
            )
            if not same or not read.table.equals(self.whole.table):
                raise Finding("a store is read that holds something else than was written")


class Artifacts:
    """What is kept of responses, runs, sweeps and classifiers is read as it is, or not at all."""

    def __init__(self, folder: Path):
        self.folder, self.whole = folder, made_up()
        self.key = results_key("sweep", self.whole)
        self.whole.save(folder / "responses.safetensors")
        kept_runs(self.whole, {"all": None}, "converging", folder)
        (folder / "run.safetensors").write_bytes(next(folder.glob("run_*")).read_bytes())
        run_key = load_tensors(folder / "run.safetensors", "runs", "")[0]["keys"][0]
        cells = [vars(Cell("anova", keep)) | {"accuracy": {"all": 0.5}} for keep in (0.1, 0.25, 0.5)]
        lines = "".join(json.dumps(line) + "\n" for line in (self.key, *cells))
        (folder / "sweep_22050.jsonl").write_text(lines)
        (folder / "slips.json").write_text(json.dumps({"key": self.key, "slips": {"a": [1, 2]}}))
        ensemble = LayerEnsemble(tap_layers(self.whole)).fit(self.whole.matrix(), self.whole.y)
        save_ensemble(folder / "classifiers.skops", ensemble)
        self.readers = {
            "responses.safetensors": Responses.load,
            "run.safetensors": lambda path: load_run(path, self.whole, run_key),
            "sweep_22050.jsonl": lambda path: load_results(path, Cell, self.whole),
            "slips.json": lambda path: load_json(path, "slips"),
            "classifiers.skops": load_ensemble,
        }

    def seeds(self) -> Iterator[bytes]:
        """Yield each file behind a byte that says which it is."""
        for number, name in enumerate(self.readers):
            yield bytes([number]) + (self.folder / name).read_bytes()

    def __call__(self, content: bytes) -> None:
        if not content:
            return
        name = [*self.readers][content[0] % len(self.readers)]
        path = self.folder / "changed" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content[1:])
        read = said_in_one_line(self.readers[name], path)
        if isinstance(read, Responses) and any(len(read[tap]) != len(read.table) for tap in read.taps):
            raise Finding("responses and clips do not go together")
        if name.startswith("sweep") and read is not None:
            n_lines = content[1:].count(b"\n") - 1
            if len({*read}) > max(n_lines, 0):
                raise Finding(f"{len(read)} cells of {n_lines} lines")


TARGETS = {"sound": Sounds, "table": Tables, "archive": Archives, "store": Stores, "artifact": Artifacts}


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Return an input with some bytes replaced, left out, put in or repeated."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        at = (
            rng.randrange(len(content) + 1)
            if rng.random() < 0.5
            else rng.randrange(min(200, len(content) + 1))
        )
        new = rng.choice(TOKENS) if rng.random() < 0.4 else rng.randbytes(rng.randint(1, 4))
        how = rng.random()
        if how < 0.6:
            content[at : at + len(new)] = new
        elif how < 0.7:
            content[at:at] = new
        elif how < 0.8:
            del content[at : at + rng.randint(1, 64)]
        elif how < 0.9:
            content[at:at] = content[at : at + rng.randint(1, 5000)]
        else:
            del content[rng.randrange(len(content) + 1) :]
    return bytes(content[:LARGEST])


def peak_memory() -> int:
    """Return the most bytes that this process has held so far."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def memory() -> int:
    """Return the bytes that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Trial:
    """Runs a target on one input after another, and keeps what it finds."""

    def __init__(self, name: str, folder: Path, out: Path | None = None):
        self.target, self.name, self.out = TARGETS[name](folder), name, out
        self.n, self.findings = 0, {}
        for seed in self.target.seeds():  # all that is loaded once is loaded
            self(seed)

    def __call__(self, content: bytes) -> None:
        """Run one input."""
        self.n += 1
        began, peak, held = time.process_time(), peak_memory(), memory()
        try:
            self.target(content)
        except Exception as error:
            own = [f for f in traceback.extract_tb(error.__traceback__) if "dha_utils" in f.filename]
            where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "here"
            kind = f"{type(error).__name__}-{where}"
            self.note(f"{type(error).__name__} at {where}: {str(error)[:300]}", kind, content)
        if (took := time.process_time() - began) > SECONDS:
            self.note(f"{took:.0f} s", "slow", content)
        # What the fuzzer itself keeps of all inputs grows as well: only where this one raised the peak is it to blame.
        if (highest := peak_memory()) > peak and highest - held > MEMORY:
            self.note(f"{(highest - held) / 2**30:.1f} GiB", "memory", content)

    def note(self, what: str, kind: str, content: bytes) -> None:
        """Keep a finding, once per kind."""
        if kind not in self.findings:
            print(f"{self.name}: {what}", flush=True)
            if self.out:
                (self.out / f"{self.name}-{kind.replace(':', '-')}-{crc32(content):08x}").write_bytes(content)
        self.findings[kind] = what

    def report(self) -> str:
        """Return what was found, in a line."""
        return f"{self.name}: {self.n} inputs, {len(self.findings)} kinds of findings"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=TARGETS, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "dha-fuzz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--random", action="store_true", help="at random, also where atheris is there")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    place = tempfile.TemporaryDirectory(prefix="dha-fuzz-")
    folder = Path(place.name)
    (folder / "work").mkdir()
    with workers(n=1):
        trial = Trial(asked.target, folder / "work", asked.out)
    ends = time.monotonic() + asked.seconds

    def one(content: bytes) -> None:
        trial(content)
        if time.monotonic() > ends:
            print(trial.report(), flush=True)
            with suppress(OSError):
                place.cleanup()
            os._exit(bool(trial.findings))  # libFuzzer does not come back

    if atheris and not asked.random:
        corpus = folder / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(trial.target.seeds()):
            (corpus / f"{number:04d}").write_bytes(seed)
        options = [f"-max_len={LARGEST}", "-timeout=120", "-rss_limit_mb=0", f"-seed={asked.seed + 1}"]
        options += [f"-artifact_prefix={asked.out}/"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], one)
        atheris.Fuzz()
    rng, seeds = random.Random(asked.seed), [*trial.target.seeds()]
    while True:
        one(mutate(rng.choice(seeds), rng))


if __name__ == "__main__":
    main()
