"""A cell of a sweep with least squares against one with the released classifiers, and what else there is.

    python benchmarks/sweep_cells.py [esc10] [esc50] [--folds 1]

Bundled responses, ANOVA's tenth of the maps chosen in every training fold, one thread; the classifiers take turns in one run.
`--folds` is the number of test folds that are timed (a cell has all five): with ESC-50 one fold of the released classifiers takes
minutes. Printed: seconds per fold, how many times faster than the released ones, and the accuracy on these folds.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import tap_layers
from dha_utils.evaluation.ensemble import evaluate_fold
from dha_utils.responses.table import Responses

CLASSIFIERS = ("released", "converging", "least_squares", "linear_least_squares", "logistic")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", default=["esc10"])
    parser.add_argument("--folds", type=int, default=5)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    for dataset in asked.datasets:
        responses = Responses.load(bundled(dataset) / "responses_22050.safetensors")
        x, layers = responses.matrix(), tap_layers(responses)
        seconds, right = dict.fromkeys(CLASSIFIERS, 0.0), {name: [] for name in CLASSIFIERS}
        for fold in responses.test_folds[: asked.folds]:
            test = responses.folds == fold
            masks = select(responses.take(~test), "anova", keep=0.11).masks
            keep = np.concatenate([masks[tap] for tap in responses.taps])
            for name in CLASSIFIERS:
                start = time.perf_counter()
                said = evaluate_fold(x, responses.y, test, layers, keep, [name])[name].probabilities
                seconds[name] += time.perf_counter() - start
                right[name].append(said.sum(axis=0).argmax(axis=1) == responses.y[test])
        count = len(responses.test_folds[: asked.folds])
        print(f"{dataset}, {count} folds")
        for name, took in seconds.items():
            accuracy = np.concatenate(right[name]).mean()
            ratio = seconds["released"] / took
            print(f"  {name:<22} {took / count:8.2f} s per fold   {ratio:6.1f} times   {accuracy:.2%}")


if __name__ == "__main__":
    main()
