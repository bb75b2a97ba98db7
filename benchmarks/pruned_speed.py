"""Does a network with fewer multiplications take less time? ``python benchmarks/pruned_speed.py [--dataset esc50] [--bundle]``.

Networks of the bundled frontier (maps per layer of the first fold), batches of eight clips of 5 s at 22 050 Hz on two threads,
all taking turns in one run. ``--bundle`` keeps the times for the book.
"""

import argparse
import json

from dha_utils.book.given import given
from dha_utils.book.parameters import BOOK
from dha_utils.core.paths import bundled
from dha_utils.pruning.compressor import Trial
from dha_utils.pruning.speed import speed_table, time_networks
from dha_utils.responses.table import Responses
from dha_utils.studies.sweep_store import committed_file, load_results
from dha_utils.studies.trials import BUDGETS

parser = argparse.ArgumentParser()
parser.add_argument("--dataset", choices=BOOK, default="esc10")
parser.add_argument("--bundle", action="store_true")
told = parser.parse_args()
folder = bundled(told.dataset)
asked = {"budgets": BUDGETS, "classifier": "converging"} | given(told.dataset, "frontier")
responses = Responses.load(folder / "responses_22050.safetensors")
trials = load_results(committed_file("trials", responses), Trial, responses)
sizes = [f"{budget:g}" for budget in asked["budgets"]]
widths = {
    size: trials[Trial("explained_variance", size, classifier=asked["classifier"])]["layer_maps"][0]
    for size in sizes
}
times = time_networks(widths, 110_250)
table = speed_table(times)
print(table.to_string(index=False, float_format="{:.3f}".format))
least = table["ratio"].min()
print(
    f"full network: {1000 * times['seconds']['full']:.1f} ms; time saved / MACs saved: at least {least:.2f}"
)
if told.bundle:
    (folder / "speed_22050.json").write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")
