"""The command `dha`."""

from dha_utils.cli.main import app

__all__ = ["app"]
