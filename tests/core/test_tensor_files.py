import errno
import os
import resource

import numpy as np
import pytest
from zoo import random_soundnet

from dha_utils.core.errors import DataError
from dha_utils.core.tensor_files import reading, save_tensors
from dha_utils.networks.registry import save_network


@pytest.fixture
def little_room():
    """A disk that takes 10 kB of each file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "save",
    [
        lambda path: save_tensors(path, {"x": np.zeros(100_000)}),
        lambda path: save_network(path, random_soundnet(), {}),
    ],
)
def test_a_disk_without_room_is_one_line_and_leaves_nothing(save, little_room, tmp_path):
    with pytest.raises(
        DataError, match=r"x.safetensors: cannot be written \(.*\); make room there, or choose"
    ):
        save(tmp_path / "x.safetensors")
    assert not [*tmp_path.iterdir()]


def test_what_may_not_be_read_is_not_called_damaged():
    with (
        pytest.raises(DataError, match=r"^x: cannot be read \(Permission denied\); see to its rights$"),
        reading("x", "responses"),
    ):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
