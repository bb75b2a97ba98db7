import numpy as np
import pytest
from sklearn.decomposition import PCA

from dha_utils.findings import variance


def wild_recording(responses):
    return responses.recordings[np.flatnonzero(responses["relu7"][:, 28])[0]]


def test_variance_shares_add_up(dominated):
    shares = variance.variance_shares(dominated["relu7"])
    np.testing.assert_allclose(shares.sum(axis=0)[:29], 1)
    assert (shares[:, 29] == 0).all()
    wild = int(np.flatnonzero(dominated["relu7"][:, 28])[0])
    n = len(dominated)
    assert shares[wild, 28] == pytest.approx(1 - 1 / n)  # one clip is 1, the others are 0
    carried = variance.carried_variance(dominated)
    assert len(carried) == 2 * n
    np.testing.assert_allclose(carried.groupby("tap")["share"].sum(), 1)
    largest = carried.loc[carried["share"].idxmax()]
    assert (largest["tap"], largest["clip"]) == ("relu7", dominated.table["clip"][wild])


def test_dominance(dominated):
    table = variance.dominance_table(dominated).set_index("tap")
    wild = int(np.flatnonzero(dominated["relu7"][:, 28])[0])
    assert table.loc["relu7", "clip"] == dominated.table["clip"][wild]
    assert table.loc["relu7", "dominated"] == 26
    x = dominated["relu7"].astype(float)
    pca = PCA(svd_solver="full").fit(x)
    scores = pca.transform(x)[:, 0] ** 2
    assert table.loc["relu7", "component"] == pytest.approx(pca.explained_variance_ratio_[0])
    assert table.loc["relu7", "of_component"] == pytest.approx(scores[wild] / scores.sum())
    assert table.loc["relu7", "distance"] == pytest.approx(np.sqrt(len(x) - 1), rel=0.01)
    assert table.loc["relu6", "dominated"] == 0


def test_dominating_clips(dominated):
    table = variance.dominating_clips(dominated, "relu7", np.array([3, 28, 29, 26]))
    assert set(table["map"]) == {3, 28, 26}
    assert set(table["recording"][:2]) == {wild_recording(dominated)}
    assert (np.diff(table["share"]) <= 0).all()
    assert table["share"][0] > 0.9 > 0.5 > table["share"][2]
    one = variance.carried_by_one(table)
    assert (one["clip"], one["recording"]) == (table["clip"][0], wild_recording(dominated))
    assert one["dominated"] == 2
    assert (one["share_least"], one["share_most"]) == (table["share"][1], table["share"][0])
    nothing = variance.carried_by_one(variance.dominating_clips(dominated, "relu7", np.array([29])))
    assert nothing["dominated"] == 0
    assert nothing["clip"] is None
