"""``python -m dha_utils.cli``: the command without its entry point."""

from dha_utils.cli.main import app

app()
