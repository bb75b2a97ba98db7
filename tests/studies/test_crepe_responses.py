import numpy as np
import pytest

from dha_utils.audio.inspection import identify
from dha_utils.core.errors import DataError
from dha_utils.core.paths import bundled, cache_dir, data_dir
from dha_utils.datasets import load_clips
from dha_utils.networks.crepe import CREPE, WIDTHS
from dha_utils.responses.table import Responses
from dha_utils.studies.crepe_responses import FILE, keep_crepe, load_crepe_responses


def test_what_is_bundled_are_responses_of_crepe_to_the_same_clips(esc10):
    responses = load_crepe_responses("esc10")
    assert [responses[tap].shape[1] for tap in responses.taps] == [*WIDTHS["crepe"]]
    assert responses.provenance["network"] == "crepe"
    assert responses.table.equals(esc10.table)
    assert (bundled("esc10") / FILE).stat().st_size < 8e6


def test_of_another_data_set_there_are_none():
    with pytest.raises(DataError, match=r"crepe.safetensors: no such file"):
        load_crepe_responses("esc50")


@pytest.mark.skipif(not data_dir(), reason="no audio: set DHA_DATA")
@pytest.mark.skipif(
    not (cache_dir() / CREPE.parts[0].file).exists(), reason="no weights of CREPE: run `dha fetch crepe`"
)
def test_what_is_bundled_is_what_is_extracted(tmp_path):
    held = load_crepe_responses("esc10")
    clips = identify(load_clips("esc10").take([3]))
    keep_crepe(clips, tmp_path)
    found = Responses.load(tmp_path / FILE)
    assert found.provenance["weights_sha256"] == held.provenance["weights_sha256"]
    assert found.provenance["parameters"] == held.provenance["parameters"]
    assert found.table["sound"].tolist() == held.table["sound"].tolist()[3:4]
    for tap in held.taps:
        scale = np.abs(held[tap]).max()
        np.testing.assert_allclose(found[tap], held[tap][3:4], rtol=0, atol=1e-5 * scale, err_msg=tap)
