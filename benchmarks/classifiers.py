"""The classifiers of the ensemble against scikit-learn's calibration, and the converging SVM against the released one.

    python benchmarks/classifiers.py

Bundled responses of ESC-10, the first training fold, all 15 taps with a random tenth of the maps, one thread. The obvious way
is ``CalibratedClassifierCV(svm, method="sigmoid", ensemble=False)``; all ways take turns in one run.
"""

import statistics
import time

import numpy as np
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from threadpoolctl import threadpool_limits

from dha_utils.core.paths import bundled
from dha_utils.criteria.selection import select
from dha_utils.evaluation.ensemble import layer_classifier
from dha_utils.networks.soundnet import KERNELS
from dha_utils.responses.table import Responses

REPEATS = 3


def main() -> None:
    responses = Responses.load(bundled("esc10") / "responses_22050.safetensors")
    train = responses.folds != responses.test_folds[0]
    masks = select(responses, "random", keep=0.11).masks

    def obvious(degree: int, gamma: float):
        svm = layer_classifier(degree, gamma)[-1].svm
        calibrated = CalibratedClassifierCV(svm, method="sigmoid", cv=5, ensemble=False)
        return make_pipeline(Normalizer("l2"), calibrated)

    ways = {
        "released, ours": lambda *kernel: layer_classifier(*kernel, "released"),
        "converging, scikit-learn's calibration": obvious,
        "converging, ours": layer_classifier,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    apart = 0.0
    with threadpool_limits(1), config_context(assume_finite=True, skip_parameter_validation=True):
        for _ in range(REPEATS):
            said = {}
            for name, way in ways.items():
                start = time.perf_counter()
                said[name] = [
                    way(*KERNELS[tap]).fit(x[train], responses.y[train]).predict_proba(x[~train])
                    for tap in responses.taps
                    for x in [responses[tap][:, masks[tap]].astype(np.float64)]
                ]
                seconds[name].append(time.perf_counter() - start)
            pairs = zip(said["converging, ours"], said["converging, scikit-learn's calibration"], strict=True)
            apart = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ours = medians["converging, ours"]
    for name, median in medians.items():
        print(f"{name:<40} {median:6.2f} s   {median / ours:5.2f} times ours")
    print(f"probabilities of the two calibrations differ by {apart:.1e} at most")


if __name__ == "__main__":
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    main()
