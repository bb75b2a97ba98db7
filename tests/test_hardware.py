import os

import joblib
import pytest
import torch

from dha_utils import hardware
from dha_utils.errors import ParameterError
from dha_utils.hardware import choose_device, choose_precision, choose_workers, in_threads


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (16, 16), (64, 32)])
def test_one_worker_per_core_up_to_a_limit(monkeypatch, cores, workers):
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    assert choose_workers(None) == workers
    assert choose_workers(50) == 50


def test_cores_are_those_the_process_may_use(monkeypatch):
    may_use = set(sorted(os.sched_getaffinity(0))[:1])
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: may_use)
    assert choose_workers(None) == 1


@pytest.mark.parametrize("workers", [0, -2])
def test_impossible_workers(workers):
    with pytest.raises(ParameterError, match=f"workers is {workers}, expected at least 1"):
        choose_workers(workers)


@pytest.mark.parametrize(("there", "name", "device"), [
    (False, "auto", "cpu"), (False, "cpu", "cpu"), (True, "auto", "cuda"), (True, "cpu", "cpu"), (True, "cuda", "cuda")
])  # fmt: skip
def test_devices(monkeypatch, there, name, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(name).type == device


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match=r"'cuda' is not available: PyTorch sees no GPU.*use 'auto' or"):
        choose_device("cuda")
    with pytest.raises(ParameterError, match=r"unknown device 'cudo' \(did you mean 'cuda'\?\)"):
        choose_device("cudo")


def test_precisions():
    assert {name: choose_precision(name) for name in hardware.PRECISIONS} == hardware.PRECISIONS
    with pytest.raises(ParameterError, match=r"unknown precision 'float61' \(did you mean 'float16'\?\)"):
        choose_precision("float61")


def test_threads_keep_the_order():
    assert in_threads(lambda item: 2 * item, range(5)) == [0, 2, 4, 6, 8]
