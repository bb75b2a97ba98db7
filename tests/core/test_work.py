"""Work handed out on this machine; on a cluster: test_cluster.py."""

import ast
import os
import pty
import sys
import threading
import time
from pathlib import Path

import joblib
import pytest

import dha_utils
from dha_utils.core.errors import DataError, DhaError, ParameterError
from dha_utils.core.work import in_order, on_cluster, progress_bar, run_items, workers

KINDS = ["threads", "processes"]


def double(item):
    return 2 * item


def work_of_work(item):
    """Return which process and thread does the work within a piece of work."""
    return {
        (os.getpid(), threading.get_ident()),
        *in_order(lambda _: (os.getpid(), threading.get_ident()), range(3)),
    }


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_who_does_it(kind, n):
    with workers(n=n, kind=kind):
        assert (
            in_order(double, range(7), "processes") == in_order(double, range(7)) == [2 * i for i in range(7)]
        )
        assert dict(run_items(double, iter("abc"), together=2)) == {0: "aa", 1: "bb", 2: "cc"}
        assert in_order(double, []) == []


@pytest.mark.parametrize("kind", KINDS)
def test_results_come_as_they_are_done(kind, tmp_path):
    mark = tmp_path / "mark"

    def work(waits):
        while waits and not mark.exists():
            time.sleep(0.01)
        time.sleep(waits)
        mark.touch()

    with workers(n=2, kind=kind):
        first, _ = next(run_items(work, [1.0, 0.0, 0.0]))
    assert first != 0


def test_who_does_it():
    def process(_):
        return os.getpid()

    with workers(n=2):
        assert set(in_order(process, range(4))) == {os.getpid()}
        assert os.getpid() not in in_order(process, range(4), "processes")
        with workers(n=1):
            assert set(in_order(process, range(4), "processes")) == {os.getpid()}
        with workers(n=2, kind="processes"):
            assert os.getpid() not in dict(run_items(process, range(4), "threads")).values()
            assert set(in_order(process, range(4), "shared")) == {os.getpid()}
        assert os.getpid() not in in_order(process, range(4), "processes")  # as before
    assert not on_cluster()


@pytest.mark.parametrize("kind", KINDS)
def test_work_within_work_is_not_divided_again(kind):
    with workers(n=2, kind=kind):
        assert all(len(places) == 1 for _, places in run_items(work_of_work, range(4), kind))


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (64, 32)])
def test_one_worker_per_core_and_not_too_many_threads(monkeypatch, cores, threads):
    asked = []

    class Parallel(joblib.Parallel):
        def __init__(self, n, **options):
            asked.append(n)
            super().__init__(1, **options)

    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    monkeypatch.setattr(joblib, "Parallel", Parallel)
    with workers():
        in_order(double, [1])
        in_order(double, [1], "processes")
    with workers(n=50):
        in_order(double, [1])
    assert asked == [threads, cores, 50]


def test_cores_are_those_the_process_may_use(monkeypatch):
    may_use = set(sorted(os.sched_getaffinity(0))[:1])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: may_use)
    with workers():
        (thread,) = set(in_order(lambda _: threading.current_thread(), range(4)))
    assert thread is threading.main_thread()


def test_impossible_workers():
    for n in (0, -2):
        with pytest.raises(ParameterError, match=f"workers is {n}, expected at least 1"), workers(n=n):
            pass
    with pytest.raises(
        ParameterError,
        match=r"unknown kind of workers 'thread' .did you mean 'threads'.*; there are: threads, processes",
    ):
        workers(kind="thread").__enter__()
    with (
        pytest.raises(
            ParameterError, match=r"scheduler is 2, expected an address such as .* this machine are n"
        ),
        workers(2),
    ):
        pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2])
def test_an_error_of_the_work_is_raised_here(kind, n):
    def refuse(item):
        raise DataError(f"{item}: not this one")

    with workers(n=n, kind=kind):
        with pytest.raises(DataError, match=r"^0: not this one$"):
            in_order(refuse, [0], kind)
        assert in_order(double, [1], kind) == [2]


def test_a_killed_process_is_one_line_and_the_next_work_is_done():
    done = []
    with workers(n=2):
        results = run_items(lambda item: item < 6 or os._exit(9), range(12), "processes")
        with pytest.raises(DhaError, match=r"a process was killed at its work .*, with fewer workers"):
            done.extend(number for number, _ in results)
        assert in_order(double, [1, 2], "processes") == [2, 4]
    assert set(done) <= set(range(6))


def test_items_are_asked_for_as_workers_need_them():
    asked = []
    with workers(n=2):
        results = run_items(time.sleep, (asked.append(i) or 0.01 for i in range(100)))
        next(results)
        results.close()
    assert len(asked) < 100


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_ends_the_work(kind):
    with workers(n=2, kind=kind):
        results = run_items(time.sleep, [0.01] * 1000)
        next(results)
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)
        assert in_order(double, [1], kind) == [2]


def test_a_bar_is_shown_on_a_terminal_and_none_within_it(monkeypatch, capsys):
    with progress_bar(3, "clip", "esc10") as bar:
        assert bar.disable
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar(3, "clip", "esc10", done=1) as bar, progress_bar(3, "file", "inspect") as within:
        assert within.disable
        assert not bar.disable
    assert "esc10:  33%" in capsys.readouterr().err


def test_where_stderr_is_no_terminal_a_bar_is_shown_on_that_of_whoever_runs_this(monkeypatch):
    shown, terminal = pty.openpty()
    monkeypatch.setenv("DHA_TERMINAL", os.ttyname(terminal))
    with progress_bar(3, "cell", "sweep", done=1) as bar:
        assert not bar.disable
    assert b"sweep:  33%" in os.read(shown, 1000)


def test_who_works_is_no_argument_of_what_computes():
    """Only what begins says who works: commands, and the study of a notebook."""
    package = Path(dha_utils.__file__).parent
    named = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.arguments)
        for argument in (*node.posonlyargs, *node.args, *node.kwonlyargs)
        if argument.arg in ("workers", "scheduler", "progress")
    }
    assert named == {"cli/main.py", "cli/sounds.py", "cli/grid.py", "core/cluster.py", "core/work.py"}
