"""Small files as ffmpeg and SoX write them, to files and to pipes: read whole, or named and the remedy said."""

from pathlib import Path

import numpy as np
import pytest

from dha_utils.audio.inspection import check_sound
from dha_utils.audio.waveforms import load_audio
from dha_utils.core.errors import AudioError
from dha_utils.datasets.folder import SUFFIXES

FILES = sorted(path for path in Path(__file__).parents[1].glob("written_by_others/*") if path.suffix != ".md")

REFUSED = {
    "aac.aac": "AAC",
    "aac.m4a": "MPEG-4 audio",
    "aacinwav.wav": "WAV of coding 0x00ff",
    "ac3.ac3": "AC-3",
    "adpcm_yamaha.wav": "WAV of coding 0x0020",
    "alac.m4a": "MPEG-4 audio",
    "amr.amr": "AMR",
    "flacinogg.ogg": "FLAC in Ogg",
    "g722.wav": "WAV of coding 0x028f",
    "g726.wav": "WAV of coding 0x0045",
    "opus.mka": "Matroska or WebM",
    "opus.webm": "Matroska or WebM",
    "tta.tta": "True Audio",
    "wma.wma": "Windows Media",
    "wv.wv": "WavPack",
}
FRAMES = {"mp2.mp2": 1.512, "mp3inwav.wav": 0.288, "noxing.mp3": 0.288, "pipe.mp3": 0.288}
"""Seconds of MPEG audio whose header does not say how much of it the encoder put before and behind the sound."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_other_programs(path, capfd):
    if path.name in REFUSED:
        with pytest.raises(AudioError, match=f"{REFUSED[path.name]}: convert it to WAV or FLAC") as caught:
            check_sound(path)
        assert "\n" not in str(caught.value)
        return
    assert path.suffix in SUFFIXES
    rate, seconds, odd = check_sound(path)
    sound = load_audio(path, rate)
    assert odd == {}
    assert seconds == len(sound) / rate == pytest.approx(FRAMES.get(path.name, 0.1), abs=0.001)
    assert np.abs(sound).max() == pytest.approx(0.3, abs=0.08)
    assert capfd.readouterr() == ("", "")
