"""A small 2-D network of scikit-learn's digits made smaller: ``python benchmarks/digits.py data/digits/smaller.json``.

The network, its training and its split are those of the page *Your own network*, five times with other first weights. Channels
are chosen by every criterion that orders filters to be removed, at random, by ANOVA and by what explains most, as many of each
layer; what is left is refitted without labels. Above them stands a mark: principal components in place of channels.
Accuracies are those of the network's own outputs on the digits that it was not trained on.
"""

import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch

import dha_utils as dha
from dha_utils.core.paths import repository, write_json
from dha_utils.criteria.described import needs_of
from dha_utils.pruning.compressor import Compressor, Trial
from dha_utils.pruning.rotation import rotated_maps

SEEDS = 5
FEWER = (0.25, 0.5, 0.75)
REMOVAL = [name for name, criterion in dha.CRITERIA.items() if criterion.family == "removal"]
CRITERIA = ("random", "anova", "explained_variance", "next_layer", *REMOVAL)
MARK = "principal components"

first, *_ = (
    (repository() / "book" / "your_network.md").read_text("utf-8").split("```python\n")[1].split("```")
)


def accuracy(outputs: torch.Tensor) -> float:
    return float((outputs.argmax(1).numpy() == y[~training]).mean())


def cost(network) -> pd.Series:
    return dha.count_macs(network, heads=True)[["macs", "parameters"]].sum()


rows, costs, whole = [], [], []
for seed in range(SEEDS):
    page = {}
    with TemporaryDirectory() as folder, chdir(folder):  # where the page leaves its file
        exec(first.replace("manual_seed(0)", f"manual_seed({seed})"), page)
    x, y, training = page["x"], page["y"], page["training"]
    network = dha.Network.wrap(page["model"], (1, 8, 8))
    whole.append(accuracy(network(torch.from_numpy(x[~training]))))
    seen = dha.responses_of(network, x[training], y[training])
    compressor = Compressor(network, x[training], seen)  # what `dha.shrink_network` makes anew in every call
    for fewer in FEWER:
        for criterion in CRITERIA:
            trial = Trial(criterion, str(1 - fewer), seed=seed, widths="explained_variance")
            small = compressor.small_network(trial)
            rows.append((criterion, fewer, accuracy(small(torch.from_numpy(x[~training])))))
        counts = {layer: len(channels) for layer, channels in compressor.keep(trial).items()}
        *_, (_, outputs) = rotated_maps(network, compressor.activations, x[~training], counts)
        rows.append((MARK, fewer, accuracy(outputs)))
        costs.append({"fewer": fewer} | dict(1 - cost(small) / cost(network)))
        print(seed, fewer, *rows[-len(CRITERIA) - 1 :], sep="\n", flush=True)

table = []
measured = pd.DataFrame(rows, columns=["criterion", "fewer", "accuracy"])
for criterion, own in measured.groupby("criterion", sort=False):
    needs = needs_of(dha.CRITERIA[criterion]) if criterion in dha.CRITERIA else "data"
    row = {"criterion": criterion, "needs": needs}
    for fewer, of in own.groupby("fewer")["accuracy"]:
        name = f"fewer_{100 * fewer:.0f}"
        row |= {name: of.mean(), f"{name}_least": of.min(), f"{name}_most": of.max()}
    table.append(row)
sizes = {
    f"{100 * fewer:.0f}": dict(of) for fewer, of in pd.DataFrame(costs).groupby("fewer").mean().iterrows()
}
content = {
    "seeds": SEEDS, "tested": int((~training).sum()), "full": float(np.mean(whole)), "sizes": sizes, "table": table
}  # fmt: skip
write_json(Path(sys.argv[1]), content, indent=2)
