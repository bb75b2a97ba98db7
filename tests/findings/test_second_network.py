import json

import numpy as np
import pytest

from dha_utils.core.errors import DataError
from dha_utils.findings import second_network as second
from dha_utils.findings.random_maps import random_table
from dha_utils.studies.sweeps import cells, sweep


def network(name, selection, right, frames=100, widths=(8, 4), seed=0, macs=10):
    correct = np.arange(frames) < right
    return {
        "network": name, "selection": selection, "seed": seed, "widths": list(widths), "macs": macs,
        "parameters": 2 * macs, "accuracy": right / frames, "clips": frames,
        "correct": {"all": np.packbits(correct).tobytes().hex()},
    }  # fmt: skip


@pytest.fixture
def rows():
    small = {"widths": (2, 1), "macs": 1}
    return [
        network("crepe", "all", 90),
        network("crepe-tiny", "all", 70, **small),
        network("crepe", "unfitted", 5, **small),
        network("crepe", "explained_variance", 80, **small),
        network("crepe", "trained", 85, **small),
        network("crepe", "random", 60, **small),
        network("crepe", "random", 70, seed=1, **small),
        network("crepe", "unfitted", 50, widths=(4, 2), macs=3),
        network("crepe", "explained_variance", 89, widths=(4, 2), macs=3),
        network("crepe", "random", 88, widths=(4, 2), macs=3),
    ]


def test_pitch_table(rows):
    table = second.pitch_table(rows)
    assert table["selection"].tolist() == [
        "full", "unfitted", "random", "explained_variance", "tiny", "unfitted", "random", "explained_variance", "trained"
    ]  # fmt: skip
    assert table.loc[table["selection"] == "full", "change"].item() == 0
    own = {name: part.loc["2-1"] for name, part in second.by_selection(table).items() if "2-1" in part.index}
    assert {name: row["accuracy"] for name, row in own.items()} == pytest.approx(
        {"tiny": 0.7, "unfitted": 0.05, "random": 0.65, "explained_variance": 0.8, "trained": 0.85}
    )
    assert own["random"][["draws", "lowest", "highest"]].tolist() == [2, 0.6, 0.7]
    assert own["random"]["change"] == pytest.approx(-0.25)
    assert np.isnan(own["random"]["to_random"])
    trained = own["trained"]
    assert trained[["macs", "parameters", "widths"]].tolist() == [0.1, 0.1, "2-1"]
    assert trained[["change", "to_tiny", "to_random"]].tolist() == pytest.approx([-0.05, 0.15, 0.2])
    assert trained["low"] < -0.05 < trained["high"] <= 0
    assert trained["to_tiny_low"] < 0.15 < trained["to_tiny_high"]
    assert trained["to_random_low"] < 0.2 < trained["to_random_high"]


def test_choices_table(rows):
    assert second.choices_table(rows).empty  # nothing stands beside explained variance
    middle = {"widths": (4, 2), "macs": 3}
    more = [network("crepe", "wanda", 86, widths=(2, 1), macs=1), network("crepe", "wanda", 87, **middle)]
    more += [network("crepe", "anova", 50, widths=(2, 1), macs=1), network("crepe", "anova", 88, **middle)]
    trained = network("crepe", "nearest_trained", 90, widths=(2, 1), macs=1)
    losses = {"wanda": 0.1, "anova": 0.2, "explained_variance": 0.3}
    table = second.choices_table([*rows, *more, trained | {"losses": losses}])
    assert table["loss"].tolist()[:3] == [0.1, 0.3, 0.2]
    assert table["criterion"].tolist() == ["wanda", "explained_variance", "anova", "random"]
    assert table["needs"].tolist() == ["data", "data", "labels", "nothing"]
    assert table["30 %"].tolist() == [0.87, 0.89, 0.88, 0.88]
    assert table["10 %"].tolist() == [0.86, 0.8, 0.5, 0.65]
    assert table["difference"].tolist()[:3] == pytest.approx([0.21, 0.15, -0.15])
    assert (table["all_low"] < table["difference"])[:3].all()
    assert table["outcome"].tolist()[:3] == ["better", "better", "worse"]
    assert table.iloc[3, -4:].isna().all()


def test_what_is_bundled_is_read(rows, monkeypatch, tmp_path):
    monkeypatch.setattr(second, "bundled", lambda dataset: tmp_path)
    with pytest.raises(DataError, match=r"pitch.json: missing .*dha bundle esc10 --only pitch"):
        second.read_pitch("esc10")
    (tmp_path / "pitch.json").write_text(json.dumps({"networks": rows}))
    assert second.read_pitch("esc10") == rows


def test_tables_of_responses(make_responses):
    responses = make_responses({"pool1": 12, "pool2": 20})
    table = second.redundancy_table(responses, 0.5, 0.05)
    assert table["tap"].tolist() == ["pool1", "pool2"]
    assert table["maps"].tolist() == [12, 20]
    assert (table["significant"] < 1).all()
    how = {"classifier": "least_squares"}
    (whole,) = sweep(responses, cells("anova", 1.0, **how))
    recordings = responses.tested().recordings
    ensembles = second.ensemble_table({"toy": whole}, {"toy": responses}, recordings).iloc[0]
    assert ensembles[["network", "maps"]].tolist() == ["toy", 32]
    assert ensembles["best"] == max(whole["accuracy"][tap] for tap in responses.taps)
    assert ensembles["low"] <= ensembles["accuracy"] <= ensembles["high"]
    results = sweep(responses, cells("anova", 0.5, **how) + cells("random", 0.5, seeds=2, **how))
    tables = {"toy": random_table(results, recordings)}
    assert second.stacked(tables)["network"].tolist() == ["toy"]
    assert second.by_network(tables)["toy"].index.tolist() == ["50"]
