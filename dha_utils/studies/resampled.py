"""What is lost with a copy of the sounds at a lower rate: the same clips from the published files and from the copy.

Conventions: *ours* are responses to the published sounds, *theirs* to a copy of them, brought to the same rate: of theirs nothing
is left above half the rate of the copy. Rows are the same clips.
"""

from pathlib import Path

from dha_utils.core.announcements import announce
from dha_utils.core.errors import DataError
from dha_utils.core.paths import write_json
from dha_utils.datasets import load_clips
from dha_utils.datasets.clips import Clips
from dha_utils.paper import KEEP
from dha_utils.responses.extraction import extract_responses
from dha_utils.responses.provenance import key_of
from dha_utils.responses.table import Responses
from dha_utils.studies.side_by_side import (
    compare_responses,
    compare_selections,
    compare_sources,
    run_ensembles,
)


def find_copy(clips: Clips) -> Clips | None:
    """Return the same clips from a copy that lies beside theirs and is not as published; None where there is none."""
    for folder in sorted(clips.root.parent.iterdir()):
        if folder == clips.root or not folder.is_dir():
            continue
        try:
            copy = load_clips(clips.name, folder)
        except DataError:
            continue
        if copy.root == folder and {*copy.notes} - {*clips.notes}:
            return copy
    return None


def keep_copy(ours: Responses, clips: Clips, folder: Path) -> None:
    """Extract the copy that lies beside `clips`, those of our responses, and keep what that changes in a folder.

    Where there is no copy nothing is written.
    """
    copy = find_copy(clips)
    if copy is None:
        announce(f"no copy at another rate lies beside {clips.root}: what one changes is left as it was")
        return
    how = {name: ours.provenance["parameters"][name] for name in ("rate", "duration", "channel")}
    theirs = extract_responses(copy, **how)
    runs = run_ensembles({"published": ours, "copy": theirs}, KEEP)
    effects = {
        "key": key_of("sweep", theirs, keep=KEEP),
        "notes": list(copy.notes),
        "taps": compare_responses(ours, theirs),
        "selections": compare_selections(runs, "sounds"),
        "sounds": compare_sources(runs),
    }
    write_json(folder / f"copy_{how['rate']}.json", effects, indent=2)
