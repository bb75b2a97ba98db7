"""The house: which folder may know of which, and who knows SoundNet."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dha_utils.core.paths import repository

STAGES = (
    "core", "datasets", "audio", "networks", "responses", "criteria", "evaluation", "pruning", "studies", "figures",
    "findings", "book", "cli",
)  # fmt: skip
"""The folders of the package in the order in which data flows."""

PACKAGE = repository() / "dha_utils"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imports(module: Path) -> Iterator[str]:
    """Yield the dotted names, after the package's own, of all that a module imports from the package."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            names = [f"{node.module}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        yield from (name.removeprefix("dha_utils.") for name in names if name.startswith("dha_utils."))


def test_every_module_is_in_a_folder_that_is_a_stage():
    assert {module.parts[0] for module in MODULES} == {*STAGES, "__init__.py", "paper.py"}


@pytest.mark.parametrize("module", [m for m in MODULES if len(m.parts) > 1], ids=str)
def test_imports_run_one_way(module):
    own = STAGES.index(module.parts[0])
    upwards = [name for name in imports(module) if name.split(".")[0] in STAGES[own + 1 :]]
    assert not upwards, f"{module} imports from a later stage: {upwards}"


def test_soundnet_is_known_by_few():
    knowing = [m for m in MODULES if any(name.startswith("networks.soundnet") for name in imports(m))]
    assert len([m for m in knowing if m.parts[0] != "networks"]) <= 3, knowing
