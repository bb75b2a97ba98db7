"""Sound files as people have them: all that is there is read, or one line says what is missing."""

import os

import numpy as np
import pytest
import soundfile
from peculiar import CASES, HIGH, LOW

from dha_utils.audio.inspection import check_sound
from dha_utils.audio.waveforms import load_audio, stream_audio
from dha_utils.core.errors import AudioError


def pitch(sound: np.ndarray, rate: int) -> float:
    """Return the frequency that is loudest, in Hz."""
    return np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() * rate / len(sound)


@pytest.mark.parametrize("name", CASES)
def test_all_that_is_there_is_read_or_one_line_says_what_is_missing(tmp_path, name, capfd):
    case = CASES[name]
    path = tmp_path / f"a.{case.ending}"
    path.write_bytes(case.content())
    if case.fault:
        for read in (check_sound, lambda path: load_audio(path, 22_050)):
            with pytest.raises(AudioError, match=case.fault) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")
            assert "\n" not in str(caught.value)
        assert capfd.readouterr() == ("", "")  # decoders write what they think
        return
    rate, seconds, odd = check_sound(path)
    sound = load_audio(path, rate)
    assert seconds == len(sound) / rate == pytest.approx(case.seconds, abs=0.03)
    assert list(odd) == [case.note] * bool(case.note)
    scale = rate / 22_050 if name.endswith(("Opus", "GSM")) else 1
    assert pitch(sound[rate // 10 : rate // 2], rate) == pytest.approx(LOW * scale, abs=5)
    end = len(sound) - rate // 10
    assert pitch(sound[end - rate // 4 : end], rate) == pytest.approx(HIGH * scale, abs=10)
    np.testing.assert_array_equal(np.concatenate(list(stream_audio(path, rate, frames=3_000))), sound)
    assert capfd.readouterr() == ("", "")


def test_an_ogg_file_that_ends_with_a_whole_page_is_read_with_a_note(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 88_200), 44_100)
    content = path.read_bytes()
    path.write_bytes(content[: content.rfind(b"OggS")])
    rate, seconds, odd = check_sound(path)
    assert (rate, odd) == (44_100, {"unmarked": ""})
    assert 1 < seconds < 2


def test_a_name_that_no_system_takes_is_one_line(tmp_path):
    with pytest.raises(AudioError, match=r"cannot be read \(File name too long\)"):
        load_audio(tmp_path / ("a" * 300), 22_050)
    strange = tmp_path / os.fsdecode(b"\xe9t\xe9.wav")
    strange.write_bytes(CASES["WAV: half the size"].content())
    assert len(load_audio(strange, 22_050)) == 33_075


def test_an_unbelievable_rate_asks_for_no_memory(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(CASES["WAV: 2 GHz"].content())
    with pytest.raises(AudioError, match="mend the header"):
        load_audio(path, 22_050, 5.0)
