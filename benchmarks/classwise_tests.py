"""Time the class-wise criteria on the bundled responses of ESC-10: all 4 336 maps, five training folds.

Goal on two cores: at most 90 s for all but the permutation test, at most 60 s for that one. The first fold of
games_howell_pairs includes the table of critical values.

    python benchmarks/classwise_tests.py
"""

import time

import numpy as np

import dha_utils as dha
from dha_utils.core.paths import bundled


def main():
    responses = dha.Responses.load(bundled("esc10") / "responses_22050.safetensors")
    training = [responses.take(responses.folds != fold) for fold in np.unique(responses.folds)]
    seconds = {}
    for name, criterion in dha.CRITERIA.items():
        if not criterion.family.startswith("class-wise"):
            continue
        start = time.perf_counter()
        for fold in training:
            rng = np.random.default_rng(0)
            for tap in fold.taps:
                criterion.function(fold[tap], fold.y, fold.recordings, rng)
        seconds[name] = time.perf_counter() - start
        print(f"{name:20s} {seconds[name]:6.2f} s")
    permutation = seconds.pop("permutation_f")
    print(
        f"all but permutation_f {sum(seconds.values()):.2f} s (goal 90), permutation_f {permutation:.2f} s (goal 60)"
    )


if __name__ == "__main__":
    main()
