"""The second network, CREPE, on the sounds of a data set: what is bundled of it, and how that is made."""

from pathlib import Path

from dha_utils.core.paths import bundled
from dha_utils.datasets.clips import Clips
from dha_utils.networks.crepe import load_crepe
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.table import Responses

FILE = "crepe.safetensors"


def keep_crepe(clips: Clips, folder: Path) -> None:
    """Extract the responses of CREPE, frames every 100 ms, and keep them in a folder: a second of one core per clip of 5 s."""
    # A clip has 50 frames, whose maps in the first layer fill the cache already.
    extract_responses(clips, load_crepe(), batch_size=1, out=folder / FILE)


def load_crepe_responses(dataset: str) -> Responses:
    """Return the bundled responses of CREPE to a data set.

    Raises
    ------
    DataError
        If there are none.
    """
    return Responses.load(bundled(dataset) / FILE)
