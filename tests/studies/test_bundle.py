from types import SimpleNamespace

import pytest

from dha_utils.core.errors import ParameterError
from dha_utils.studies import bundle


def test_parts_are_made_alone_and_silence_with_the_classifier_of_the_data_set(monkeypatch):
    made = []
    for name in bundle.PARTS:
        monkeypatch.setitem(
            bundle.PARTS, name, lambda responses, clips, folder, name=name, **how: made.append((name, how))
        )
    monkeypatch.setattr(bundle, "load_clips", lambda dataset, root: SimpleNamespace(name=dataset))
    monkeypatch.setattr(bundle, "identify", lambda clips: clips)
    bundle.make_bundle("esc10", only=["silence", "slips"], classifier="least_squares")
    assert made == [("slips", {}), ("silence", {"classifier": "least_squares"})]
    with pytest.raises(ParameterError, match=r"unknown part 'silense' \(did you mean 'silence'\?\)"):
        bundle.make_bundle("esc10", only=["silense"])
