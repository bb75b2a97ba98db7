from types import SimpleNamespace

import numpy as np
import pytest

from dha_utils.core.errors import DataError
from dha_utils.criteria import MapScores
from dha_utils.criteria.selection import select
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.evaluation.packing import unpack_correct
from dha_utils.studies import sweep_store, sweeps
from dha_utils.studies.scores import FoldScores
from dha_utils.studies.sweep_store import committed_file, kept_file, load_results
from dha_utils.studies.sweeps import Cell, sample_cells, selector, sweep
from dha_utils.studies.sweeps import cells as make_cells


def test_cell_equals_cross_validation(make_responses):
    responses = make_responses()
    (cell,) = sweep(responses, [Cell("anova", 0.25)])
    expected = cross_validate(responses, lambda training: select(training, "anova", keep=0.25))
    assert cell["accuracy"]["all"] == expected.accuracy()
    np.testing.assert_array_equal(unpack_correct(cell, "all"), expected.correct())
    assert cell["ignored"] == expected.ignored


def test_controls(make_responses):
    responses = make_responses()
    training = responses.take(responses.folds != 1)
    kept = {
        c: selector(Cell("anova", 0.25, 0, c), responses)(training).masks["relu7"] for c in sweeps.CONTROLS
    }
    np.testing.assert_array_equal(kept["ignored"], ~kept[""])
    np.testing.assert_array_equal(kept["leaky"], select(responses, "anova", keep=0.25).masks["relu7"])
    assert (kept["shuffled"] != kept[""]).any()


def test_random_maps_are_drawn_anew_in_every_fold(make_responses):
    responses = make_responses({"relu6": 40})
    select_random = selector(Cell("random", 0.25, seed=3), responses)
    masks = [select_random(responses.take(responses.folds != fold)).masks["relu6"] for fold in (1, 2, 1)]
    assert (masks[0] != masks[1]).any()
    np.testing.assert_array_equal(masks[0], masks[2])


def test_scores_shared_between_fractions_change_nothing(make_responses):
    responses = make_responses()
    cells = [
        Cell("anova", keep, seed, c) for keep in (0.25, 0.5) for c in ("", "shuffled") for seed in (0, 1)
    ]
    assert sweep(responses, cells) == [result for cell in cells for result in sweep(responses, [cell])]


def test_perturbed_cells_are_selected_and_evaluated_on_perturbed_responses(make_responses):
    responses = make_responses()
    cells = [Cell("anova", 0.25, seed, "perturbed") for seed in (1, 0)]
    cells.insert(1, Cell("anova", 0.5))
    seen = responses.perturb(1), responses, responses.perturb(0)
    for got, cell, where in zip(sweep(responses, cells), cells, seen, strict=True):
        expected = cross_validate(where, lambda part, k=cell.keep: select(part, "anova", keep=k))
        assert (got["seed"], got["keep"], got["control"]) == (cell.seed, cell.keep, cell.control)
        np.testing.assert_array_equal(unpack_correct(got, "all"), expected.correct())


def test_store_is_used_and_goes_on_after_a_kill(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    cells = make_cells("random", 0.3, seeds=3)
    expected = sweep(responses, cells, store=tmp_path)
    store = kept_file("sweep", responses, tmp_path)
    lines = store.read_text().splitlines()
    assert len(lines) == 4
    store.write_text("\n".join(lines[:3]) + "\n" + lines[3][:50])  # killed while writing the last cell
    computed = []
    plain = sweeps.cross_validate_many
    monkeypatch.setattr(
        sweeps, "cross_validate_many", lambda r, s, **o: computed.append(len(s)) or plain(r, s, **o)
    )
    assert sweep(responses, cells, store=tmp_path) == expected
    assert computed == [1]
    assert store.read_text().splitlines() == lines


def test_what_is_kept_of_other_responses_stays_and_is_taken_up_again(make_responses, tmp_path):
    cells, one, other = make_cells("random", 0.3, seeds=1), make_responses(), make_responses()
    other.provenance["parameters"]["channel"] = "left"
    sweep(one, cells, store=tmp_path)
    (kept,) = tmp_path.iterdir()
    assert kept == kept_file("sweep", one, tmp_path)
    with pytest.raises(DataError, match="computed from other responses"):
        load_results(kept, Cell, other)
    before = kept.read_text()
    sweep(other, cells, store=tmp_path)
    sweep(one, cells, store=tmp_path)
    assert kept.read_text() == before
    assert {kept, kept_file("sweep", other, tmp_path)} == {*tmp_path.iterdir()}


def test_files_from_before_the_sums_were_renamed_are_read(make_responses, tmp_path):
    responses, cells = make_responses(), make_cells("random", 0.3, seeds=2)
    expected = sweep(responses, cells, store=tmp_path)
    store = kept_file("sweep", responses, tmp_path)
    before = store.read_text().replace('"all"', '"15 taps"')
    store.write_text(before)
    assert sweep(responses, cells, store=tmp_path) == expected
    assert store.read_text() == before


def test_damaged_store(make_responses, tmp_path):
    store = kept_file("sweep", make_responses(), tmp_path)
    sweep(make_responses(), make_cells("random", 0.3, seeds=1), store=tmp_path)
    store.write_text(store.read_text() + "not json\n")
    with pytest.raises(DataError, match=r"not a file of results, or damaged .* remove it to start again"):
        load_results(store, Cell, make_responses())
    store.write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="not a file of results, or damaged"):
        load_results(store, Cell, make_responses())
    store.write_text('{"kind": "sw')  # killed while writing its first line
    assert len(sweep(make_responses(), make_cells("random", 0.3, seeds=1), store=tmp_path)) == 1
    assert len(load_results(store, Cell, make_responses())) == 1


def test_bundled_cells_are_recomputed(esc10):
    """A cell of the committed sweep, drawn by a fixed seed, comes out again."""
    stored = load_results(committed_file("sweep", esc10), Cell, esc10)
    cell = sample_cells([cell for cell in stored if cell.criterion == "anova" and not cell.control], seed=0)[
        0
    ]
    fresh = cross_validate(esc10, selector(cell, esc10))
    assert fresh.accuracy() == pytest.approx(stored[cell]["accuracy"]["all"], abs=0.01)


def test_sample_has_every_control_and_kind_of_criterion(esc10):
    stored = load_results(committed_file("sweep", esc10), Cell, esc10)
    sample = sample_cells(stored, seed=0)
    assert {cell.control for cell in sample} == set(sweeps.CONTROLS)
    assert any(sweeps.find_criterion(c.criterion).needs != "responses" for c in sample)
    assert any(c.criterion == "random" for c in sample)
    assert sample == sample_cells(reversed(stored), seed=0) != sample_cells(stored, seed=1)
    assert len(sample) <= 10


def test_without_a_bar_it_says_how_much_there_is_to_do(make_responses, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sweep_store, "ANNOUNCE_CELLS", 2)
    # The first result comes late, as what loads the audio does; those after it take a minute each.
    clock = SimpleNamespace(perf_counter=iter([5000.0, 5060.0, 5120.0, 5180.0, 5240.0]).__next__)
    monkeypatch.setattr(sweep_store, "time", clock)
    sweep(make_responses(), make_cells("random", 0.3, seeds=5), store=tmp_path)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "at work: sweep: 5 of 5 cells are to be computed"
    assert second == "at work: sweep: about 2 minutes for the other 2"
    sweep(make_responses(), make_cells("random", 0.3, seeds=5), store=tmp_path)
    assert capsys.readouterr().out == ""


def test_criteria_that_need_more_than_responses(make_responses):
    responses = make_responses()
    best = {"relu6": [3], "relu7": [5, 6]}
    scores = {
        (name, fold): {
            tap: MapScores(np.isin(np.arange(n), best[tap]) * (fold + 1.0))
            for tap, n in (("relu6", 12), ("relu7", 20))
        }
        for name, fold in [("l1", 0), *(("apoz", fold) for fold in range(1, 6))]
    }
    fold_scores = FoldScores(scores, {})
    training = responses.take(responses.folds != 2)
    for name in ("l1", "apoz"):
        masks = selector(Cell(name, 0.1), responses, fold_scores)(training).masks
        assert np.flatnonzero(masks["relu6"]).tolist() == [3]
        assert np.flatnonzero(masks["relu7"]).tolist() == [5, 6]
    with pytest.raises(DataError, match="'l1' is not computed from responses: give fold scores"):
        selector(Cell("l1", 0.1), responses)
    with pytest.raises(DataError, match="no control 'leaky'"):
        selector(Cell("l1", 0.1, 0, "leaky"), responses, fold_scores)


def test_full_ignores_what_is_bundled(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    sweep(responses, make_cells("random", 0.3, seeds=1), store=tmp_path)
    (store,) = tmp_path.iterdir()
    monkeypatch.setattr(sweeps, "committed_file", lambda kind, r: store)
    monkeypatch.setattr(sweeps, "cross_validate_many", None)
    assert len(sweep(responses, make_cells("random", 0.3, seeds=1))) == 1
    with pytest.raises(TypeError, match="not callable"):
        sweep(responses, make_cells("random", 0.3, seeds=1), full=True)
