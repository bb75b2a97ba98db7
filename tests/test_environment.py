"""The three files that say what is needed must say the same."""

import re
import subprocess
import tomllib
from importlib.metadata import distributions

import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

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


def locked():
    """Name -> version."""
    lines = (repository() / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_lock_satisfies_pyproject():
    assert "setuptools" in locked()  # `make` installs the package without build isolation
    for requirement in map(Requirement, REQUIREMENTS):
        assert requirement.specifier.contains(locked()[canonicalize_name(requirement.name)]), requirement


def test_lock_takes_the_oldest_python():
    """So say those that are installed here at the version of the lock: after `make`, all."""
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    wanted = locked()
    takes = {
        canonicalize_name(one.name): SpecifierSet(one.metadata.get("Requires-Python") or "")
        for one in distributions()
        if one.version.partition("+")[0] == wanted.get(canonicalize_name(one.name))  # torch 2.13.0+cpu
    }
    assert len(takes) > len(wanted) / 2
    assert [name for name, pythons in takes.items() if not pythons.contains(oldest)] == []


def test_an_environment_of_another_python_is_cleared(tmp_path):
    """`make PYTHON=...` after a failure: an environment of the same Python is gone on with, of another one it is not."""
    (tmp_path / "Makefile").write_bytes((repository() / "Makefile").read_bytes())
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    for name, release in (("old", "3.11"), ("new", "3.12")):
        # Prints its release when asked for it, and what it is told to do otherwise.
        does = f'case "$*" in *base_prefix*) echo {release};; *venv*) echo "made: $*";; esac'
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    python.symlink_to(tmp_path / "old")
    for name, told in (("old", "made: -m venv .venv"), ("new", "made: -m venv --clear .venv")):
        done = subprocess.run(
            ["make", ".venv/.ready", f"PYTHON=./{name}"], cwd=tmp_path, capture_output=True, text=True
        )
        assert told in done.stdout.splitlines(), done.stderr
        (tmp_path / ".venv" / ".ready").unlink()


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
