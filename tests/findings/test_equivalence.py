import numpy as np
import pandas as pd
import pytest

from dha_utils.criteria.classwise import spread
from dha_utils.findings import equivalence
from dha_utils.responses.table import Responses


@pytest.fixture
def half_alike(make_responses):
    """Three maps that differ between classes, three that do not, and one that is constant."""
    responses = make_responses({"relu6": 7}, n_good=3, per_class=400)
    responses["relu6"][:, 3:6] = np.random.default_rng(0).normal(size=(1600, 3))
    responses["relu6"][:, 6] = 0.3
    return responses


def test_equivalence(half_alike):
    table = equivalence.equivalence_table(half_alike, equivalence.spreads(half_alike), 0.05)
    assert table["raw"].tolist() == table["adjusted"].tolist() == [pytest.approx(4 / 7)]
    assert table["constant"].tolist() == [pytest.approx(1 / 7)]
    assert equivalence.share_alike(table) == {
        "alike_raw": pytest.approx(4 / 7),
        "alike_adjusted": pytest.approx(4 / 7),
    }


def test_equivalence_over_margins(half_alike):
    curve = equivalence.equivalence_curve(equivalence.spreads(half_alike), 0.05)
    assert len(curve) == 3 * len(equivalence.MARGINS)
    for _, rows in curve.groupby("form"):
        assert (np.diff(rows["raw"]) >= 0).all()
        assert (rows["adjusted"] <= rows["raw"]).all()
        at_margin = rows.set_index("margin")["raw"]
        assert at_margin[0.25] == pytest.approx(4 / 7)
    fold = half_alike.training_folds()
    by_hand = np.mean([(spread(t.matrix(), t.y, "pooled").alike(0.1) <= 0.05).mean() for t in fold])
    pooled = curve[(curve["form"] == "pooled") & (curve["margin"] == 0.1)]
    assert pooled["raw"].tolist() == [pytest.approx(by_hand)]


def test_what_is_shown_to_differ(half_alike):
    assert equivalence.different_shares(equivalence.spreads(half_alike), 0.05) == {
        form: pytest.approx(3 / 7) for form in ("welch", "pooled", "ranks")
    }


def test_the_margin_at_which_so_many_are_alike(half_alike):
    curve = equivalence.equivalence_curve(equivalence.spreads(half_alike), 0.05)
    different = dict.fromkeys(("welch", "pooled", "ranks"), 0.4)
    table = equivalence.equivalence_by_form(curve, different, 0.5).set_index("form")
    assert list(table.index) == list(different)
    assert 0.1 <= table.loc["welch", "margin_reaching"] <= 0.25
    assert (table["medium_refuted"] == 0.4).all()
    assert (table["medium_raw"] <= table["two_raw"]).all()
    assert (table["medium_adjusted"] <= table["medium_raw"]).all()
    assert np.isnan(equivalence.equivalence_by_form(curve, different, 0.99)["margin_reaching"][0])


def test_power_of_the_equivalence_test(half_alike, make_responses):
    power = equivalence.equivalence_power(half_alike, 0.05, seeds=3).set_index(["shuffled", "form"])
    assert len(power) == 6
    assert (power["alike"] > 0.9).all()  # 1280 clips show it
    few = equivalence.equivalence_power(make_responses(per_class=10), 0.05, seeds=3)
    assert (few["alike"] < 0.5).all()
    assert (few["shuffles"] == 3).all()


def test_clips_of_a_recording_count_once(make_responses):
    once = make_responses({"pool5": 8}, n_good=2, per_class=40)
    once = Responses(once.arrays, once.table.assign(recording=once.table["clip"]))
    again = [once.table.assign(clip=once.table["clip"] + letter) for letter in "abc"]
    table = pd.concat(again).sort_values("clip", ignore_index=True)
    thrice = Responses({"pool5": np.repeat(once["pool5"], 3, axis=0)}, table)
    assert thrice.table["recording"].tolist() == np.repeat(once.table["clip"], 3).tolist()

    def by_form(responses):
        spreads = equivalence.spreads(responses)
        curve = equivalence.equivalence_curve(spreads, 0.05)
        return equivalence.equivalence_by_form(curve, equivalence.different_shares(spreads, 0.05), 0.5)

    by_recording = equivalence.equivalence_of_recordings(thrice, 0.05, 0.5)
    pd.testing.assert_frame_equal(by_recording, by_form(once))
    assert (by_form(thrice)["medium_raw"] > by_recording["medium_raw"]).all()
