"""The networks that are known by name, and the files that ``dha prune`` makes of them.

A network of one's own is used by handing it over; to be known by name, in all that starts from kept responses, it gets an entry
in `NETWORKS`.
"""

import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dha_utils.core.errors import DataError, ParameterError, choose
from dha_utils.core.hashing import hash_arrays
from dha_utils.core.tensor_files import writing
from dha_utils.networks.base import Network
from dha_utils.networks.crepe import Crepe, load_crepe
from dha_utils.networks.soundnet import SoundNet, load_soundnet

DEFAULT = "soundnet8"
"""The network behind responses that name none."""


class Entry(NamedTuple):
    """How to make a network, with any weights, and how to load it with its own; both take its `Network.settings`."""

    make: Callable[..., Network]
    load: Callable[..., Network]


NETWORKS = {
    "soundnet8": Entry(SoundNet, load_soundnet),
    "crepe": Entry(partial(Crepe, "crepe"), partial(load_crepe, "crepe")),
    "crepe-tiny": Entry(partial(Crepe, "crepe-tiny"), partial(load_crepe, "crepe-tiny")),
}
"""Name -> network."""


def load_network(source: str | Path | Network = DEFAULT, **settings) -> Network:
    """Return a network, ready for use.

    Parameters
    ----------
    source : str, path or Network
        A name in `NETWORKS`, a file made by ``dha prune``, a function that makes a network (``my_network.py:build``), or a
        network, which is given back.
    **settings
        Of the network, where it is named, such as ``padding``.

    Raises
    ------
    ParameterError
        If there is no network of this name.
    DataError
        If the file is missing, damaged or of another kind.
    """
    if isinstance(source, Network):
        return source
    if str(source).endswith(".safetensors"):
        return read_network(source)[0]
    if is_code(str(source)):
        return build_network(str(source))
    if str(source).endswith(".py"):
        raise ParameterError(
            f"network is {str(source)!r}; name the function that makes it too, as {source}:build"
        )
    return _entry(str(source)).load(**settings).eval().requires_grad_(False)


def outline(name: str = DEFAULT, **settings) -> Network:
    """Return a network without its weights: what there is to know of layers, taps and costs, in no memory and no time."""
    return _outline(_entry(name), **settings)


@cache
def _outline(entry: Entry, **settings) -> Network:
    with torch.device("meta"):
        return entry.make(**settings).eval().requires_grad_(False)


def network_behind(provenance: Mapping) -> Network | None:
    """Return the outline of the network that responses of this provenance come from; None where it is not known by name."""
    name = provenance.get("network", DEFAULT)
    if is_code(name):
        return build_network(name)
    return outline(name) if name in NETWORKS else None


def load_behind(provenance: Mapping) -> Network:
    """Return the network that responses of this provenance come from, with its weights.

    Raises
    ------
    DataError
        If it is made by somebody's code, and has other weights than it had.
    """
    name, parameters = provenance.get("network", DEFAULT), provenance["parameters"]
    if is_code(name):
        network = build_network(name)
        if weights_sha256(network) != provenance["weights_sha256"]:
            raise DataError(
                f"{name}: has other weights than the network of the responses; let it load the same weights each time, and run "
                "notebook 01 again"
            )
        return network
    settings = {key: parameters.get(key, usual) for key, usual in outline(name).settings.items()}
    return load_network(name, **settings)


def is_code(source: str) -> bool:
    """Return whether a text says which function makes a network: ``my_network.py:build``."""
    return ".py:" in source


def build_network(source: str) -> Network:
    """Return the network that a function of somebody's file makes, ready for use, under the name of its file and function.

    Parameters
    ----------
    source : str
        ``PATH.py:FUNCTION``; the function takes nothing and returns a `Network`, such as `Network.wrap` gives.

    Raises
    ------
    DataError
        If there is no such file.
    ParameterError
        If it has no such function, that fails, or returns something else.
    """
    path, _, function = source.rpartition(":")
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise DataError(
            f"{file}: no such file; expected a function that makes a network, as my_network.py:build"
        )
    return _built(file, function, file.stat().st_mtime_ns)


@cache
def _built(file: Path, function: str, _changed: int) -> Network:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        network = getattr(module, function)()
    except Exception as error:  # whatever somebody's code raises
        raise ParameterError(f"{file}:{function}: {type(error).__name__}: {error}") from error
    if not isinstance(network, Network):
        raise ParameterError(
            f"{file}:{function} returns a {type(network).__name__}: return dha.Network.wrap(module, shape, ...)"
        )
    network.name = f"{file}:{function}"
    return network.eval().requires_grad_(False)


def weights_sha256(network: Network) -> str:
    """Return the sha256 over the parameters and buffers of a network, in the order of their names."""
    return hash_arrays(
        (name, tensor.numpy(force=True)) for name, tensor in sorted(network.state_dict().items())
    )


def save_network(path: str | Path, network: Network, metadata: Mapping) -> None:
    """Write a network, full or pruned, with what is to be known of it, atomically.

    Parameters
    ----------
    path : path
        A safetensors file.
    network : Network
    metadata : dict
        JSON types.
    """
    header = {
        "network": network.name, "settings": network.settings, "widths": list(network.widths.values()),
        "heads": list(network.heads),
        "metadata": dict(metadata),
    }  # fmt: skip
    tensors = {
        name: tensor.contiguous() for name, tensor in network.state_dict().items() if tensor.ndim
    }  # batch norm's update counter is no weight
    with writing(path) as temporary:
        save_file(tensors, temporary, metadata={"dha": json.dumps(header, ensure_ascii=False)})


def read_network(path: str | Path, whole: Network | None = None) -> tuple[Network, dict]:
    """Read a network written by `save_network`.

    Parameters
    ----------
    path : path
    whole : Network, optional
        The network with all filters; by default that which the file names.

    Returns
    -------
    network : Network
        In evaluation mode, without gradients.
    metadata : dict

    Raises
    ------
    DataError
        If the file is missing, damaged or of another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; `dha prune` makes one")
    try:
        with safe_open(path, "pt") as file:
            header = json.loads(file.metadata()["dha"])
            if "widths" not in header:
                raise ValueError("it holds responses, or other tables")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        if whole is not None:
            full = whole
        elif is_code(header.get("network", "")):
            full = build_network(header["network"])
        elif "network" in header:
            full = _entry(header["network"]).make(**header["settings"])
        else:  # made when there was one network only
            settings = {"input_scale": header["input_scale"], "padding": header.get("padding", "input")}
            full = _entry(DEFAULT).make(**settings)
        if not header.get("heads", True):
            full = full.headless()
        kept = {layer: np.arange(n) for layer, n in zip(full.widths, header["widths"], strict=True)}
        small = full.narrow(kept)
        counters = {name: t for name, t in small.state_dict().items() if not t.ndim}
        small.load_state_dict(tensors | counters)
        return small.eval().requires_grad_(False), header["metadata"]
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        fault = str(error).splitlines()[0]
        raise DataError(
            f"{path}: not a network of `dha prune`, or damaged ({fault}); make it again"
        ) from error


def _entry(name: str) -> Entry:
    return NETWORKS[choose("network", name, NETWORKS)]
