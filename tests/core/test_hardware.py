import pytest
import torch

from dha_utils.core import hardware
from dha_utils.core.errors import ParameterError
from dha_utils.core.hardware import choose_device, choose_precision, one_core


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


def test_one_core():
    before = torch.get_num_threads()
    with one_core():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
