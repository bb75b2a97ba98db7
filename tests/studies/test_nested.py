import numpy as np
import pandas as pd
import pytest

from dha_utils.evaluation.crossvalidation import cross_validate, tap_layers
from dha_utils.evaluation.ensemble import LayerEnsemble
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.pruning.compressor import Compressor, Trial, network_responses
from dha_utils.responses.table import Responses
from dha_utils.studies.nested import Inner, choose_sizes, evaluate_inner, load_inner, operating_table
from dha_utils.studies.trials import CompressionStudy

N = 36
RNG = np.random.default_rng(0)
Y = np.arange(N) % 2
WAVEFORMS = (RNG.normal(size=(N, 6_000)) * np.where(Y, 0.03, 0.02)[:, None]).astype(np.float32)
FOLDS = np.arange(N) // 2 % 3 + 1


@pytest.fixture(scope="module")
def study(narrow_network):
    columns = {"clip": map(str, range(N)), "label": [f"class{y}" for y in Y], "fold": FOLDS}
    table = pd.DataFrame(columns | {"recording": map(str, range(N))})
    provenance = {"dataset": "made-up", "parameters": {"rate": 22050, "duration": 0.3}}
    responses = network_responses(narrow_network, WAVEFORMS, Responses({}, table, provenance))
    return CompressionStudy(narrow_network, WAVEFORMS, responses)


@pytest.mark.parametrize("size", ["1", "0.5"])
def test_inner_folds_are_those_of_a_naive_loop(study, size):
    ((_, result),) = evaluate_inner(study, [Inner(size)])
    for tested in (1, 2, 3):
        for inner in {1, 2, 3} - {tested}:
            training = ~np.isin(FOLDS, (tested, inner))
            network = study.model
            if size != "1":
                compressor = Compressor(study.model, WAVEFORMS[training], study.responses.take(training))
                network = compressor.small_network(Trial("explained_variance", size))
            said = network_responses(network, WAVEFORMS, study.responses)
            x, y = said.matrix(), study.responses.y
            ensemble = LayerEnsemble(tap_layers(said)).fit(x[training], y[training])
            expected = ensemble.predict(x[inner == FOLDS]) == y[inner == FOLDS]
            right = unpack_correct(result, str(tested))
            np.testing.assert_array_equal(right[inner == FOLDS], expected)
        assert not right[tested == FOLDS].any()
        assert result["accuracy"][str(tested)] == right[tested != FOLDS].mean()


def inner(size, right_by_fold, n):
    packed = {str(fold): np.packbits(right).tobytes().hex() for fold, right in right_by_fold.items()}
    return {"size": size, "correct": packed, "clips": n}


def test_every_fold_gets_the_smallest_size_that_the_others_show_to_be_within_the_margin(make_responses):
    responses = make_responses(per_class=50)
    n, folds = len(responses), responses.folds
    right = np.ones(n, bool)
    lost = right.copy()
    lost[folds == 2] = np.arange((folds == 2).sum()) % 3 > 0  # a third of fold 2
    results = [
        inner("1", dict.fromkeys(range(1, 6), right), n),
        inner("0.5", dict.fromkeys(range(1, 6), right), n),
        inner("0.3", dict.fromkeys(range(1, 6), lost), n),
        inner("0.1", dict.fromkeys(range(1, 6), ~right), n),
    ]
    # Fold 2 itself has no say in its size.
    assert choose_sizes(results, folds, responses.recordings) == {
        1: "0.5",
        2: "0.3",
        3: "0.5",
        4: "0.5",
        5: "0.5",
    }
    assert choose_sizes(results[:1] + results[3:], folds, responses.recordings) == dict.fromkeys(
        range(1, 6), "1"
    )

    full = cross_validate(responses)
    whole = full.correct()
    trials = [
        {"criterion": "explained_variance", "size": size, "macs": float(size), "parameters": 0.1, "clips": n}
        | {"correct": {"all": np.packbits(of).tobytes().hex()}}
        for size, of in (("0.5", whole), ("0.3", ~whole))
    ]
    (row,) = operating_table(results, trials, full).to_dict("records")
    assert row["sizes"] == "0.5, 0.3, 0.5, 0.5, 0.5"
    assert row["macs"] == pytest.approx(0.46)
    expected = np.where(folds == 2, ~whole, whole)
    assert row["accuracy"] == expected.mean()
    assert row["change"] == pytest.approx(expected.mean() - whole.mean())
    assert row["low"] <= row["change"] <= row["high"]
    assert operating_table([], trials, full).empty


def test_nothing_is_computed_that_is_not_bundled_unless_all_is(study, tmp_path, monkeypatch):
    assert load_inner(study.responses, lambda: study, tmp_path) == []
    monkeypatch.setattr("dha_utils.studies.nested.SIZES", ("1", "0.5"))
    made = load_inner(study.responses, lambda: study, tmp_path, full=True)
    assert [result["size"] for result in made] == ["1", "0.5"]
    kept = load_inner(study.responses, pytest.fail, tmp_path, full=True)
    assert kept == made
