"""Work on a real scheduler and real worker processes, on loopback."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from dha_utils.audio.inspection import inspect_clips, usable_clips
from dha_utils.core import cluster
from dha_utils.core.errors import AudioError, DataError, DhaError, ParameterError
from dha_utils.core.work import run_items, workers
from dha_utils.datasets.clips import Clips
from dha_utils.responses import outputs
from dha_utils.responses.extraction import extract_responses, extract_to_store
from dha_utils.studies.sweeps import Cell, sweep
from dha_utils.studies.sweeps import cells as make_cells


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.02)


class Cluster:
    """A scheduler in a process of its own, and workers as they are asked for."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        # One killed worker is enough to give an item up; four, the default, take long to start.
        self.environment = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        self.scheduler = self._start("dask_scheduler", "--port", "0", "--scheduler-file", "scheduler.json")
        wait_for(self._has_address)

    def _has_address(self):
        """Whether the scheduler has written where it is: its file is there before its text is."""
        try:
            self.address = json.loads((self.folder / "scheduler.json").read_text())["address"]
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return True

    def _start(self, module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--no-dashboard", "--host", "127.0.0.1"]
        return self.start([*command, *arguments])

    def start(self, command):
        how = {
            "cwd": self.folder,
            "env": self.environment,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        self.processes.append(subprocess.Popen(command, **how))
        return self.processes[-1]

    def add_worker(self):
        how = ("--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--local-directory", str(self.folder))
        return self._start("dask_worker", self.address, *how)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A cluster of two workers."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    for _ in range(2):
        made.add_worker()
    with workers(made.address) as client:
        client.wait_for_workers(2, timeout=60)
    yield made
    made.close()


@pytest.fixture
def fragile(tmp_path):
    """A cluster without workers, of which a test may kill what it likes."""
    made = Cluster(tmp_path)
    yield made
    made.close()


def make_clips(folder, n=12):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        path = folder / f"{i:02d}.wav"
        soundfile.write(path, rng.uniform(-0.5, 0.5, 6000 + 500 * (i % 3)), 22_050, subtype="PCM_24")
        rows.append((f"c{i:02d}", str(path), "ab"[i % 2], i % 2 + 1, f"r{i}"))
    return Clips(
        "made-up", folder, pd.DataFrame(rows, columns=["clip", "path", "label", "fold", "recording"])
    )


def assert_same(a, b):
    assert a.taps == b.taps
    assert a.table.equals(b.table)
    assert a.provenance == b.provenance
    for tap in a.taps:
        np.testing.assert_array_equal(a[tap], b[tap], err_msg=tap)


def test_extraction_does_not_depend_on_who_does_it(running, tmp_path, narrow_network, monkeypatch):
    monkeypatch.setattr(outputs, "BLOCK", 5)
    clips = make_clips(tmp_path)
    how = {"model": narrow_network, "duration": 0.4, "batch_size": 2}
    expected = extract_responses(clips, **how)
    with workers(running.address):
        assert_same(extract_responses(clips, **how), expected)
        assert_same(extract_to_store(clips, tmp_path / "a", **how).read(), expected)
    with workers("local", 1):
        assert_same(extract_to_store(clips, tmp_path / "b", **how).read(), expected)
    with workers(n=2, kind="processes"):
        assert_same(extract_responses(clips, **how), expected)


def test_sweep_and_inspection_do_not_depend_on_it_either(running, tmp_path, make_responses):
    responses = make_responses()
    cells = [*make_cells("random", 0.3, seeds=3), Cell("anova", 0.25), Cell("anova", 0.25, 1, "shuffled")]
    expected = sweep(responses, cells)
    with workers(running.address):
        assert sweep(responses, cells, store=tmp_path) == expected
    (store,) = tmp_path.iterdir()
    assert len(store.read_text().splitlines()) == 1 + len(cells)
    clips = make_clips(tmp_path)
    (tmp_path / "03.wav").write_text("words")
    report = inspect_clips(clips)
    assert list(report.faults) == ["c03"]
    with workers(running.address):
        assert inspect_clips(clips).lines() == report.lines()


def test_an_error_of_the_work_is_that_of_the_client(running, tmp_path, narrow_network):
    clips = make_clips(tmp_path)
    (tmp_path / "03.wav").unlink()
    with workers(running.address):
        with pytest.raises(AudioError, match=r"03\.wav: no such file"):
            extract_responses(clips, model=narrow_network)
        # Which is none the worse for it.
        assert sorted(run_items(lambda i: i * i, range(7))) == [(i, i * i) for i in range(7)]


def test_sounds_that_workers_do_not_see_are_not_called_missing(running, tmp_path, monkeypatch):
    clips = make_clips(tmp_path)
    paths = [Path(path).name for path in clips.table["path"]]
    clips = replace(
        clips, table=clips.table.assign(path=paths)
    )  # found from here, and not from where workers were started
    monkeypatch.chdir(tmp_path)
    assert inspect_clips(clips).faults == {}
    with workers(running.address):
        for skip_bad in False, True:
            with pytest.raises(
                DataError, match=r"^\d\d\.wav: a worker of the cluster does not see this file \(no such file"
            ):
                usable_clips(clips, skip_bad=skip_bad)
        (tmp_path / "03.wav").unlink()
        paths = [str(tmp_path / path) for path in paths]
        clips = replace(clips, table=clips.table.assign(path=paths))
        assert inspect_clips(clips).faults == {"c03": "no such file"}


def test_killed_worker(fragile, tmp_path, capsys):
    log = tmp_path / "log"
    log.write_text("")

    def work(item):
        with log.open("a") as file:
            file.write(f"{item} {os.getpid()}\n")
        time.sleep(0.1)
        return item + 100

    first = fragile.add_worker()
    results = []
    # Three failures are what a scheduler forgives by default; the cluster of these tests forgives none.
    with workers(fragile.address) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 3))
        for item, result in run_items(work, range(20)):
            results.append((item, result))
            if len(results) == 4:
                fragile.add_worker()
                client.wait_for_workers(2, timeout=60)
                first.kill()
    assert sorted(results) == [(i, i + 100) for i in range(20)]
    lines = [line.split() for line in log.read_text().splitlines()]
    assert len({pid for _, pid in lines}) == 2
    # Done twice is at most what the killed worker had and had not handed over.
    assert len(lines) <= 20 + 2 * cluster.AHEAD
    assert capsys.readouterr().err.count(": this worker is gone; its work is given to others\n") == 1


def test_without_workers_it_says_so_and_waits_for_others(fragile, capsys, monkeypatch):
    mention_lost = cluster._mention_lost

    def mention_and_help(client, before, now):
        mention_lost(client, before, now)
        if before and not now:
            fragile.add_worker()

    monkeypatch.setattr(cluster, "PATIENCE", 1)
    monkeypatch.setattr(cluster, "_mention_lost", mention_and_help)
    only = fragile.add_worker()
    with workers(fragile.address) as client:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 3))
        results = run_items(lambda item: time.sleep(0.05) or item, range(20))
        done = [next(results)[0]]
        only.kill()
        done += [item for item, _ in results]
    assert sorted(done) == list(range(20))
    gone, waiting = capsys.readouterr().err.splitlines()[-2:]
    assert gone.endswith(": this worker is gone; its work is given to others")
    assert waiting.endswith(f"no workers left, waiting; start some with `dask worker {fragile.address}`")


def test_work_that_kills_its_worker(fragile):
    fragile.add_worker()
    with workers(fragile.address), pytest.raises(DhaError, match="has ended 1 workers"):
        list(run_items(lambda item: os._exit(1), [0]))


def test_killed_scheduler(fragile, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 2)
    fragile.add_worker()
    with workers(fragile.address):
        results = run_items(lambda item: time.sleep(0.05), range(1000))
        next(results)
        fragile.scheduler.kill()
        with pytest.raises(DhaError, match="the scheduler is gone; what is finished is kept"):
            list(results)


CLIENT = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}
import torch
from dha_utils.responses import outputs
from dha_utils.responses.extraction import extract_to_store
from dha_utils.networks.soundnet import SoundNet
from dha_utils.core.work import workers
from test_cluster import make_clips
outputs.BLOCK = 1
if __name__ == "__main__":
    torch.manual_seed(0)
    clips = make_clips(Path({folder!r}), 60)
    with workers({address!r}):
        extract_to_store(clips, {folder!r} + "/store", model=SoundNet().eval())
"""


def test_killed_client(running, tmp_path):
    script = tmp_path / "client.py"
    script.write_text(
        CLIENT.format(
            tests=[str(path) for path in Path(__file__).parents[:2]],
            folder=str(tmp_path),
            address=running.address,
        )
    )
    store = tmp_path / "store"

    def written():
        return {path.name: path.stat().st_mtime_ns for path in store.glob("block-*.parquet")}

    client = subprocess.Popen([sys.executable, script])
    wait_for(lambda: len(written()) >= 3)
    client.send_signal(signal.SIGKILL)
    client.wait()
    before = written()
    assert 3 <= len(before) < 60
    subprocess.run([sys.executable, script], check=True, timeout=120)
    after = written()
    assert len(after) == 60
    assert {name: after[name] for name in before} == before


def test_other_code(running, monkeypatch):
    monkeypatch.setattr(cluster, "hash_package", lambda: "0")
    with (
        workers(running.address),
        pytest.raises(DhaError, match="runs another version of this package"),
    ):
        list(run_items(lambda i: i, [0]))


def test_workers_without_the_package(fragile):
    script = (
        "import sys; sys.modules['dha_utils'] = None\nfrom distributed.cli.dask_worker import main\nmain()\n"
    )
    (fragile.folder / "bare.py").write_text(script)
    how = ["--no-dashboard", "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
    fragile.start([sys.executable, "bare.py", fragile.address, *how])
    with (
        workers(fragile.address),
        pytest.raises(DhaError, match="its workers cannot load this package"),
    ):
        list(run_items(lambda i: i, [0]))


def test_errors_of_the_system_are_not_taken_for_a_lost_scheduler(running):
    def work(item):
        raise PermissionError("may not be read")

    with workers(running.address), pytest.raises(PermissionError, match="may not be read"):
        list(run_items(work, [0]))


def test_local_workers_leave_interrupts_to_the_client():
    levels = {name: logging.getLogger(name).level for name in cluster.TALKATIVE}

    def interrupt(client):
        blocked = client.run(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []))
        assert len(blocked) == 2
        assert all(signal.SIGINT in mask for mask in blocked.values())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), workers("local", 2) as client:
        interrupt(client)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert {logging.getLogger(name).level for name in levels} == {logging.CRITICAL}
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_a_script_without_a_main_guard_is_told_so(monkeypatch):
    def fail(**_):
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("dha_utils.core.cluster.LocalCluster", fail)
    with (
        pytest.raises(DhaError, match=r"do not start .*under `if __name__ == '__main__':`"),
        workers("local", 2),
    ):
        pass


def test_addresses(running, tmp_path):
    for address in ("node1", "8786", "tcp://", "tcp://node1:port", ""):
        with (
            pytest.raises(ParameterError, match=f"scheduler is '{address}', expected an address"),
            workers(address),
        ):
            pass
    with pytest.raises(DhaError, match="no Dask scheduler answers"), workers("tcp://127.0.0.1:1"):
        pass
    with pytest.raises(ParameterError, match="workers is 0"), workers("local", 0):
        pass


def test_waits_for_workers_and_says_so(fragile, capsys):
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(lambda: (time.sleep(1), fragile.add_worker()))
        with workers(fragile.address):
            assert list(run_items(lambda i: -i, [1])) == [(0, -1)]
        coming.result()
    hint = f"no workers yet, waiting; start some with `dask worker {fragile.address}`"
    assert hint in capsys.readouterr().err
