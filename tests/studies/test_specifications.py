from functools import partial

import numpy as np
from miniatures import make_sounds
from sklearn.preprocessing import normalize

from dha_utils.criteria.selection import select
from dha_utils.datasets import load_clips
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.paper import KEEP
from dha_utils.responses.extraction import extract_responses
from dha_utils.studies import specifications as module
from dha_utils.studies.specifications import (
    Specification,
    compared,
    evaluate_specifications,
    load_specifications,
    pooled_otherwise,
    selector,
    specifications,
    unit_length,
)

DRAWS = {"least_squares": 2, "logistic": 1}


def test_every_pooling_and_classifier_has_its_runs():
    cells = specifications(DRAWS)
    assert len({*cells}) == len(cells) == 3 * (2 * 3 + 3)
    assert Specification("max", "logistic", "random", 1) not in cells
    assert Specification("max", "least_squares", "random", 1) in cells


def test_each_run_is_that_of_its_selection(make_responses):
    responses = make_responses({"relu6": 30, "relu7": 40}, n_good=8, strength=0.5)
    cells = [cell for cell in specifications(DRAWS) if cell.pooling == "mean"]
    results = dict(evaluate_specifications(lambda: {"mean": responses}, cells))
    assert list(results) == cells
    expected = {
        "all": None,
        "raw": partial(select, criterion="anova", keep=KEEP),
        "unit": lambda training: select(unit_length(training), "anova", keep=KEEP),
    }
    for maps, select_maps in expected.items():
        result = results[Specification("mean", "logistic", maps)]
        run = cross_validate(responses, select_maps, classifier="logistic")
        np.testing.assert_array_equal(unpack_correct(result), run.correct())
        assert [*result["correct"]] == ["all"]


def test_random_maps_are_others_in_every_fold_and_draw(make_responses):
    responses = make_responses({"relu7": 40})
    drawn = {}
    for seed in (0, 1):
        choose = selector("random", seed, responses)
        for fold in responses.test_folds:
            drawn[seed, fold] = choose(responses.take(responses.folds != fold)).masks["relu7"].tobytes()
    assert len({*drawn.values()}) == len(drawn)


def test_unit_length_is_what_the_classifiers_see(make_responses):
    responses = make_responses({"relu7": 5})
    np.testing.assert_allclose(unit_length(responses)["relu7"], normalize(responses["relu7"]))


def test_other_poolings_come_from_the_audio(random_network, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_behind", lambda provenance: random_network)
    folder = make_sounds(tmp_path / "sounds", seconds=1.2)
    averages = extract_responses(load_clips(folder), random_network, duration=1.2)
    pooled = pooled_otherwise(averages, str(folder), None, tmp_path / "both.safetensors")
    tap = averages.taps[0]
    assert pooled["mean"] is averages
    np.testing.assert_allclose(
        pooled["mean_max"][tap], np.hstack([averages[tap], pooled["max"][tap]]), rtol=1e-4
    )
    assert (pooled["max"][tap] >= averages[tap] - 1e-6).all()


def test_without_audio_and_results_a_sentence_says_so(make_responses, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "clips_at_hand", lambda *arguments, **options: None)
    assert load_specifications({22_050: make_responses()}, tmp_path, draws=DRAWS, dataset="made_up") == {
        22_050: []
    }
    assert "22,050 Hz are not bundled and need the audio" in capsys.readouterr().out
    assert not [*tmp_path.iterdir()]


def test_what_is_kept_is_not_computed_again(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    pooled = dict.fromkeys(("mean", "max", "mean_max"), responses)
    monkeypatch.setattr(module, "clips_at_hand", lambda *arguments, **options: True)
    monkeypatch.setattr(module, "pooled_otherwise", lambda *arguments: pooled)
    first = load_specifications({22_050: responses}, tmp_path, draws=DRAWS, dataset="made_up")
    monkeypatch.setattr(module, "cross_validate_many", None)
    assert load_specifications({22_050: responses}, tmp_path, draws=DRAWS, dataset="made_up") == first


def test_who_asks_for_a_quick_classifier_gets_the_quick_ones():
    assert compared("converging", 20) == dict.fromkeys(module.CLASSIFIERS, 20)
    assert compared("least_squares", 5) == {"least_squares": 5, "linear_least_squares": 5}
