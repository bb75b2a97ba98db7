"""Files as people have them, collected from public bug reports: generators that lie beside this repository."""

import runpy
import sys
from pathlib import Path

import pytest

from dha_utils.core.paths import repository

CASES = repository().parent / "shared" / "cases"

NEEDED = pytest.mark.skipif(not CASES.is_dir(), reason=f"there are no generators of cases in {CASES}")


def make_case(monkeypatch, kind: str, folder: Path, *arguments: str) -> Path:
    """Run a generator, which writes into `folder`."""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["make.py", str(folder), *arguments])
        patch.setattr(sys, "path", [*sys.path])
        runpy.run_path(str(CASES / kind / "make.py"))
    return folder
