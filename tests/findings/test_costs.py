import numpy as np
import pytest

from dha_utils.findings.costs import reader_costs, savings, savings_by_name, unread_filters, unread_summary
from dha_utils.networks.soundnet import TAP_MAPS
from dha_utils.pruning.cost import needed_filters, pooling_additions, savings_table
from dha_utils.studies.sweeps import Cell, fold_selections

N_SAMPLES = 5 * 22_050


@pytest.fixture
def responses(make_responses):
    return make_responses(TAP_MAPS, n_classes=2, per_class=12, folds=2)


@pytest.fixture
def selections(responses):
    return fold_selections(responses, Cell("anova", 0.11))


def test_unread_filters(selections):
    unread = unread_filters(selections)
    masks = selections[2].masks
    assert unread.loc["conv7", "fold 2"] == (~(masks["bn7"] | masks["relu7"])).sum()
    assert (~needed_filters(masks)["conv7"]).sum() == unread.loc["conv7", "fold 2"]
    summary = unread_summary(unread)
    assert summary["below"] == 0
    assert summary["low"] <= summary["mean"] <= summary["high"]


def test_savings_are_means_over_folds(responses, selections):
    readers = reader_costs(responses, selections, N_SAMPLES)
    assert readers["maps"].tolist() == ["all", "kept"] * 2
    assert readers["averages"][0] == pooling_additions(TAP_MAPS, N_SAMPLES)
    assert (readers["classifiers"][::2].to_numpy() > readers["classifiers"][1::2].to_numpy()).all()
    table = savings(selections, 0.11, readers, 22_050)
    tables = [
        savings_table(
            selection.masks, 0.11, *readers.loc[readers["fold"] == fold, "classifiers"], 30 * 22_050
        ).set_index("name")
        for fold, selection in selections.items()
    ]
    expected = [t.loc["ignoring", "all"] for t in tables]
    row = table.xs(("ignoring", "30"), level=["name", "seconds"]).iloc[0]
    assert row["all"] == pytest.approx(np.mean(expected))
    assert (row["all_low"], row["all_high"]) == (min(expected), max(expected))
    by_name = savings_by_name(table)
    assert list(by_name["psnet"]) == ["what", "5", "30"]
    assert by_name["psnet"]["5"]["all"] is None  # no classifier to go by
