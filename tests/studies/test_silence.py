from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from dha_utils.audio.inspection import identify
from dha_utils.audio.views import HOP, N_FFT
from dha_utils.core.errors import DataError
from dha_utils.criteria import CRITERIA
from dha_utils.datasets import load_clips
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.table import Responses
from dha_utils.studies import silence as module
from dha_utils.studies.silence import (
    adjusted_f,
    adjusted_selector,
    class_table,
    correlations,
    explained_by_class,
    extract_trimmed,
    headline_table,
    load_silence,
    predict_by_silence,
    silent_frames,
    tap_table,
    trim_silence,
)
from dha_utils.studies.sweeps import Cell, fold_selections

RATE = 22_050


def tone(n: int, level: float) -> np.ndarray:
    return (level * np.sin(np.arange(n) / 5)).astype(np.float32)


def test_frames_are_silent_below_the_floor():
    """60 dB below full scale is a root mean square of 0.001, a sine of amplitude 0.0014."""
    assert silent_frames(tone(RATE, 0.0013)).all()
    assert not silent_frames(tone(RATE, 0.0015)).any()
    n = 40 * HOP
    waveform = np.concatenate([tone(n, 0.5), np.zeros(n, np.float32)])
    naive = [
        np.sqrt(np.mean(waveform[i : i + N_FFT].astype(float) ** 2)) < 1e-3
        for i in range(0, len(waveform) - N_FFT + 1, HOP)
    ]
    assert silent_frames(waveform).tolist() == naive
    assert silent_frames(np.zeros(10, np.float32)).tolist() == [True]


def test_what_is_left_is_repeated():
    n = 40 * HOP
    waveform = np.concatenate([tone(n, 0.5), np.zeros(2 * n + 100, np.float32)])
    trimmed = trim_silence(waveform)
    assert trimmed.shape == waveform.shape
    assert not silent_frames(trimmed).any()
    silent = silent_frames(waveform)
    heard = waveform[: np.flatnonzero(~silent)[-1] * HOP + N_FFT]
    np.testing.assert_array_equal(trimmed, np.resize(heard, len(waveform)))


def test_pauses_are_cut_out_and_the_end_stays():
    n = 40 * HOP
    waveform = np.concatenate([tone(n, 0.5), np.zeros(n, np.float32), tone(n + 100, 0.5)])
    trimmed = trim_silence(waveform)
    around = 2 * (N_FFT - 1) + 2 * HOP  # of the pause, what shares frames with sound
    assert np.count_nonzero(trimmed == 0) < around * len(waveform) / (2 * n)
    last = waveform[-1]
    assert last in trimmed


def test_sounds_without_silence_and_nothing_but_silence_stay():
    for waveform in (tone(RATE, 0.5), np.zeros(RATE, np.float32), np.zeros(10, np.float32)):
        np.testing.assert_array_equal(trim_silence(waveform), waveform)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_adjusted_f_is_that_of_statsmodels(n_classes):
    rng = np.random.default_rng(0)
    y = np.arange(40) % n_classes
    covariate = rng.uniform(size=40) + 0.3 * y
    x = rng.normal(size=(40, 3)) + np.outer(covariate, [0, 1, 2]) + 0.5 * y[:, None]
    for j in range(3):
        frame = pd.DataFrame({"r": x[:, j], "s": covariate, "y": y})
        expected = anova_lm(smf.ols("r ~ s + C(y)", frame).fit(), typ=2).loc["C(y)", "F"]
        assert adjusted_f(x, y, covariate)[j] == pytest.approx(expected)


def test_adjusted_f_without_a_covariate_that_varies_is_anova():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    expected = CRITERIA["anova"].function(x, y, y, rng).score
    np.testing.assert_allclose(adjusted_f(x, y, np.full(30, 0.25)), expected)


def test_adjusted_f_is_undefined_where_nothing_is_left():
    rng = np.random.default_rng(2)
    y = np.arange(30) % 2
    covariate = rng.uniform(size=30)
    x = np.column_stack([np.ones(30), 2 * covariate + y, rng.normal(size=30)])
    f = adjusted_f(x, y, covariate)
    assert f[0] == f[1] == -np.inf
    assert np.isfinite(f[2])
    assert (adjusted_f(x, y, y.astype(float)) == -np.inf).all()  # silence is the class


def test_a_map_that_only_measures_silence_is_dropped(make_responses):
    responses = make_responses({"relu6": 12}, n_good=3)
    rng = np.random.default_rng(3)
    shares = (responses.y + rng.uniform(size=len(responses))) / 4
    x = responses["relu6"].copy()
    x[:, 5] = shares + 0.01 * rng.normal(size=len(x))
    responses = Responses({"relu6": x}, responses.table, responses.provenance)
    training = responses.take(responses.folds != 1)
    plain = fold_selections(responses, Cell("anova", 0.25))[1]
    adjusted = adjusted_selector(responses, shares, 0.25)(training)
    assert plain.masks["relu6"][5]
    assert not adjusted.masks["relu6"][5]
    assert adjusted.n_kept == plain.n_kept == 3


def test_correlations_are_those_of_numpy():
    rng = np.random.default_rng(4)
    x, shares = rng.normal(size=(25, 3)), rng.uniform(size=25)
    x[:, 1] = 2
    r = correlations(x, shares)
    assert np.isnan(r[1])
    for j in (0, 2):
        assert r[j] == pytest.approx(np.corrcoef(x[:, j], shares)[0, 1])
    assert np.isnan(correlations(x, np.full(25, 0.3))).all()


def test_tables_on_shares_that_follow_the_class(make_responses):
    responses = make_responses()
    shares = responses.y / 4.0
    assert explained_by_class(shares, responses.y) == pytest.approx(1)
    assert (predict_by_silence(responses, shares) == responses.y).mean() > 0.7
    table = class_table(responses, shares)
    assert table["label"].tolist() == ["class3", "class2", "class1", "class0"]
    assert table["without"].tolist() == [0, 0, 0, 1]
    selections = fold_selections(responses, Cell("anova", 0.25))
    taps = tap_table(responses, shares, selections, adjusted_selector(responses, shares, 0.25))
    assert taps["tap"].tolist() == ["relu6", "relu7"]
    training = responses.take(responses.folds != 1)
    r = np.abs(np.corrcoef(training["relu6"].T, shares[responses.folds != 1])[-1, :-1])
    first = tap_table(responses, shares, {1: selections[1]}, adjusted_selector(responses, shares, 0.25))
    assert first.loc[0, "all"] == pytest.approx(np.median(r), rel=1e-5)
    assert first.loc[0, "kept"] == pytest.approx(np.median(r[selections[1].masks["relu6"]]), rel=1e-5)
    assert ((taps["overlap"] >= 0) & (taps["overlap"] <= 1)).all()


def test_no_silence_anywhere_is_no_error(make_responses):
    responses = make_responses(n_classes=2, per_class=6)
    shares = np.zeros(12)
    assert explained_by_class(shares, responses.y) == 0
    assert len(predict_by_silence(responses, shares)) == 12
    selections = fold_selections(responses, Cell("anova", 0.25))
    taps = tap_table(responses, shares, selections, adjusted_selector(responses, shares, 0.25))
    assert (taps["overlap"] == 1).all()
    assert taps["all"].isna().all()


def test_headline():
    rng = np.random.default_rng(5)
    full, kept, draws = rng.random(50) < 0.9, rng.random(50) < 0.8, rng.random((6, 50)) < 0.7
    table = headline_table({"all": full, "kept": kept}, draws, np.arange(50) // 2).set_index("selection")
    assert list(table.index) == ["all", "kept", "random"]
    assert table.loc["kept", "change"] == pytest.approx(kept.mean() - full.mean())
    assert table.loc["kept", "difference"] == pytest.approx(kept.mean() - draws.mean())
    assert table.loc["all", ["change", "change_low", "change_high"]].tolist() == [0, 0, 0]
    assert table.loc["random", "accuracy"] == pytest.approx(draws.mean())


@pytest.fixture
def sounds(tmp_path):
    """Two classes of four clips; those of the second are half silent."""
    rng = np.random.default_rng(0)
    for label, silent in (("buzz", 0), ("tick", 1)):
        (tmp_path / "sounds" / label).mkdir(parents=True)
        for i in range(4):
            waveform = rng.uniform(-0.3, 0.3, RATE)
            waveform[RATE // 2 :] *= 1 - silent
            soundfile.write(tmp_path / "sounds" / label / f"{i}.wav", waveform, RATE)
    return tmp_path / "sounds"


def test_silence_is_measured_kept_and_found_again(sounds, random_network, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_network", lambda padding="input": random_network)
    clips = identify(load_clips(str(sounds)))
    responses = extract_responses(clips, model=random_network, duration=1.0)
    shares, trimmed = extract_trimmed(clips, rate=RATE, duration=1.0)
    assert (shares[:4] == 0).all()
    np.testing.assert_allclose(shares[4:], 0.5, atol=0.05)
    np.testing.assert_array_equal(trimmed["relu7"][:4], responses["relu7"][:4])
    assert (trimmed["relu7"][4:] != responses["relu7"][4:]).any()

    # Kept before the sum of all taps had its name of now.
    cells = [{"criterion": "anova", "accuracy": {"15 taps": 0.5}, "correct": {"15 taps": "f0"}}]
    monkeypatch.setattr(module, "sweep", lambda *arguments, **options: cells)
    made, source = load_silence(responses, tmp_path, dataset=str(sounds))
    assert source == "computed now"
    np.testing.assert_allclose(made.shares, shares, atol=1e-6)
    monkeypatch.setattr(module, "clips_of", None)
    again, source = load_silence(responses, tmp_path, dataset=str(sounds))
    assert source == "from an earlier run"
    assert again.trimmed == made.trimmed
    assert again.trimmed == [{"criterion": "anova", "accuracy": {"all": 0.5}, "correct": {"all": "f0"}}]
    np.testing.assert_array_equal(again.shares, made.shares)


def test_other_labels_or_a_damaged_file_are_not_taken(make_responses, tmp_path, monkeypatch):
    responses = make_responses()
    asked = []
    monkeypatch.setattr(module, "clips_of", lambda *a: asked.append(a))
    monkeypatch.setattr(module, "keep_silence", lambda *a, **o: SimpleNamespace(shares=None))
    for text in ("{", '{"key": 1, "shares": 2}', '{"key": 1, "shares": {"a": 0.5}, "trimmed": []}'):
        (tmp_path / "silence_22050.json").write_text(text)
        assert load_silence(responses, tmp_path)[1] == "computed now"
    assert len(asked) == 3


def test_without_audio_it_says_so(make_responses, tmp_path, monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    with pytest.raises(DataError, match="made-up"):
        load_silence(make_responses(), tmp_path)


def test_what_is_bundled_belongs_to_the_bundled_responses(esc10, tmp_path, monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    silence, source = load_silence(esc10, tmp_path)
    assert source == "from the bundled artifacts"
    assert explained_by_class(silence.shares, esc10.y) == pytest.approx(0.59, abs=0.005)
    assert [(cell["criterion"], cell["keep"], cell["seed"]) for cell in silence.trimmed] == [
        (cell.criterion, cell.keep, cell.seed) for cell in module.trimmed_cells()
    ]
