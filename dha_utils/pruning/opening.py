"""A network as it is opened by those who use it: by name, from somebody's code, or from a file with its classifiers beside it."""

from functools import cache, partial
from pathlib import Path

from dha_utils.networks import registry
from dha_utils.networks.base import Network


def _listener(network: Network, classifiers: Path):
    """Return the `dha_utils.pruning.listening.Listener` of a network, with the classifiers of a file."""
    # With scikit-learn and onnxruntime, which take a while.
    from dha_utils.pruning.export import load_ensemble
    from dha_utils.pruning.listening import Listener

    return Listener(network, network.metadata, load_ensemble(classifiers))


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
        ``.skops`` beside it, `Network.predict` and `Network.listen`; the classifiers are read when they are first asked.

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
    small.listener = cache(partial(_listener, small, Path(source).with_suffix(".skops")))
    return small
