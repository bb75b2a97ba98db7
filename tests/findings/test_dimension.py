import numpy as np
import pytest
from sklearn.decomposition import PCA

from dha_utils.findings.dimension import (
    components_for,
    dimension_table,
    dominant_recordings,
    participation_ratio,
    spectrum,
    standardise,
)
from dha_utils.findings.influence import leave_out
from dha_utils.responses.table import Responses

RNG = np.random.default_rng(0)
MIXED = RNG.normal(size=(60, 3)) @ RNG.normal(size=(3, 20)) + 0.3 * RNG.normal(size=(60, 20))
WIDE = RNG.normal(size=(30, 50)) @ np.diag(RNG.uniform(0.1, 9, 50))


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
