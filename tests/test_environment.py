"""The three files that say what is needed must say the same."""

import re
import tomllib

import yaml
from packaging.requirements import Requirement

from dha_utils.core.paths import repository

PROJECT = tomllib.loads((repository() / "pyproject.toml").read_text())["project"]
REQUIREMENTS = {
    *PROJECT["dependencies"],
    *(r for name, extra in PROJECT["optional-dependencies"].items() if name != "lab" for r in extra),
}
"""Of what `make` installs: JupyterLab comes on top where somebody wants it."""


def test_environment_yml_equals_pyproject():
    conda = yaml.safe_load((repository() / "environment.yml").read_text())["dependencies"]
    *names, pip = conda
    assert names == [f"python{PROJECT['requires-python']}", "pip"]
    assert sorted(pip["pip"]) == sorted([*REQUIREMENTS, "--editable ."])


def test_lock_satisfies_pyproject():
    lines = (repository() / "requirements.lock").read_text().splitlines()
    locked = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    assert "setuptools" in locked  # `make` installs the package without build isolation
    for requirement in map(Requirement, REQUIREMENTS):
        assert requirement.specifier.contains(locked[requirement.name.lower()]), requirement


def test_nothing_names_a_machine():
    """Paths, hosts and the like have no place in the repository."""
    suspicious = re.compile(r"/(?:root|home|work)/|/tmp/[a-z]+/|/opt/|pypi\.org|npmjs")
    folders = ("dha_utils", "notebooks", "benchmarks", "book", "data", ".ci")
    files = [repository() / name for name in ("README.md", "Makefile", "pyproject.toml", "requirements.lock")]
    for folder in folders:
        files += [
            path
            for path in (repository() / folder).rglob("*")
            if path.suffix in {".py", ".md", ".ipynb", ".json"}
        ]
    kept = [path for path in files if "executed" not in path.parts]
    assert [path.name for path in kept if suspicious.search(path.read_text(encoding="utf-8"))] == []
