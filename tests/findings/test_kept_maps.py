import numpy as np
import pytest

from dha_utils.criteria.selection import select
from dha_utils.findings import kept_maps
from dha_utils.networks.registry import outline
from dha_utils.pruning.cost import kept_filters
from dha_utils.responses.table import Responses


def test_what_selections_keep(responses):
    selections = [select(fold, "anova", keep=0.2) for fold in responses.training_folds()]
    kept = kept_maps.kept_table(selections, 0.05).set_index("tap")
    effects = kept_maps.effect_table(selections)
    assert len(effects) == len(selections) * kept["maps"].sum()
    assert kept["eta2"].to_dict() == effects.groupby("tap")["eta2"].median().to_dict()
    assert kept["kept"].sum() == selections[0].n_kept
    by_alpha = [select(fold, "anova", alpha=0.05) for fold in responses.training_folds()]
    found = np.mean([[mask.mean() for mask in s.masks.values()] for s in by_alpha], axis=0)
    assert kept["significant"].tolist() == pytest.approx(found, abs=1 / kept["maps"].min())


def test_first_and_last(responses):
    selection = select(responses, "anova", keep=0.2)
    groups = kept_maps.first_and_last(selection, "relu7", most=4)
    scores = selection.scores["relu7"].score
    assert groups["kept"].shape == groups["ignored"].shape == (4,)
    assert scores[groups["kept"]].tolist() == sorted(scores, reverse=True)[:4]
    assert groups["ignored"][-1] == 49  # the constant map
    assert not selection.masks["relu7"][groups["ignored"]].any()
    assert kept_maps.first_and_last(selection, "relu6", most=99)["kept"].shape == (6,)
    assert kept_maps.first_and_last(selection, "relu6")["ignored"].shape == (6,)


def test_peak_class_mean(responses):
    good = kept_maps.peak_class_mean(responses, "relu7", np.arange(10))
    assert good > 1 > 0.4 > kept_maps.peak_class_mean(responses, "relu7", np.arange(10, 49))
    assert kept_maps.peak_class_mean(responses, "relu7", np.array([49])) == 0


def test_halves_share_no_recording_and_have_all_classes(make_responses):
    responses = make_responses()
    first, second = kept_maps.disjoint_halves(responses)
    assert len(first) + len(second) == len(responses)
    assert not {*first.recordings} & {*second.recordings}
    assert first.classes == second.classes == responses.classes


def test_stability_over_folds_and_over_halves(make_responses):
    table = kept_maps.stability_table(make_responses({"relu6": 40}, n_good=10), 0.25).set_index("criterion")
    assert table.loc["anova", "estimate"] == 1
    assert table.loc["anova", "disjoint"] == 1
    assert table.loc["random", "disjoint"] < 0.5


def test_no_halves_of_a_class_with_one_recording(make_responses):
    responses = make_responses({"relu6": 20})
    one = responses.table["label"] == "class0"
    table = responses.table.assign(recording=responses.table["recording"].where(~one, "single"))
    stability = kept_maps.stability_table(Responses(responses.arrays, table), 0.25).set_index("criterion")
    assert np.isnan(stability.loc["anova", "disjoint"])
    assert np.isfinite(stability.loc["anova", "estimate"])


def test_filters_are_counted_once_per_layer(selections):
    _, chosen = selections
    network = outline().narrow({"conv6": np.arange(40), "conv7": np.arange(60)})
    table = kept_maps.filter_table(chosen, network).set_index("layer")
    assert table.loc["all", ["taps", "maps", "filters"]].tolist() == [3, 140, 100]
    covered = np.mean(
        [kept_filters(s.masks, network)["conv6"].sum() for draw in chosen["random"] for s in draw.values()]
    )
    assert table.loc["conv6", "random"] == pytest.approx(covered / 40)
    counts = [
        sum(mask.sum() for mask in kept_filters(s.masks, network).values())
        for s in chosen["anova"][0].values()
    ]
    assert table.loc["all", "anova"] == pytest.approx(np.mean(counts) / 100)
