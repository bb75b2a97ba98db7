"""The command `dha`."""

from dha_utils.core.surroundings import be_ourselves

be_ourselves()

from dha_utils.cli.main import app  # noqa: E402 (what it imports may look at the environment)

__all__ = ["app"]
