"""What the padding of the released extraction changes: the pooled responses tap by tap, and the ensemble that reads them.

Conventions: *ours* are responses of a network that pads the input of its convolutions, as SoundNet was trained; *theirs* of
one that pads their output, as DHA's released extraction does (`dha_utils.networks.soundnet.PADDINGS`). Rows are the same clips.
"""

from pathlib import Path

from dha_utils.core.paths import write_json
from dha_utils.datasets.clips import Clips
from dha_utils.networks.registry import outline
from dha_utils.paper import KEEP
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses
from dha_utils.studies.side_by_side import compare_responses, compare_selections, run_ensembles


def padded_shares(ours: Responses) -> list[float]:
    """Return the share of the time positions of every tap's layer that hold padding, by how `ours` were made."""
    parameters = ours.provenance["parameters"]
    network = outline("soundnet8", padding="released")
    shapes = network.shapes(round(parameters["duration"] * parameters["rate"]))
    layers = [network.layer_of(tap) for tap in ours.taps]
    convs = network.layers
    return [2 * convs[layer].conv.output_padding_each_side / shapes[layer][1] for layer in layers]


def keep_padding(ours: Responses, clips: Clips, folder: Path) -> None:
    """Extract `clips`, those of our responses, with the released padding, and keep what that changes in a folder."""
    how = {name: ours.provenance["parameters"][name] for name in ("rate", "duration", "channel")}
    theirs = extract_responses(clips, padding="released", **how)
    runs = run_ensembles({"input": ours, "released": theirs}, KEEP)
    taps = [
        {"tap": row["tap"], "edges": share} | row
        for share, row in zip(padded_shares(ours), compare_responses(ours, theirs), strict=True)
    ]
    effects = {
        "key": key_of("sweep", theirs, keep=KEEP),
        "taps": taps,
        "ensembles": compare_selections(runs, "padding"),
    }
    write_json(folder / f"padding_{how['rate']}.json", effects, indent=2)
