import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from dha_utils.findings.dimension import standardise
from dha_utils.findings.explained import (
    better_table,
    lost_to_components,
    lost_to_regression,
    scatter,
    unexplained_table,
)
from dha_utils.responses.table import Responses
from dha_utils.studies.sweeps import Cell, fold_selections

RNG = np.random.default_rng(0)
MIXED = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 20)) + 0.3 * RNG.normal(size=(60, 20))


def test_regression_is_that_of_sklearn_and_components_that_of_pca():
    z, test = standardise(MIXED), np.arange(60) % 4 == 0
    kept = np.arange(20) % 3 == 0
    n = int((~test).sum())
    model = Ridge(alpha=0.2 * n).fit(z[~test][:, kept], z[~test][:, ~kept])
    missed = z[test][:, ~kept] - model.predict(z[test][:, kept])
    from_mean = z[test] - z[~test].mean(axis=0)
    lost, total = lost_to_regression(scatter(z, test), kept, ridge=0.2)
    assert lost == pytest.approx((missed**2).sum() / test.sum())
    assert total == pytest.approx((from_mean[:, ~kept] ** 2).sum() / test.sum())
    pca = PCA(4, svd_solver="full").fit(z[~test])
    rest = z[test] - pca.inverse_transform(pca.transform(z[test]))
    lost, total = lost_to_components(scatter(z, test), 4)
    assert lost == pytest.approx((rest**2).sum() / test.sum())
    assert total == pytest.approx((from_mean**2).sum() / test.sum())


def test_maps_that_follow_from_others_are_explained():
    source = RNG.normal(size=(200, 4))
    z = standardise(np.column_stack([source, source @ RNG.normal(size=(4, 10))]))
    moments = scatter(z, np.arange(200) < 50)
    kept = np.arange(14) < 4
    lost, total = lost_to_regression(moments, kept, ridge=1e-6)
    assert lost < 1e-4 * total
    lost, total = lost_to_regression(moments, np.arange(14) < 2, ridge=1e-6)
    assert lost > 0.1 * total
    noise = scatter(RNG.normal(size=(200, 14)), np.arange(200) < 50)
    lost, total = lost_to_regression(noise, kept)
    assert lost == pytest.approx(total, rel=0.1)


def test_unexplained_table_adds_up_folds(selections):
    responses, chosen = selections
    table = unexplained_table(responses, chosen, 0.2).set_index("tap")
    assert list(table.columns) == ["maps", "anova", "random", "random_low", "random_high", "pca"]
    z = standardise(responses["relu7"])
    lost = total = 0.0
    for fold, selection in chosen["anova"][0].items():
        test = responses.folds == fold
        kept = selection.masks["relu7"]
        model = Ridge(alpha=0.1 * (~test).sum()).fit(z[~test][:, kept], z[~test][:, ~kept])
        lost += ((z[test][:, ~kept] - model.predict(z[test][:, kept])) ** 2).sum()
        total += ((z[test][:, ~kept] - z[~test][:, ~kept].mean(axis=0)) ** 2).sum()
    assert table.loc["relu7", "anova"] == pytest.approx(lost / total)
    assert (table["random_low"] <= table["random"]).all()
    assert (table["random"] <= table["random_high"]).all()


def test_unexplained_table_without_anything_to_explain(make_responses):
    responses = make_responses({"relu6": 12})
    blank = Responses({"relu6": np.ones((60, 12), np.float32)}, responses.table, responses.provenance)
    for some, keep in ((responses, 1.0), (blank, 0.25)):
        chosen = {"anova": [fold_selections(some, Cell("anova", keep))]}
        assert np.isnan(unexplained_table(some, chosen, keep)["anova"]).all()
    assert np.isnan(unexplained_table(blank, chosen, 0.25)["pca"]).all()


def test_choices_are_compared(selections):
    responses, chosen = selections
    first = unexplained_table(responses, chosen, 0.2)
    assert better_table(responses, chosen, [], first)["recordings"].tolist() == ["all"] * 2
    without = [responses.recordings[0]]
    first = unexplained_table(responses, chosen, 0.2, without=without)
    table = better_table(responses, chosen, without, first)
    assert table["ridge"].tolist() == [0.1, 0.01, 0.1, 0.01]
    assert table.loc[0, "taps"] == (first["random"] < first["anova"]).sum()
    other = unexplained_table(responses, chosen, 0.2, ridge=0.01)
    assert table.loc[3, ["taps", "of"]].tolist() == [(other["random"] < other["anova"]).sum(), 3]
    assert (table["every"] <= table["taps"]).all()
