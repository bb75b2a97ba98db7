"""Miniatures of published data sets in their exact layouts: few clips, made of seeded noise."""

from pathlib import Path

import numpy as np
import soundfile

from dha_utils.datasets.tut import DEVELOPMENT, EVALUATION

SCENES = ("beach", "cafe/restaurant", "tram")


def write_clip(path: Path, label: int, seed: int, seconds: float = 0.5, channels: int = 2) -> None:
    """Write a 24-bit WAV at 44.1 kHz: noise whose loudness and colour depend on the class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.05 * (1 + label), (round(44_100 * seconds), channels))
    for _ in range(2 * label):
        noise[1:] = (noise[1:] + noise[:-1]) / 2
    soundfile.write(path, noise.clip(-1, 1), 44_100, subtype="PCM_24")


def make_sounds(folder: Path, seconds: float) -> Path:
    """Lay out sounds of one's own: two classes of six mono files."""
    for label, name in enumerate(("dog", "rain")):
        for i in range(6):
            write_clip(folder / name / f"{name}{i}.wav", label, 10 * label + i, seconds, 1)
    return folder


def write_list(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def make_dcase2016(root: Path, per_fold: int = 2, seconds: float = 0.5) -> Path:
    """Lay out TUT Acoustic Scenes 2016 with three scenes: per scene and fold one recording of `per_fold` clips."""
    folder = root / DEVELOPMENT
    folds = {}
    for fold in range(1, 5):
        for label, scene in enumerate(SCENES):
            for i in range(per_fold):
                name = f"audio/a{10 * fold + label:03d}_{30 * i}_{30 * i + 30}.wav"
                folds[name] = (scene, fold)
                write_clip(folder / name, label, 100 * fold + 10 * label + i, seconds)
    write_list(folder / "meta.txt", [(name, scene) for name, (scene, _) in folds.items()])
    for fold in range(1, 5):
        tested = [(name, scene) for name, (scene, own) in folds.items() if own == fold]
        setup = folder / "evaluation_setup"
        write_list(setup / f"fold{fold}_evaluate.txt", tested)
        write_list(setup / f"fold{fold}_test.txt", [(name,) for name, _ in tested])
        write_list(
            setup / f"fold{fold}_train.txt", [(name, s) for name, (s, own) in folds.items() if own != fold]
        )
    write_list(folder / "error.txt", [("audio/a010_0_30.wav", "0.1", "0.25", "microphone failure")])
    evaluation = root / EVALUATION
    rows = []
    for label, scene in enumerate(SCENES):
        for i in range(per_fold):
            number = per_fold * label + i
            rows.append((f"audio/{number}.wav", scene, f"audio/b{label:03d}_{30 * i}_{30 * i + 30}.wav"))
            write_clip(evaluation / f"audio/{number}.wav", label, 1000 + number, seconds)
    write_list(evaluation / "evaluation_setup" / "evaluate.txt", rows)
    write_list(evaluation / "evaluation_setup" / "test.txt", [row[:1] for row in rows])
    write_list(evaluation / "meta.txt", [row[:2] for row in rows])
    return root


def made_up_cells(n_clips=60, draws=30):
    """Return cells at two fractions: a criterion that is right where random maps are not, and one that is as good as they are."""
    rng = np.random.default_rng(0)
    cells = []
    for keep, lead in ((0.1, 20), (0.5, 0)):
        random = rng.random((draws, n_clips)) < 0.6
        names = {"anova": np.arange(n_clips) < 36 + lead, "l1": random[0]}
        for criterion, seed, correct in (
            *((name, 0, correct) for name, correct in names.items()),
            *(("random", seed, correct) for seed, correct in enumerate(random)),
        ):
            cells.append(
                {
                    "criterion": criterion,
                    "keep": keep,
                    "seed": seed,
                    "control": "",
                    "classifier": "converging",
                }
                | {"not_converged": 0, "accuracy": {"all": float(correct.mean())}}
                | {"correct": {"all": np.packbits(correct).tobytes().hex()}, "clips": n_clips}
            )
    return cells


def made_up_specifications(n_clips=60, draws=4):
    """Return results as of `dha_utils.studies.specifications`: right for so many clips from the first on, and random maps."""
    right = {"all": 57, "raw": 56, "unit": 40}
    rng = np.random.default_rng(1)
    results = []
    for pooling in ("mean", "max"):
        for classifier in ("converging", "logistic"):
            drawn = draws if classifier == "logistic" else 0
            for maps, seed in [*((maps, 0) for maps in right), *(("random", seed) for seed in range(drawn))]:
                n_right = right.get(maps) or rng.integers(48, 54)
                bits = np.packbits(np.arange(n_clips) < n_right).tobytes().hex()
                cell = {"pooling": pooling, "classifier": classifier, "maps": maps, "seed": seed}
                results.append(cell | {"clips": n_clips, "correct": {"all": bits, "released": bits}})
    return results
