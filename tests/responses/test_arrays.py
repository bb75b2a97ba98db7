import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import dha_utils as dha
from dha_utils.core.errors import DataError, ParameterError
from dha_utils.criteria.selection import select
from dha_utils.datasets.clips import Clips
from dha_utils.evaluation.crossvalidation import cross_validate
from dha_utils.networks.base import Network
from dha_utils.responses.arrays import responses_of
from dha_utils.responses.extraction import extract_responses
from dha_utils.studies.sweeps import Cell, cells, sweep


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network.wrap(
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3), nn.ReLU()), (1, 8, 8)
    )


@pytest.fixture(scope="module")
def arrays():
    """Two classes: stripes along either axis, in noise."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    stripes = np.tile(np.arange(8) % 2, (8, 1))
    pictures = np.stack([stripes if label else stripes.T for label in y])[:, None]
    return pictures + 0.3 * rng.normal(size=pictures.shape), np.where(y, "across", "along")


@pytest.fixture(scope="module")
def responses(network, arrays):
    return responses_of(network, *arrays)


def test_they_are_averages_of_maps(network, arrays, responses):
    maps = dict(network.features(torch.from_numpy(arrays[0]).float()))
    for tap in network.taps:
        np.testing.assert_allclose(responses[tap], maps[tap].mean((2, 3)), rtol=1e-5, atol=1e-6)
    assert responses.classes == ["across", "along"]
    assert responses.test_folds == [1, 2, 3, 4, 5]
    assert responses_of(network, torch.from_numpy(arrays[0]), arrays[1])["1"] == pytest.approx(responses["1"])


def test_the_whole_question_is_asked_of_them(responses, tmp_path):
    assert cross_validate(responses, lambda part: select(part, "anova", keep=0.5)).accuracy() > 0.9
    for name, criterion in dha.CRITERIA.items():
        if criterion.needs == "responses":
            assert {tap: mask.sum() for tap, mask in select(responses, name, keep=0.5).masks.items()} == {
                "1": 4,
                "3": 6,
            }
    asked = [
        *cells("random", 0.5, seeds=2, classifier="least_squares"), Cell("anova", 0.5, 0, "permuted", "least_squares")
    ]  # fmt: skip
    done = sweep(responses, asked, store=tmp_path)
    assert [cell["ignored"] for cell in done] == [0.5] * 3
    assert sweep(responses, asked, store=tmp_path) == done


def test_they_are_kept(responses, tmp_path):
    responses.save(tmp_path / "responses.safetensors")
    again = type(responses).load(tmp_path / "responses.safetensors")
    assert again.provenance == responses.provenance
    assert again.provenance["network"] == "Sequential"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": ["a"]}, "y has length 1, x holds 60: one for each"),
        ({"folds": [1, 2]}, "folds has length 2, x holds 60"),
        ({"x": np.full((60, 1, 8, 8), np.nan)}, "x holds values that are not finite, the first in row 0"),
        ({"x": np.zeros((60, 8, 8))}, r"inputs have shape \(1, 8, 8\), expected \(clips, 1, 8, 8\)"),
        ({"folds": [1] * 60}, "all clips are in fold 1"),
    ],
)
def test_what_does_not_fit_is_said(network, arrays, change, message):
    given = {"x": arrays[0], "y": arrays[1]} | change
    with pytest.raises(DataError, match=message):
        responses_of(network, **given)


def test_a_network_of_arrays_hears_no_files(network, tmp_path):
    table = {"clip": ["a"], "path": ["a.wav"], "label": ["b"], "fold": [1], "recording": ["a"]}
    with pytest.raises(
        ParameterError, match=r"network 'Sequential' takes arrays, not sounds: use dha.responses_of"
    ):
        extract_responses(Clips("own", tmp_path, pd.DataFrame(table)), network)
