import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from dha_utils.core.paths import atomic_write, bundled, cache_dir, data_dir, fetch_dir, repository, write_json


def test_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("DHA_CACHE", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache"


@pytest.mark.parametrize("value", [None, ""])
def test_cache_is_the_platforms_by_default(monkeypatch, value):
    monkeypatch.delenv("DHA_CACHE", raising=False)
    if value is not None:
        monkeypatch.setenv("DHA_CACHE", value)
    assert cache_dir() == Path(platformdirs.user_cache_dir("dha")).resolve()


def test_data_is_where_the_environment_says_and_nowhere_else(monkeypatch, tmp_path):
    monkeypatch.setenv("DHA_DATA", str(tmp_path))
    assert data_dir() == tmp_path
    monkeypatch.setenv("DHA_DATA", "")
    assert data_dir() is None
    monkeypatch.delenv("DHA_DATA")
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name: str(tmp_path / name))
    assert data_dir() is None
    assert fetch_dir() == tmp_path / "dha"
    fetch_dir().mkdir()
    assert data_dir() == tmp_path / "dha"  # what was fetched is found


@pytest.mark.parametrize("variable", ["DHA_CACHE", "DHA_DATA"])
def test_home_and_relative_paths_become_absolute(monkeypatch, tmp_path, variable):
    folder = {"DHA_CACHE": cache_dir, "DHA_DATA": data_dir}[variable]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for value in ("~/sounds", "sounds"):
        monkeypatch.setenv(variable, value)
        assert folder() == tmp_path / "sounds"


def test_repository_holds_the_project():
    assert (repository() / "pyproject.toml").is_file()
    assert (repository() / "dha_utils" / "core" / "paths.py").is_file()
    assert bundled("esc10") == repository() / "data" / "esc10"


@pytest.mark.parametrize("kind", [Path, str])
def test_atomic_write_makes_folders_and_leaves_the_file_alone(tmp_path, kind):
    target = tmp_path / "a" / "b" / "numbers.json"
    with atomic_write(kind(target)) as temporary:
        temporary.write_text("new")
        assert temporary.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["numbers.json"]


def test_atomic_write_keeps_the_old_file_on_an_error(tmp_path):
    target = tmp_path / "numbers.json"
    target.write_text("old")

    def half_written():
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half_written()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["numbers.json"]


def test_atomic_write_gives_two_writers_their_own_files(tmp_path):
    target = tmp_path / "numbers.json"
    with atomic_write(target) as one, atomic_write(target) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert target.read_text() == "one"  # the outer block ends last
    assert os.listdir(tmp_path) == ["numbers.json"]


def test_atomic_write_gives_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with atomic_write(tmp_path / "ours") as temporary:
        temporary.write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


WRITER = """
import os, sys, time
from dha_utils.core.paths import atomic_write
with atomic_write(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("there", flush=True)
    time.sleep(60)
"""


def test_what_a_kill_has_left_is_removed_and_what_is_at_work_is_not(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "a-b.json"], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"there\n"
        others = [".a.json.part", f".a.json.{'0' * 8}-1-{'0' * 8}.part", ".a.json.uploading.part"]
        for name in others:
            (tmp_path / name).touch()
        writers[0].kill()
        writers[0].wait()
        left = {path.name for path in tmp_path.glob(f".a-b.json.*-{writers[0].pid}-*")}
        assert len(left) == 1
        before = {*os.listdir(tmp_path)}
        write_json(tmp_path / "other.json", 1)
        assert {*os.listdir(tmp_path)} == before - left | {"other.json"}
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
