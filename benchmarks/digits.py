"""A small 2-D network of scikit-learn's digits made smaller: ``python benchmarks/digits.py data/digits/smaller.json``.

The network, its training and its split are those of the page *Your own network*, five times with other first weights. Channels
are chosen at random, by ANOVA and by explained variance, as many of each layer; what is left is refitted without labels.
Accuracies are those of the network's own outputs on the digits that it was not trained on.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import dha_utils as dha
from dha_utils.core.paths import repository, write_json
from dha_utils.pruning.compressor import Compressor, Trial

SEEDS = 5
CRITERIA = ("random", "anova", "explained_variance")
FEWER = (0.25, 0.5, 0.75)

first, *_ = (
    (repository() / "book" / "your_network.md").read_text("utf-8").split("```python\n")[1].split("```")
)


def accuracy(network) -> float:
    outputs = network(torch.from_numpy(x[~training]))
    return float((outputs.argmax(1).numpy() == y[~training]).mean())


def cost(network) -> pd.Series:
    return dha.count_macs(network, heads=True)[["macs", "parameters"]].sum()


rows, whole = [], []
for seed in range(SEEDS):
    page = {}
    exec(first.replace("manual_seed(0)", f"manual_seed({seed})"), page)
    x, y, training = page["x"], page["y"], page["training"]
    network = dha.Network.wrap(page["model"], (1, 8, 8))
    whole.append(accuracy(network))
    seen = dha.responses_of(network, x[training], y[training])
    compressor = Compressor(network, x[training], seen)  # what `dha.shrink_network` makes anew in every call
    for fewer in FEWER:
        for criterion in CRITERIA:
            trial = Trial(criterion, str(1 - fewer), seed=seed, widths="explained_variance")
            small = compressor.small_network(trial)
            saved = 1 - cost(small) / cost(network)
            rows.append((fewer, criterion, accuracy(small), saved["macs"], saved["parameters"]))
            print(seed, *rows[-1], flush=True)

table = pd.DataFrame(rows, columns=["fewer", "criterion", "accuracy", "macs", "parameters"])
by_size = []
for fewer, own in table.groupby("fewer"):
    row = {"fewer": fewer, **own[["macs", "parameters"]].mean().to_dict()}
    for criterion, of in own.groupby("criterion")["accuracy"]:
        row |= {criterion: of.mean(), f"{criterion}_least": of.min(), f"{criterion}_most": of.max()}
    by_size.append(row)
content = {"seeds": SEEDS, "tested": int((~training).sum()), "full": float(np.mean(whole)), "table": by_size}
write_json(Path(sys.argv[1]), content, indent=2)
