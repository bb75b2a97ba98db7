"""Files put together of pieces, read as files are."""

import io

import pytest

from dha_utils.audio.source import Assembled


@pytest.fixture
def pieces():
    """Return a file of three bytes of its own between five of another file."""
    return io.BytesIO(b"0123456789"), [range(2, 4), b"abc", range(7, 10)]


@pytest.mark.parametrize("at", [0, 1, 2, 4, 7, 8, 9, 1000])
def test_pieces_are_read_as_one_file(pieces, at):
    """Beyond the end as well, where damaged headers send a reader: there is nothing, as in any file."""
    whole, file = io.BytesIO(b"23abc789"), Assembled(*pieces)
    for one in (whole, file):
        assert one.seek(at) == at
    assert file.readall() == whole.read()
    assert file.tell() == whole.tell()


def test_the_last_bytes_of_an_endless_file_are_zeros(pieces):
    file = Assembled(*pieces, open_ended=True)
    buffer = bytearray(b"x" * 128)
    file.seek(-128, io.SEEK_END)
    assert file.readinto(buffer) == 128
    assert not any(buffer)
    for beyond in (0, 1, 1000):
        file.seek(beyond, io.SEEK_END)
        assert file.readinto(buffer) == 0
    file.seek(8)
    assert file.readinto(buffer) == 0
