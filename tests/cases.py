"""Files as people have them, collected from public bug reports: generators that lie beside this repository."""

import runpy
import sys
from pathlib import Path

import pytest

from dha_utils.core.paths import repository

CASES = repository().parent / "shared" / "cases"

GENERATORS = {
    "audio_formats": "tests/cli/test_peculiar_sounds.py",
    "chained_streams": "tests/cli/test_peculiar_sounds.py",
    "corrected_labels": "tests/studies/test_grid.py",
    "dollar_labels": "tests/figures/test_figures.py",
    "file_names": "tests/datasets/test_folder.py",
    "flac_of_unknown_length": "tests/cli/test_peculiar_sounds.py",
    "gsm_wav": "tests/cli/test_peculiar_sounds.py",
    "mp3_without_length_header": "tests/cli/test_peculiar_sounds.py",
    "ogg_without_end": "tests/cli/test_peculiar_sounds.py",
    "split_folders": "tests/datasets/test_folder.py",
    "tables": "tests/datasets/test_table.py",
    "wav_headers": "tests/cli/test_peculiar_sounds.py",  # of their content: tests/audio/test_oddities.py
}
"""Generator -> the file of tests that has its cases with what is to come of them."""

NEEDED = pytest.mark.skipif(not CASES.is_dir(), reason=f"there are no generators of cases in {CASES}")


def make_case(monkeypatch, kind: str, folder: Path, *arguments: str) -> Path:
    """Run a generator, which writes into `folder`."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["make.py", str(folder), *arguments])
        patch.setattr(sys, "path", [*sys.path])
        runpy.run_path(str(CASES / kind / "make.py"))
    return folder
