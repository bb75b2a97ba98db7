"""Every command, where the machine is not as it should be: one line that says what is wrong and what to do."""

import errno
import os
import signal
from contextlib import nullcontext

import pytest
from miniatures import make_sounds
from typer.testing import CliRunner

from dha_utils.cli.main import app

COMMANDS = {
    "fetch": (["esc10"], "datasets.fetch.fetch_dataset"),
    "extract": (["esc10", "-o", "x/"], "datasets.load_clips"),
    "inspect": (["esc10"], "datasets.load_clips"),
    "bundle": (["esc10"], "studies.bundle.make_bundle"),
    "grid": (["esc10"], "studies.grid.run_grid"),
    "prune": (["-o", "x.safetensors"], "studies.product.make_product"),
    "predict": (["x.safetensors", "y.wav"], "networks.registry.read_network"),
    "run": ([], "book.runner.run_notebooks"),
    "book": ([], "book.runner.run_notebooks"),
    "check": ([], "book.check.check"),
}
"""Command -> its arguments, and a function that it calls."""

ERRORS = {
    "folder without rights": (PermissionError(errno.EACCES, "Permission denied", "/x"), "'/x': Permission denied; see to its"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "/x"), "'/x': Read-only file system; choose another"),
    "full disk": (OSError(errno.ENOSPC, "No space left on device", "/x"), "'/x': No space left on device; make room"),
    "name too long": (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "'x': File name too long; give it a shorter"),
    "onnxruntime is missing": (ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime"), "No module named"),
    "libsndfile is missing": (OSError("cannot load library 'libsndfile.so'"), "cannot load library 'libsndfile.so'; install"),
}  # fmt: skip


def test_all_commands_are_walked():
    assert {one.name or one.callback.__name__ for one in app.registered_commands} == {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", ERRORS)
def test_faults_of_the_machine_are_one_line(command, fault, monkeypatch, tmp_path):
    arguments, function = COMMANDS[command]
    error, said = ERRORS[fault]

    def fail(*args, **kwargs):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHA_OUT", str(tmp_path))
    if command in ("run", "book"):
        monkeypatch.setattr("dha_utils.networks.weights.fetch_weights", lambda: None)
    monkeypatch.setattr(
        "dha_utils.core.cluster.connect", lambda *_: nullcontext()
    )  # no processes are started to fail
    monkeypatch.setattr(f"dha_utils.{function}", fail)
    result = CliRunner().invoke(app, [command, *arguments])
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True), result.exception
    assert result.stderr.splitlines()[-1].startswith(f"dha: {said}")


NAMES = {"latin1": os.fsdecode(b"chi\xedo"), "long": "x" * 300}
TAKING_SOUNDS = {
    "extract": ["{}", "-o", "out.safetensors"], "inspect": ["{}"], "bundle": ["{}"], "grid": ["{}"],
    "prune": ["{}", "-o", "x.safetensors"], "run": ["--dataset", "{}"], "book": ["--dataset", "{}"],
}  # fmt: skip


@pytest.mark.parametrize("command", TAKING_SOUNDS)
@pytest.mark.parametrize("kind", NAMES)
def test_names_of_sounds_are_one_line(command, kind, monkeypatch, tmp_path):
    folder = make_sounds(tmp_path / "mine", seconds=0.05)
    if kind == "latin1":
        os.rename(folder / "dog" / "dog0.wav", folder / "dog" / f"{NAMES[kind]}.wav")
    else:
        folder = tmp_path / NAMES[kind]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHA_OUT", str(tmp_path / "out"))
    monkeypatch.setattr("dha_utils.networks.weights.fetch_weights", lambda: None)
    arguments = [argument.format(folder) for argument in TAKING_SOUNDS[command]]
    result = CliRunner().invoke(app, [command, *arguments])
    assert (result.exit_code, isinstance(result.exception, SystemExit)) == (1, True), result.exception
    last = result.stderr.splitlines()[-1]
    assert last.startswith("dha: ")
    assert any(said in last for said in ("names that are not UTF-8", "there is no", "File name too long"))


@pytest.mark.parametrize("command", ["run", "book"])
def test_what_cannot_be_written_is_asked_before_the_work(command, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DHA_OUT", str(tmp_path / "file"))
    monkeypatch.setenv("DHA_DATA", "")
    monkeypatch.setattr("dha_utils.networks.weights.fetch_weights", lambda: None)
    result = CliRunner().invoke(app, [command, "--dataset", "esc10"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"dha: {tmp_path}/file/")
    assert line.endswith("cannot be written (Not a directory); see to its rights, or set DHA_OUT to a folder for results, "
                         "executed notebooks and books")  # fmt: skip


def test_a_request_to_end_is_taken_as_ctrl_c_is(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        "dha_utils.datasets.fetch.fetch_dataset", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    result = CliRunner().invoke(app, ["fetch", "esc10"])
    assert (result.exit_code, result.stderr) == (130, "\ndha: interrupted\n")
    assert signal.getsignal(signal.SIGTERM) is before
