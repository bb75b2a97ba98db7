import json
import os
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError

from dha_utils.book import fingerprint, forked, plan, runner
from dha_utils.book.kernels import InterpreterKernel, execute
from dha_utils.book.lines import Lines
from dha_utils.book.records import parameters_of, record_of
from dha_utils.book.runner import run_notebooks
from dha_utils.core.errors import DataError, DhaError, ParameterError

WRITE = """
from pathlib import Path
Path(results, "esc10").mkdir(parents=True, exist_ok=True)
Path(results, "esc10", {name!r}).write_text(str(keep))
"""


@pytest.fixture
def repo(tmp_path, monkeypatch):
    """An empty repository, in a folder as nobody would call it."""
    root = tmp_path / "re {po} #1 %d [x] 'é"
    for folder in ("notebooks", "dha_utils", "data/esc10"):
        (root / folder).mkdir(parents=True)
    for module in (runner, fingerprint):
        monkeypatch.setattr(module, "repository", lambda: root)
    monkeypatch.setattr(runner, "in_book", lambda: ["esc10"])
    monkeypatch.setattr(forked, "IMPORTED", ("ipykernel.kernelapp",))  # these notebooks need no more
    monkeypatch.setenv("DHA_DATA", "")
    monkeypatch.setenv("DHA_OUT", str(root))
    return root


def write_notebook(root, name, *cells, parameters="keep = 0.5\nresults = None"):
    notebook = new_notebook(
        cells=[new_code_cell(parameters, metadata={"tags": ["parameters"]}), *map(new_code_cell, cells)],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
    )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def ran(capsys):
    """Return the notebooks that the last call ran, from what it printed."""
    lines = capsys.readouterr().out.splitlines()
    return [line.split()[0] for line in lines if line.endswith(" s")]


def test_runs_what_is_out_of_date_and_no_more(repo, capsys):
    results = repo / "out"
    given = {"keep": 0.25, "results": str(results)}
    write_notebook(repo, "01_first", WRITE.format(name="first.txt"), "import sys\nprint(sys.executable)")
    write_notebook(
        repo,
        "02_second",
        WRITE.format(name="second.txt"),
        "workers",
        parameters="keep = 1\nresults = 0\nworkers = 1",
    )
    (repo / "notebooks" / "scratch.ipynb").write_text("no notebook of ours")

    paths = run_notebooks(given)
    out = capsys.readouterr().out
    assert [line.split("...")[0].strip() for line in out.splitlines()] == ["01_first", "02_second"]
    assert paths == [
        repo / "book" / "executed" / "esc10" / f"{name}.ipynb" for name in ("01_first", "02_second")
    ]
    assert sorted(path.name for path in (results / "esc10").iterdir()) == ["first.txt", "second.txt"]
    assert (results / "esc10" / "first.txt").read_text() == "0.25"
    executed = json.loads(paths[0].read_text())
    assert executed["cells"][-1]["outputs"][0]["text"] == [f"{sys.executable}\n"]
    assert list(executed["metadata"]["dha"]["files"]) == ["esc10/first.txt"]
    assert str(repo) not in json.dumps({**executed["metadata"]["papermill"], "parameters": None})
    assert not (paths[0].parent / ".failed").exists()

    run_notebooks(given | {"workers": 2})  # never changes a result
    assert capsys.readouterr().out.count("unchanged") == 2

    (results / "esc10" / "second.txt").write_text("touched")
    run_notebooks(given)
    assert ran(capsys) == ["02_second"]
    assert (results / "esc10" / "second.txt").read_text() == "0.25"

    # All start from the first: where that is out of date it is run as well.
    write_notebook(repo, "01_first", WRITE.format(name="first.txt"), "'another'")
    run_notebooks(given, only=["2"])
    out = capsys.readouterr().out
    assert out.startswith("01_first is out of date and is run as well: the others start from it\n01_first")
    assert "02_second  ... " in out
    assert "unchanged" not in out
    run_notebooks(given)
    assert ran(capsys) == []

    run_notebooks(given, only=["01_first"], force=True)
    assert ran(capsys) == ["01_first"]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "raise ValueError('no such tap\\nsecond line')",
            r"cell In \[4\]: ValueError: no such tap; the failed",
        ),
        ("raise ValueError('\\n\\n$x^$\\n^')", r"cell In \[4\]: ValueError: \$x\^\$; the failed"),
        ("raise ValueError", r"cell In \[4\]: ValueError:; the failed"),
        ("import sys; sys.exit()", r"cell In \[4\]: the notebook ended before its last cell; the failed"),
        ("import os; os._exit(1)", r"cell In \[4\]: Kernel died \(too little memory\?\); the failed"),
    ],
)
def test_failed_notebook_is_kept_aside_and_the_next_not_run(repo, capsys, cell, message):
    write_notebook(repo, "01_fails", "1", cell, "2")
    write_notebook(repo, "02_never", "1")
    executed = repo / "executed" / "esc10"
    with pytest.raises(DhaError, match=message) as error:
        run_notebooks({"keep": 0.5}, executed=executed.parent)
    assert capsys.readouterr().out == "01_fails  ... failed\n"
    assert str(error.value).startswith("01_fails.ipynb, ")
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(str(executed / ".failed" / "01_fails.ipynb"))
    assert [path.name for path in executed.rglob("*.ipynb")] == ["01_fails.ipynb"]
    assert sorted(path.name for path in executed.iterdir()) == [".failed", ".lock"]


def test_kernel_is_the_running_interpreter_whatever_is_installed(repo, monkeypatch):
    jupyter, ipython = repo / "jupyter", repo / "ipython"
    spec = {"argv": ["false"], "display_name": "another python", "language": "python"}
    for name in ("python3", "elsewhere"):
        folder = jupyter / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(spec))
    startup = ipython / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "0.py").write_text("leaked = 1")
    monkeypatch.setenv("JUPYTER_PATH", str(jupyter))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(jupyter))
    monkeypatch.setenv("IPYTHONDIR", str(ipython))
    write_notebook(repo, "01_one", "import sys\nsys.executable", "'leaked' in globals()")
    (path,) = run_notebooks({})
    cells = nbformat.read(path, as_version=4).cells
    assert cells[-2].outputs[0].data["text/plain"] == repr(sys.executable)
    assert cells[-1].outputs[0].data["text/plain"] == "False"


def test_plain_papermill_refuses_an_unknown_name(repo):
    write_notebook(
        repo,
        "01_one",
        "from dha_utils.book.parameters import check_parameters\ncheck_parameters(globals(), ['keep', 'results'])",
    )
    source = repo / "notebooks" / "01_one.ipynb"
    with pytest.raises(PapermillExecutionError) as error:  # without the checks of run_notebooks
        execute(source, repo / "out.ipynb", {"kep": 0.1}, Lines())
    assert error.value.ename == "ParameterError"
    assert error.value.evalue.startswith("unknown parameter 'kep' (did you mean 'keep'?); there are")


def test_parameters_are_checked_before_anything_runs(repo, capsys):
    write_notebook(repo, "01_one", "1")
    write_notebook(repo, "02_two", "1", parameters="seeds = 20")
    near_miss = r"^unknown parameter 'kep' \(did you mean 'keep'\?\); there are: keep, results, seeds$"
    with pytest.raises(ParameterError, match=near_miss):
        run_notebooks({"seeds": 3, "kep": 0.1})
    with pytest.raises(
        ParameterError, match=r"parameter keep: expected a number in \(0, 1\], got '0.1' \(str\)"
    ):
        run_notebooks({"keep": "0.1"})
    with pytest.raises(ParameterError, match=r"^parameter seeds is not taken by 01_one; taken by 02_two$"):
        run_notebooks({"seeds": 3}, only=["01"])
    assert capsys.readouterr().out == ""
    assert not (repo / "book").exists()


def test_every_data_set_has_its_own_pages_and_bad_sounds_are_reported_first(repo, tmp_path, capsys):
    write_notebook(repo, "01_one", "1", parameters="dataset = 'esc10'\nroot = None")
    with pytest.raises(DataError, match=r"there is no file .*mine\.csv"):
        run_notebooks({"dataset": str(tmp_path / "mine.csv")})
    assert capsys.readouterr().out == ""
    rows = [f"{label}{i}.wav,{label}" for label in ("dog", "rain") for i in range(8)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,label", *rows]))
    with pytest.raises(DataError, match="16 of the 16 clips of mine are missing: "):
        run_notebooks({"dataset": str(tmp_path / "mine.csv")})
    assert not (repo / "book").exists()
    for row in rows:
        (tmp_path / row.partition(",")[0]).touch()
    executed = repo / "book" / "executed"
    assert run_notebooks({}) == [executed / "esc10" / "01_one.ipynb"]
    assert run_notebooks({"dataset": str(tmp_path / "mine.csv")}) == [executed / "mine" / "01_one.ipynb"]
    run_notebooks({})
    assert capsys.readouterr().out.endswith("unchanged\n")
    # Another table of the same name would take the place of these pages.
    other = tmp_path / "elsewhere"
    other.mkdir()
    for row in ["mine.csv,", *rows]:
        (other / row.partition(",")[0]).write_bytes((tmp_path / row.partition(",")[0]).read_bytes())
    page = executed / "mine" / "01_one.ipynb"
    before = page.read_bytes()
    with pytest.raises(
        DhaError,
        match=r"mine holds the pages of .*mine\.csv, which has the name of .*elsewhere.*; rename one",
    ):
        run_notebooks({"dataset": str(other / "mine.csv")})
    assert page.read_bytes() == before
    run_notebooks({"dataset": str(other / "mine.csv")}, force=True)
    (other / "mine.csv").rename(other / "theirs.csv")  # moved or gone, it is in nobody's way
    run_notebooks({"dataset": str(tmp_path / "mine.csv")})


def test_too_few_clips_for_the_notebooks_are_refused_before_any_runs(repo, tmp_path, capsys):
    for name in ("01_one", "02_criteria"):
        write_notebook(repo, name, "1", parameters="dataset = 'esc10'\nroot = None")
    rows = [f"{label}{i}.wav,{label}" for label in ("dog", "rain") for i in range(6)]
    (tmp_path / "mine.csv").write_text("\n".join(["path,label", *rows]))
    for row in rows:
        (tmp_path / row.partition(",")[0]).touch()
    with pytest.raises(
        DataError, match=r"mine: \d clips outside fold 1 are too few .* need more than 10: add clips"
    ):
        run_notebooks({"dataset": str(tmp_path / "mine.csv")})
    assert capsys.readouterr().out == ""
    assert len(run_notebooks({"dataset": str(tmp_path / "mine.csv")}, only=["01"])) == 1


def test_a_network_of_ones_own_has_its_own_folders_and_the_notebooks_that_fit_it(repo, tmp_path, capsys):
    code = "import torch, dha_utils as dha\ndef build():\n    torch.manual_seed(0)\n"
    code += "    return dha.Network.wrap(torch.nn.Conv1d(1, 2, 5), ({}9,){})\n"
    (tmp_path / "mine.py").write_text(code.format("", ", rate=8_000"))
    (tmp_path / "still.py").write_text(code.format("1, ", ""))
    taken = "dataset = 'esc10'\nnetwork = None\nrates = [22050]\nresults = None"
    write_notebook(repo, "01_one", "print(network, rates, results, sep=chr(10))", parameters=taken)
    write_notebook(repo, "02_two", "print(rate)", parameters="rate = 22050")
    write_notebook(repo, "18_released", "1", parameters="rate = 22050")
    source = f"{tmp_path}/mine.py:build"
    first, second = run_notebooks({"network": source})
    assert first == repo / "book" / "executed" / "networks" / "mine" / "esc10" / "01_one.ipynb"
    said = [nbformat.read(path, 4).cells[-1].outputs[0]["text"].splitlines() for path in (first, second)]
    assert said == [[source, "[8000]", str(repo / "results" / "networks" / "mine")], ["8000"]]
    assert "no pages 18_released (they ask of SoundNet itself)" in capsys.readouterr().out
    with pytest.raises(
        ParameterError, match=r"still.py:build takes arrays, not sounds: give Network.wrap a rate"
    ):
        run_notebooks({"network": f"{tmp_path}/still.py:build"})


def test_no_such_notebook(repo):
    with pytest.raises(DhaError, match=r"no notebooks NN_\*.ipynb in .*notebooks"):
        run_notebooks({})
    write_notebook(repo, "01_one", "1")
    with pytest.raises(DhaError, match="no notebook '7'; there are: 01_one"):
        run_notebooks({}, only=["7"])


def test_two_runs_at_once_are_refused(repo):
    write_notebook(repo, "01_first", "1")
    executed = repo / "book" / "executed" / "esc10"
    with (
        plan.alone(executed),
        pytest.raises(DhaError, match="another run is at work in"),
    ):
        run_notebooks({})
    assert run_notebooks({}) == [executed / "01_first.ipynb"]


def test_passes_on_what_a_notebook_says_of_long_work(repo, capsys):
    write_notebook(
        repo, "01_long", "print('a table')\nprint('at work: sweep: 3 of 3 cells are to be computed')"
    )
    run_notebooks({})
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["01_long", "..."]
    assert second.startswith("    sweep: 3 of 3 cells are to be computed ... ")
    assert second.endswith(" s")


def two_at_once(repo, monkeypatch, *cells):
    monkeypatch.setattr(runner, "in_book", lambda: ["esc50", "esc10"])
    monkeypatch.setattr(runner, "clips_at_hand", lambda *_, **__: None)
    write_notebook(repo, "01_one", *cells, parameters="dataset = 'esc10'\nresults = None")


def test_data_sets_of_the_book_are_worked_on_at_once_each_on_its_share_of_the_cores(
    repo, monkeypatch, capsys
):
    meet = """
import os, time
from pathlib import Path
Path(results, dataset).mkdir(parents=True, exist_ok=True)
Path(results, dataset, "one.txt").write_text(str(sorted(os.sched_getaffinity(0))))
while len(list(Path(results).rglob("one.txt"))) < 2:
    time.sleep(0.05)
print("at work: both are here")
"""
    two_at_once(repo, monkeypatch, meet)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    pinned = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: pinned.append(cores))
    executed = repo / "book" / "executed"
    given = {"results": str(repo / "out")}
    assert run_notebooks(given) == [executed / name / "01_one.ipynb" for name in ("esc50", "esc10")]
    assert sorted(pinned) == [[0], [1]]
    lines = capsys.readouterr().out.splitlines()
    assert {line[:15] for line in lines} == {"esc50  01_one  ", "esc10  01_one  "}
    assert sum(line.endswith("both are here") for line in lines) == 2
    assert sum(line.endswith(" s") for line in lines) == 2
    record = json.loads((executed / "esc50" / "01_one.ipynb").read_text())["metadata"]["dha"]
    assert list(record["files"]) == ["esc50/one.txt"]  # and not those of the other
    run_notebooks(given | {"dataset": "esc10"})
    assert capsys.readouterr().out == "01_one  ... unchanged\n"


def test_where_one_fails_the_other_is_ended(repo, monkeypatch, capsys):
    cell = """
import time
time.sleep(2 if dataset == "esc10" else 60)
raise ValueError("no such tap")
"""
    two_at_once(repo, monkeypatch, cell)
    start = time.monotonic()
    with pytest.raises(
        DhaError,
        match=r"^01_one.ipynb, cell In \[3\]: ValueError: no such tap; the failed notebook is .*esc10",
    ):
        run_notebooks({})
    assert time.monotonic() - start < 30
    assert capsys.readouterr().out == "esc10  01_one  failed\n"
    assert not InterpreterKernel.made
    assert [path.parts[-3] for path in (repo / "book").rglob("*.ipynb")] == ["esc10"]


def test_the_users_environment_does_not_take_part(repo, tmp_path, monkeypatch):
    start = tmp_path / "startup.py"
    start.write_text("mine = 1\nraise ValueError('of the user')\n")
    profile = tmp_path / "ipython" / "profile_default" / "startup"
    profile.mkdir(parents=True)
    (profile / "00-mine.py").write_text("mine = 2\n")
    hostile = {
        "PYTHONSTARTUP": str(start), "IPYTHONDIR": str(tmp_path / "ipython"), "PYTHONWARNINGS": "error", "MPLBACKEND": "nonsense",
        "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "TMPDIR": str(tmp_path / ("long" * 30)), "PYTHONOPTIMIZE": "2",
        "MATPLOTLIBRC": str(tmp_path / "none"),
    }  # fmt: skip
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    cell = (
        "import matplotlib.pyplot, sys, warnings\nassert 'mine' not in globals()\nwarnings.warn('heard')\n"
        "assert sys.flags.utf8_mode and not sys.flags.optimize\nopen('x.txt', 'w').write('犬')"
    )
    write_notebook(repo, "01_one", f"import os\nos.chdir({str(tmp_path)!r})", cell)
    run_notebooks({})
    assert (tmp_path / "x.txt").read_text("utf-8") == "犬"


def test_results_and_pages_that_cannot_be_written_are_known_before_the_work(repo, tmp_path, capsys):
    write_notebook(repo, "01_one", "1")
    (repo / "file").touch()
    with pytest.raises(
        DhaError,
        match=r"file/results/esc10: cannot be written \(Not a directory\); see to its rights, or set",
    ):
        run_notebooks({"results": str(repo / "file" / "results")})
    with pytest.raises(DhaError, match=r"file/executed/esc10: cannot be written"):
        run_notebooks({}, executed=repo / "file" / "executed")
    assert "01_one" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        '{"metadata": []}',
        '{"metadata": {"dha": 1}}',
        '{"metadata": {"dha": {"files": []}}}',
    ],
)
def test_an_executed_notebook_that_is_damaged_says_nothing(tmp_path, content):
    (tmp_path / "01_x.ipynb").write_text(content)
    assert record_of(tmp_path / "01_x.ipynb") == {}
    assert parameters_of(tmp_path / "01_x.ipynb", {"dataset": "esc10"}) == {}
