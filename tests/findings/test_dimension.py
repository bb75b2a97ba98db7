import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from dha_utils.findings.dimension import (
    better_table,
    cka_matrix,
    components_for,
    dimension_table,
    dominant_recordings,
    filter_table,
    fold_selections,
    kept_filters,
    leave_out,
    linear_cka,
    lost_to_components,
    lost_to_regression,
    participation_ratio,
    scatter,
    spectrum,
    standardise,
    unexplained_table,
)
from dha_utils.networks.registry import outline
from dha_utils.responses.table import Responses
from dha_utils.studies.sweeps import Cell

RNG = np.random.default_rng(0)
MIXED = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 20)) + 0.3 * RNG.normal(size=(60, 20))
WIDE = RNG.normal(size=(30, 50)) @ np.diag(RNG.uniform(0.1, 9, 50))


@pytest.fixture
def selections(make_responses):
    responses = make_responses({"bn6": 40, "relu6": 40, "relu7": 60})
    draws = [fold_selections(responses, Cell("random", 0.2, seed)) for seed in range(3)]
    return responses, {"anova": [fold_selections(responses, Cell("anova", 0.2))], "random": draws}


@pytest.mark.parametrize("x", [MIXED, WIDE])
def test_spectrum_is_that_of_pca(x):
    pca = PCA().fit(standardise(x))
    variances = pca.explained_variance_ * (len(x) - 1) / len(x)
    np.testing.assert_allclose(spectrum(x)[: len(variances)], variances, atol=1e-9)
    correlation = np.corrcoef(x.T)
    assert participation_ratio(spectrum(x)) == pytest.approx(
        np.trace(correlation) ** 2 / np.trace(correlation @ correlation)
    )
    for share in (0.5, 0.9, 0.99):
        assert (
            components_for(spectrum(x), share)
            == np.searchsorted(np.cumsum(pca.explained_variance_ratio_), share) + 1
        )


def test_independent_maps_have_as_many_dimensions_and_copies_have_one():
    x, _ = np.linalg.qr(RNG.normal(size=(80, 9)) - 0.5)
    x -= x.mean(axis=0)
    q, _ = np.linalg.qr(x)
    assert participation_ratio(spectrum(q)) == pytest.approx(9)
    assert components_for(spectrum(q), 0.9) == 9
    copies = np.outer(RNG.normal(size=30), np.arange(1, 6)) + 7
    assert participation_ratio(spectrum(copies)) == pytest.approx(1)
    assert components_for(spectrum(copies), 0.99) == 1


def test_constant_maps_have_no_dimension():
    assert standardise(np.ones((5, 3))).shape == (5, 0)
    assert participation_ratio(spectrum(np.ones((5, 3)))) == 0
    assert components_for(spectrum(np.ones((5, 3))), 0.9) == 0
    assert spectrum(np.column_stack([MIXED, np.ones(60)])).sum() == pytest.approx(20)


def test_one_loud_clip_dominates_and_is_left_out(make_responses):
    responses = make_responses({"relu6": 12, "bn7": 30}, n_good=0)
    assert dominant_recordings(responses) == []
    loud = responses["bn7"].copy()
    loud[5] += 100
    loud = Responses({"relu6": responses["relu6"], "bn7": loud}, responses.table, responses.provenance)
    (found,) = dominant_recordings(loud)
    assert found["recording"] == responses.recordings[5]
    assert (found["tap"], found["clips"]) == ("bn7", 2)
    z = standardise(loud["bn7"])
    same = responses.recordings == responses.recordings[5]
    assert found["share"] == pytest.approx((z[same] ** 2).sum() / (z**2).sum())
    table = dimension_table(loud, [found["recording"]]).set_index("tap")
    assert table.loc["bn7", "ratio"] < 1.5 < 10 < table.loc["bn7", "ratio_rest"]
    assert table.loc["bn7", "ratio_rest"] == pytest.approx(
        participation_ratio(spectrum(leave_out(loud, [found["recording"]])["bn7"]))
    )


def test_few_clips_are_never_all_dominant(make_responses):
    """Each map answers to one clip of its own: both clips dominate, and one is taken."""
    responses = make_responses({"relu6": 12}, n_classes=2, per_class=6)
    table = responses.table.assign(recording=responses.table["clip"])
    spikes = np.diag(np.arange(1.0, 13))[:, :2].astype(np.float32)
    assert len(dominant_recordings(Responses({"relu6": spikes}, table, responses.provenance))) == 1
    halves = table.assign(recording=["a"] * 6 + ["b"] * 6)
    assert dominant_recordings(Responses(responses.arrays, halves, responses.provenance)) == []


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


def test_alignment_against_its_definition_with_kernels():
    """Hilbert-Schmidt independence of the centred linear kernels, normalised."""
    x, y = MIXED, RNG.normal(size=(60, 7)) + MIXED[:, :7]
    centre = np.eye(60) - 1 / 60
    k, m = (centre @ (z @ z.T) @ centre for z in (standardise(x), standardise(y)))
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(x, y) == pytest.approx(expected)
    assert linear_cka(x, x * 3 + 1) == pytest.approx(1)
    assert np.isnan(linear_cka(x, np.ones((60, 2))))


def test_cka_matrix_is_symmetric(make_responses):
    matrix = cka_matrix(make_responses({"bn6": 10, "relu6": 10, "relu7": 8}))
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert list(matrix) == list(matrix.index) == ["bn6", "relu6", "relu7"]


def test_filters_are_counted_once_per_layer(selections):
    _, chosen = selections
    selection = chosen["anova"][0][1]
    filters = kept_filters(selection, outline())
    np.testing.assert_array_equal(filters["conv6"], selection.masks["bn6"] | selection.masks["relu6"])
    table = filter_table(chosen).set_index("layer")
    assert table.loc["all", ["taps", "maps", "filters"]].tolist() == [3, 140, 100]
    covered = np.mean(
        [kept_filters(s, outline())["conv6"].sum() for draw in chosen["random"] for s in draw.values()]
    )
    assert table.loc["conv6", "random"] == pytest.approx(covered / 40)
    counts = [
        sum(mask.sum() for mask in kept_filters(s, outline()).values()) for s in chosen["anova"][0].values()
    ]
    assert table.loc["all", "anova"] == pytest.approx(np.mean(counts) / 100)


def test_tables_go_into_results(selections):
    responses, chosen = selections
    for table in (
        dimension_table(responses),
        unexplained_table(responses, chosen, 0.2),
        filter_table(chosen),
    ):
        assert isinstance(table, pd.DataFrame)
        assert not table.isna().any(axis=None)


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
