"""A network as it is opened by those who use it: by name, from somebody's code, or from a file with its classifiers beside it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from dha_utils.core.errors import DhaError
from dha_utils.networks import registry
from dha_utils.networks.base import Network


class Reader:
    """What tells the classes of sounds from a network's responses; the classifiers are read when they are first asked."""

    def __init__(self, path: Path, metadata: Mapping):
        self.path, self.metadata = path, metadata

    @cached_property
    def ensemble(self):
        """The classifiers."""
        from dha_utils.pruning.export import (
            load_ensemble,  # with scikit-learn and onnxruntime, which take a while
        )

        return load_ensemble(self.path)

    def __call__(self, network: Network, sound: str | Path | np.ndarray, rate: float | None):
        """Return the prediction; see `Network.predict`."""
        from dha_utils.pruning.export import predict

        sounds = [sound if rate is None else (sound, rate)]
        (said,) = predict(network, self.metadata, self.ensemble, sounds)
        if isinstance(said, DhaError):
            raise said
        return said


def load_network(
    source: str | Path | Network = registry.DEFAULT, *, network: str | Network | None = None, **settings
) -> Network:
    """Return a network, ready for use.

    Parameters
    ----------
    source : str, path or Network
        A name in `dha_utils.NETWORKS`; a file that ``dha prune`` made, ``small.safetensors``; a function that makes a network,
        ``my_network.py:build``; or a network, which is given back.
    network : str or Network, optional
        For a file: the whole network that it was made from, as for `source`, where that is your own and has moved.
    **settings
        Of the network, where it is named, such as ``padding``.

    Returns
    -------
    Network
        One from a file has `Network.metadata` (rate, duration, channel, classes, taps, and how it was made), and, with its
        ``.skops`` beside it, `Network.predict`.

    Raises
    ------
    ParameterError
        If there is no network of this name.
    DataError
        If the file is missing, damaged or of another kind.
    """
    if isinstance(source, Network) or not str(source).endswith(".safetensors"):
        return registry.load_network(source, **settings)
    whole = None if network is None else registry.load_network(network)
    small, metadata = registry.read_network(source, whole)
    small.metadata = metadata
    small.reader = Reader(Path(source).with_suffix(".skops"), metadata)
    return small
