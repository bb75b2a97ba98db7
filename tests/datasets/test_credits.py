"""Who recorded the clips: both forms of the list, and clips that may not be handed on."""

import pytest

from dha_utils.core.paths import data_dir
from dha_utils.datasets.credits import Credit, credited_clips, read_credits

README = (
    "- **[1-100032-A.ogg](https://example.org/1-100032-A.ogg)**:   clip derived from [rose_bark (2).wav]"
    "(http://www.freesound.org/people/nfrae/sounds/100032/) by *nfrae* ([CC0](http://creativecommons.org/publicdomain/zero/1.0/))\n"
    "- **[2-4-B.ogg](https://example.org/2-4-B.ogg)**:   clip derived from [x.wav](http://www.freesound.org/people/b/sounds/4/) "
    "by *b* ([CC-Sampling+](http://creativecommons.org/licenses/sampling+/1.0/))\n"
)
LICENSE = (
    "101 - Dog:\n- [1-30344-A.ogg]: clip derived from My Dog George.wav (http://www.freesound.org/people/ronfont/sounds/30344/) "
    "by ronfont the 2nd [CC-BY]\n"
)


def test_both_lists_are_read(tmp_path):
    (tmp_path / "README.md").write_text(README, "utf-8")
    (tmp_path / "LICENSE.txt").write_text(LICENSE, "utf-8")
    where = "http://www.freesound.org/people"
    assert read_credits(tmp_path) == {
        "1-100032-A": Credit("rose_bark (2).wav", "nfrae", "CC0", f"{where}/nfrae/sounds/100032/"),
        "1-30344-A": Credit(
            "My Dog George.wav", "ronfont the 2nd", "CC-BY", f"{where}/ronfont/sounds/30344/"
        ),
    }


def test_without_audio_there_is_nobody_to_credit(monkeypatch):
    monkeypatch.setenv("DHA_DATA", "")
    assert credited_clips("esc10") is None


def test_all_clips_of_esc10_but_two_may_be_handed_on():
    if data_dir() is None:
        pytest.skip("the audio of ESC-10 is not at hand")
    clips, credits = credited_clips("esc10")
    assert len(clips) - len({*credits} & {*clips.table["clip"]}) == 2
