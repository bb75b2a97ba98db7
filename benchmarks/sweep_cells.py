"""A cell of a sweep with least squares against one with the released classifiers, and what else there is.

    python benchmarks/sweep_cells.py [esc10] [esc50] [--folds 1]

Bundled responses, ANOVA's tenth of the maps chosen in every training fold, one thread; the classifiers take turns in one run.
`--folds` is the number of test folds that are timed (a cell has all five): with ESC-50 one fold of the released classifiers takes
minutes. *released, plain* is the obvious way to the released classifiers, scikit-learn's ``CalibratedClassifierCV`` around an SVC
that computes its kernel in each part of the calibration; *released* is this package's way to the same numbers, which computes it
once. Printed: seconds per fold, how many times faster than either, and the accuracy on these folds.
"""

import argparse
import time
import warnings

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import normalize
from sklearn.svm import SVC

from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import tap_layers
from dha_utils.evaluation.ensemble import MAX_ITERATIONS, evaluate_fold
from dha_utils.responses.table import Responses

CLASSIFIERS = ("released", "converging", "least_squares", "linear_least_squares", "logistic")
PLAIN = "released, plain"


def plain(responses: Responses, masks: dict, test: np.ndarray) -> np.ndarray:
    """Return the sum over taps of the released classifiers' probabilities, each made as scikit-learn's manual has it."""
    settings = {layer.tap: layer for layer in tap_layers(responses)}
    total = 0
    for tap in responses.taps:
        z = normalize(responses[tap][:, masks[tap]].astype(np.float64))
        svm = SVC(
            kernel="poly", degree=settings[tap].degree, gamma=settings[tap].gamma, coef0=0.0, max_iter=MAX_ITERATIONS
        )  # fmt: skip
        model = CalibratedClassifierCV(svm, cv=5, ensemble=False).fit(z[~test], responses.y[~test])
        total = total + model.predict_proba(z[test])
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="*", default=["esc10"])
    parser.add_argument("--folds", type=int, default=5)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    for dataset in asked.datasets:
        responses = Responses.load(bundled(dataset) / "responses_22050.safetensors")
        x, layers = responses.matrix(), tap_layers(responses)
        names = (PLAIN, *CLASSIFIERS)
        seconds, right = dict.fromkeys(names, 0.0), {name: [] for name in names}
        for fold in responses.test_folds[: asked.folds]:
            test = responses.folds == fold
            masks = select(responses.take(~test), "anova", keep=0.11).masks
            keep = np.concatenate([masks[tap] for tap in responses.taps])
            for name in names:
                start = time.perf_counter()
                if name == PLAIN:
                    scores = plain(responses, masks, test)
                else:
                    said = evaluate_fold(x, responses.y, test, layers, keep, [name])[name]
                    scores = said.probabilities.sum(axis=0)
                seconds[name] += time.perf_counter() - start
                right[name].append(scores.argmax(axis=1) == responses.y[test])
        count = len(responses.test_folds[: asked.folds])
        print(f"{dataset}, {count} folds")
        for name, took in seconds.items():
            accuracy = np.concatenate(right[name]).mean()
            ratios = "   ".join(f"{seconds[of] / took:6.1f} times" for of in (PLAIN, "released"))
            print(f"  {name:<22} {took / count:8.2f} s per fold   {ratios}   {accuracy:.2%}")


if __name__ == "__main__":
    main()
