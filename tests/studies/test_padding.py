import json

from dha_utils.responses.table import Responses
from dha_utils.studies import padding
from dha_utils.studies.padding import keep_padding, padded_shares
from dha_utils.studies.side_by_side import compare_responses


def test_the_deeper_the_layer_the_more_is_padding(both):
    # 5 s at 22 050 Hz are 7 positions of layer 6 and 4 of layer 7; padding is 2 of either.
    assert padded_shares(both[0]) == [2 / 7, 2 / 4]


def test_bundled_with_the_key_of_the_other_padding(both, tmp_path, monkeypatch):
    ours, theirs = both
    asked = {}

    def extract(clips, **options):
        asked.update(options)
        parameters = theirs.provenance["parameters"] | {"padding": options["padding"]}
        return Responses(theirs.arrays, theirs.table, theirs.provenance | {"parameters": parameters})

    monkeypatch.setattr(padding, "extract_responses", extract)
    keep_padding(ours, None, tmp_path)
    assert asked == {"padding": "released", "rate": 22_050, "duration": 5.0, "channel": "mean"}
    effects = json.loads((tmp_path / "padding_22050.json").read_text())
    assert effects["key"]["parameters"]["padding"] == "released"
    assert effects["key"]["parameters"]["keep"] == 0.11
    moved = [{key: value for key, value in row.items() if key != "edges"} for row in effects["taps"]]
    assert moved == compare_responses(ours, theirs)
    assert [row["edges"] for row in effects["taps"]] == padded_shares(ours)
    assert [row["padding"] for row in effects["ensembles"]] == ["input", "released"] * 2
    assert len(effects["ensembles"]) == 4
