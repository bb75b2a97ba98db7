import errno
import os
import shlex
import subprocess
import sys

import pytest

from dha_utils.core import surroundings
from dha_utils.core.errors import DhaError
from dha_utils.core.paths import out_dir, probe_folder, repository, require_writable
from dha_utils.core.surroundings import (
    INSTEAD,
    LEFT_OUT,
    fault_of_machine,
    give_matplotlib_a_cache,
    give_numba_a_cache,
    left_out,
    socket_folder,
)


def test_what_a_user_has_set_up_is_left_out_and_the_rest_is_not():
    theirs = dict.fromkeys(LEFT_OUT, "x") | {"DHA_DATA": "/x", "OMP_NUM_THREADS": "3", "PYTHONPATH": "/y"}
    assert left_out(theirs) == {
        "DHA_DATA": "/x", "OMP_NUM_THREADS": "3", "PYTHONPATH": "/y", **INSTEAD
    }  # fmt: skip


def test_warnings_that_are_errors_elsewhere_are_none_here():
    code = (
        "import dha_utils.cli, os, warnings; warnings.warn('old', DeprecationWarning); warnings.warn('mind');"
        "print('犬 \\udced'); print('MPLBACKEND' in os.environ)"
    )
    env = {
        **os.environ,
        "PYTHONWARNINGS": "error",
        "MPLBACKEND": "nonsense",
        "LC_ALL": "C",
        "PYTHONIOENCODING": "ascii",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository(), env=env
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\\u72ac \\udced\nFalse\n"
    assert "UserWarning: mind" in done.stderr
    assert "old" not in done.stderr


def test_sockets_lie_where_their_names_are_short_enough(tmp_path, monkeypatch):
    assert len(str(tmp_path / ("x" * 60))) > surroundings.SOCKETS
    (tmp_path / ("x" * 60)).mkdir()
    for temporary in (tmp_path / ("x" * 60), tmp_path / "missing"):
        monkeypatch.setenv("TMPDIR", str(temporary))
        assert os.path.isdir(socket_folder())
        assert str(tmp_path) not in socket_folder()
    monkeypatch.setattr(surroundings, "SOCKETS", 500)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert socket_folder() == str(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / ("x" * 60)]


def test_nowhere_to_put_sockets(monkeypatch):
    monkeypatch.setattr(surroundings, "SOCKETS", 0)
    with pytest.raises(DhaError, match="set TMPDIR to one whose name has at most 0 characters"):
        socket_folder()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/x"), "'/x': Permission denied; see to its rights"),
        (OSError(errno.EROFS, "Read-only file system", b"/\xff"), r"'/\udcff': Read-only file system; choose another place"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; make room there"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 9), "'xxxxxxxxx': File name too long; give it a shorter name"),
        (OSError("cannot load library 'libsndfile.so'"), "cannot load library 'libsndfile.so'; install it, as with"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "no folder for temporary files can be"),
        (ImportError("libonnx.so: cannot open shared object file", name="onnxruntime"), "libonnx.so: cannot open shared"),
    ],
)  # fmt: skip
def test_faults_of_the_machine(error, said):
    assert fault_of_machine(error).startswith(said)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
        ModuleNotFoundError("No module named 'dha_utils.core.x'", name="dha_utils.core.x"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
)
def test_faults_of_ours_are_not_the_machines(error):
    assert fault_of_machine(error) is None


def test_numba_has_a_cache_without_a_home(monkeypatch, tmp_path):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    give_numba_a_cache()
    assert "NUMBA_CACHE_DIR" not in os.environ  # where the home can be written
    monkeypatch.setattr("os.access", lambda *_: False)
    give_numba_a_cache()
    assert os.environ["NUMBA_CACHE_DIR"].startswith(str(tmp_path / "dha-"))
    surroundings._caches.pop().cleanup()


def test_matplotlib_has_a_cache_without_a_home(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "x"
    for own, home in (("", tmp_path / "home"), (tmp_path / "own", nowhere)):
        monkeypatch.setenv("MPLCONFIGDIR", str(own))
        monkeypatch.setenv("HOME", str(home))
        give_matplotlib_a_cache()
        assert os.environ["MPLCONFIGDIR"] == str(own)
    for own, home in (("", nowhere), (nowhere, tmp_path)):
        monkeypatch.setenv("MPLCONFIGDIR", str(own))
        monkeypatch.setenv("HOME", str(home))
        give_matplotlib_a_cache()
        assert os.environ["MPLCONFIGDIR"] == surroundings._caches[-1].name
        surroundings._caches.pop().cleanup()


def test_names_are_utf8_whatever_the_locale():
    code = "import dha_utils.cli, sys; print(sys.getfilesystemencoding(), *sys.argv[1:])"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", code, "süß"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=repository(), env=env)
    assert (done.stdout, done.stderr) == ("utf-8 süß\n", "")


def test_closed_streams_are_there_and_no_files_are_opened_in_their_place(tmp_path):
    code = (
        "import dha_utils.cli, os, sys; streams = [sys.stdin, sys.stdout, sys.stderr];"
        f"print([s.fileno() for s in streams], [os.get_inheritable(n) for n in range(3)], sys.stdin.read() == '',"
        f"open({str(tmp_path / 'x')!r}, 'w').fileno() > 2, file=open('/dev/fd/9', 'w'))"
    )
    shell = f"exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} 9>&1 <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, cwd=repository())
    assert done.stdout == "[0, 1, 2] [True, True, True] True True\n"


def test_results_and_pages_can_lie_elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("DHA_OUT", raising=False)
    assert out_dir() == repository()
    monkeypatch.setenv("DHA_OUT", str(tmp_path))
    assert out_dir() == tmp_path
    require_writable(tmp_path / "results")
    assert [*tmp_path.rglob("*")] == [tmp_path / "results"]
    probe_folder(tmp_path / "results")
    probe_folder(tmp_path / "a" / "b")  # what is refused after this leaves nothing
    assert [*tmp_path.rglob("*")] == [tmp_path / "results"]
    (tmp_path / "file").touch()
    with pytest.raises(
        DhaError, match=r"file/x: cannot be written \(Not a directory\); see to its rights, or set DHA_OUT"
    ):
        require_writable(tmp_path / "file" / "x")


def test_ctrl_c_while_the_command_is_imported_is_one_line():
    for error, said in (("KeyboardInterrupt", "\ndha: interrupted\n"), ("ValueError", "Traceback")):
        code = f"import dha_utils.cli; raise {error}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=repository())
        assert done.stderr.startswith(said)
        assert done.returncode != 0
